"""What `doctor` says of notices: what buckets are to tell fits what is taken here."""

import pytest

from mediaplane.cli.doctor import _check_notices
from mediaplane.errors import ServiceFailed
from mediaplane.settings import load_settings

SECRET = "0123456789abcdef"


def settings(tmp_path, events: str, **environ: str):
    profile = tmp_path / "own.toml"
    profile.write_text(f'[layout]\noriginal = "in/{{path}}"\n[bucket]\nevents = "{events}"\n')
    keys = {"S3_ENDPOINT": "https://ceph.example.com", "S3_ACCESS_KEY_ID": "k", "S3_SECRET_ACCESS_KEY": "s"}
    return load_settings({"MEDIAPLANE_PROFILE": str(profile), "S3_PROVIDER": "ceph", **keys, **environ})


@pytest.mark.parametrize(
    "events",
    [f"https://media.example.com/v1/events/s3/{SECRET}", f"https://ceph:{SECRET}@media.example.com/v1/events/s3"],
)
async def test_secret_is_the_same_on_both_sides(tmp_path, events):
    """In the path or as a password; without one here, or with another, nothing would be taken."""
    assert "pushed" in await _check_notices(settings(tmp_path, events, MEDIAPLANE_NOTICE_SECRET=SECRET))
    for wrong in ("", SECRET[::-1]):
        with pytest.raises(ServiceFailed, match="MEDIAPLANE_NOTICE_SECRET") as raised:
            await _check_notices(settings(tmp_path, events, MEDIAPLANE_NOTICE_SECRET=wrong))
        assert SECRET not in raised.value.message


async def test_ways_are_told(tmp_path):
    """Which ways there are; none is no fault, but said."""
    assert "only" in await _check_notices(settings(tmp_path, "https://elsewhere.example.com/hook"))
    ways = {"MEDIAPLANE_NOTICE_QUEUES": "https://sqs.eu-west-1.amazonaws.com/1/q", "MEDIAPLANE_SCAN_MINUTES": "60"}
    said = await _check_notices(settings(tmp_path, "arn:aws:sqs:eu-west-1:1:q", **ways))
    assert "1 queues" in said and "60 minutes" in said
