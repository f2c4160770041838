"""Signatures of webhooks, against the scheme's own vector."""

import base64
from datetime import UTC, datetime

import pytest

from mediaplane.media.webhooks import make_secret, sign, verify, write_body, write_secret

# Source: Standard Webhooks, test vectors of the reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": SIGNATURE,
}
NOW = 1614265330.0


def test_sign_is_the_scheme():
    """The scheme's own example comes out, byte for byte."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    assert sign(HEADERS["webhook-id"], 1614265330, BODY, [key]) == SIGNATURE
    assert verify(SECRET, HEADERS, BODY, now=NOW)


def test_rotated_secret_signs_twice():
    """While a secret is replaced, both verify."""
    old, new = make_secret(), make_secret()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "100",
        "webhook-signature": sign("msg_1", 100, b"{}", [new, old]),
    }
    assert verify(write_secret(old), headers, b"{}", now=100) and verify(write_secret(new), headers, b"{}", now=100)


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (HEADERS, BODY + b" ", NOW),
        (HEADERS, BODY, NOW + 301),
        (HEADERS, BODY, NOW - 301),
        ({**HEADERS, "webhook-id": "msg_other"}, BODY, NOW),
        ({**HEADERS, "webhook-timestamp": "1614265331"}, BODY, NOW),
        ({**HEADERS, "webhook-timestamp": "x"}, BODY, NOW),
        ({**HEADERS, "webhook-signature": "v1,AAAA"}, BODY, NOW),
        ({}, BODY, NOW),
    ],
)
def test_what_is_not_ours_or_not_fresh(headers, body, now):
    """A changed body, id, time or signature, and a message kept back, are all refused."""
    assert not verify(SECRET, headers, body, now=now)


def test_body_is_small_json_with_utc_time():
    """Type, time and data, in UTF-8."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert write_body("asset.ready", at, {"title": "é"}) == (
        '{"type":"asset.ready","timestamp":"2026-01-02T03:04:05.678Z","data":{"title":"é"}}'.encode()
    )
