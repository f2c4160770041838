"""Settings of arrivals without a call: what buckets tell, and scans. Part of `Settings`."""

from dataclasses import dataclass

from mediaplane.settings import values
from mediaplane.settings.describing import setting


@dataclass(frozen=True)  # without slots, as `Settings` has several parts
class ArrivalSettings:
    """How originals are found that nobody announces."""

    notice_secret: str = setting(
        "MEDIAPLANE_NOTICE_SECRET",
        values.secret,
        "",
        "what servers prove themselves with that tell /v1/events/s3 of new objects; empty: keys that may `operate` can",
        secret=True,
    )
    notice_topics: tuple[str, ...] = setting(
        "MEDIAPLANE_NOTICE_TOPICS",
        values.names,
        (),
        "ARNs of the SNS topics whose signed messages /v1/events/s3 takes and whose subscriptions it confirms",
    )
    notice_queues: tuple[str, ...] = setting(
        "MEDIAPLANE_NOTICE_QUEUES",
        values.each(values.url("https", "http")),
        (),
        "queues that workers take buckets' notices from: URLs of SQS queues, or of Cloudflare queues "
        "(https://api.cloudflare.com/client/v4/accounts/ACCOUNT/queues/QUEUE)",
    )
    notice_queue_token: str = setting(
        "MEDIAPLANE_NOTICE_QUEUE_TOKEN",
        values.text,
        "",
        "Cloudflare API token that may edit queues; SQS takes the keys of S3, or the machine's role",
        secret=True,
    )
    scan_minutes: int = setting(
        "MEDIAPLANE_SCAN_MINUTES",
        values.whole(0, 525_600),
        0,
        "how often workers scan the stores for originals that were put there by hand; 0: only `mediaplane scan`",
    )
