"""Log lines hold no secret, whoever wrote the text."""

import pytest

from mediaplane.access.keys import make_key
from mediaplane.logs import mask_secrets
from mediaplane.media.webhooks import make_secret, write_secret


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://s3/b/k?X-Amz-Date=1&X-Amz-Signature=abcdef0123&x=1 failed", "abcdef0123"),
        ("https://s3/?X-Amz-Credential=AKIA/1/us&y", "AKIA"),
        ("/v1/assets/a/hls/index.m3u8?token=tok123456", "tok123456"),
        ("/v1/objects/local/a?expires=1&signature=sig123456", "sig123456"),
        ("authorization: Bearer abc.def", "abc.def"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln is expired", "c2ln"),
        ("cannot reach postgresql://me:pass1234@db/media", "pass1234"),
        (f"key {make_key().text} is revoked", "_"),
        (f"secret {write_secret(make_secret())}", "whsec"),
    ],
    ids=["S3 signature", "S3 key", "playback token", "link", "bearer", "JWT", "DSN", "API key", "webhook secret"],
)
def test_secrets_are_masked(text, secret):
    """What lets somebody in is dots; the rest can still be read."""
    shown = mask_secrets(None, "info", {"event": text, "number": 5})
    assert secret not in shown["event"] and "…" in shown["event"]
    assert shown["event"][:4] == text[:4] or text.startswith("eyJ")
    assert shown["number"] == 5


@pytest.mark.parametrize("text", ["asset a1 is ready", "GET /v1/assets?status=ready", "https://example.com:8080/a@b"])
def test_what_is_no_secret_stays(text):
    """Ordinary text is not touched."""
    assert mask_secrets(None, "info", {"event": text})["event"] == text
