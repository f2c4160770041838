"""Every setting, with its variables, its reader and its description."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from mediaplane.media.clip_names import PLAIN_STYLE, Style, read_style
from mediaplane.media.keys import Layout
from mediaplane.profile import DEFAULT_STORE, StoreSettings, read_prefix
from mediaplane.settings import values
from mediaplane.settings.arrivals import ArrivalSettings
from mediaplane.settings.describing import setting as _setting
from mediaplane.settings.tokens import TokenSettings

# Their abilities stand in `storage/providers.py`.
PROVIDER_NAMES = (
    "aws", "r2", "hetzner", "minio", "ceph", "seaweedfs", "google", "digitalocean", "backblaze", "other",
)  # fmt: skip
DEFAULT_BUCKET = "mediaplane"


@dataclass(frozen=True, slots=True)
class Settings(TokenSettings, ArrivalSettings):
    """Every setting; the metadata of each field has its variable, reader and description."""

    environment: str = _setting(
        "MEDIAPLANE_ENV",
        values.one_of("dev", "staging", "prod"),
        "dev",
        "which [environments.…] of the profile applies",
    )
    state_dir: Path = _setting(
        "MEDIAPLANE_STATE_DIR", Path, Path(".mediaplane"), "everything embedded lives below this directory"
    )
    database_url: str = _setting(
        "DATABASE_URL",
        values.url("postgresql", "postgres"),
        "",
        "a PostgreSQL of your own; empty: embedded",
        secret=True,
    )
    storage_mode: str = _setting(
        "STORAGE_MODE",
        values.one_of("local", "s3", "hybrid"),
        "s3",
        "where new bytes are written: to directories, to buckets, or some assets here and some there",
    )
    s3_split_percentage: float = _setting(
        "S3_SPLIT_PERCENTAGE",
        values.real(0, 100),
        10.0,
        "how many of 100 assets go to buckets while the mode is hybrid",
    )
    local_dir: str = _setting(
        "MEDIAPLANE_LOCAL_DIR",
        values.text,
        "",
        "directory of the local store; empty: STATE_DIR/media",
        also=("YTDLP_DOWNLOAD_DIR",),
    )
    s3_endpoint: str = _setting(
        "S3_ENDPOINT",
        values.url("http", "https"),
        "",
        "S3 endpoint; empty: embedded SeaweedFS",
        also=("S3_ENDPOINT_URL", "R2_ENDPOINT_URL"),
        derived=(("R2_ACCOUNT_ID", "https://{value}.r2.cloudflarestorage.com"),),
        ambient=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    )
    s3_provider: str = _setting(
        "S3_PROVIDER",
        values.one_of(*PROVIDER_NAMES),
        "",
        "whose S3 it is; empty: known by the endpoint's host, else `other`",
    )
    s3_bucket: str = _setting(
        "S3_BUCKET", values.text, DEFAULT_BUCKET, "bucket", also=("R2_BUCKET_NAME", "S3_MEDIA_BUCKET")
    )
    s3_bucket_in: str = _setting("S3_BUCKET_IN", values.text, "", "bucket that scripts read from; empty: S3_BUCKET")
    s3_bucket_out: str = _setting("S3_BUCKET_OUT", values.text, "", "bucket that scripts write to; empty: S3_BUCKET")
    s3_prefix: str = _setting(
        "S3_PREFIX",
        read_prefix,
        "",
        "folder before every key that is written, or where the layout says {prefix}",
        also=("S3_VIDEO_PREFIX",),
    )
    s3_public_url: str = _setting(
        "S3_PUBLIC_URL",
        values.url("http", "https"),
        "",
        "what stands before the keys of public stores: a CDN",
        also=("R2_PUBLIC_URL", "PUBLIC_BASE_URL"),
    )
    s3_cdn_url: str = _setting(
        "S3_CDN_URL",
        values.url("http", "https"),
        "",
        "a CDN before the private store, which checks links itself; with several stores each says its own `cdn_url`",
    )
    s3_cdn_keys: str = _setting(
        "S3_CDN_KEYS",
        values.text,
        "",
        "keys of such links, id:secret with commas between: the first signs, the CDN knows all",
        secret=True,
    )
    s3_region: str = _setting(
        "S3_REGION",
        values.text,
        "",
        "region that signatures name; empty: the provider's",
        also=("R2_REGION",),
        ambient=("AWS_REGION", "AWS_DEFAULT_REGION"),
    )
    s3_credentials: str = _setting(
        "S3_CREDENTIALS",
        values.one_of("auto", "settings", "role"),
        "auto",
        "where keys come from: `settings` alone; `role`: files and roles of the machine (instance, container, web "
        "identity); `auto`: settings, else on Amazon or with AWS_PROFILE the role",
    )
    s3_profile: str = _setting(
        "S3_PROFILE", values.text, "", "section of the AWS files with the keys", ambient=("AWS_PROFILE",)
    )
    s3_access_key_id: str = _setting(
        "S3_ACCESS_KEY_ID",
        values.text,
        "",
        "access key",
        also=("R2_ACCESS_KEY_ID",),
        ambient=("AWS_ACCESS_KEY_ID",),
        per_role=True,
    )
    s3_secret_access_key: str = _setting(
        "S3_SECRET_ACCESS_KEY",
        values.text,
        "",
        "secret key",
        also=("R2_SECRET_ACCESS_KEY",),
        ambient=("AWS_SECRET_ACCESS_KEY",),
        secret=True,
        per_role=True,
    )
    s3_session_token: str = _setting(
        "S3_SESSION_TOKEN",
        values.text,
        "",
        "session token of temporary keys",
        ambient=("AWS_SESSION_TOKEN",),
        secret=True,
        per_role=True,
    )
    s3_session_expires: str = _setting(
        "S3_SESSION_EXPIRES", values.text, "", "when temporary keys end (ISO 8601); no URL outlives it", per_role=True
    )
    s3_addressing: str = _setting(
        "S3_ADDRESSING",
        values.one_of("auto", "path", "virtual"),
        "auto",
        "bucket in path or host name; auto: as the provider wants it",
    )
    s3_ca_file: str = _setting("S3_CA_FILE", values.text, "", "PEM file that signs the endpoint's certificate")
    signing_key: str = _setting(
        "MEDIAPLANE_SIGNING_KEY",
        values.text,
        "",
        "HMAC key of links; empty: made once in the state directory",
        secret=True,
    )
    public_url: str = _setting(
        "MEDIAPLANE_PUBLIC_URL", values.url("http", "https"), "", "how clients reach the gateway"
    )
    gateway_host: str = _setting(
        "MEDIAPLANE_HOST",
        values.text,
        "127.0.0.1",
        "address of the gateway; other than loopback only with MEDIAPLANE_AUTH",
    )
    gateway_port: int = _setting(
        "MEDIAPLANE_PORT", values.whole(0, 65535), 8420, "port of the gateway; 0: any free one"
    )
    link_minutes: int = _setting(
        "MEDIAPLANE_LINK_MINUTES", values.whole(2, 10080), 60, "how long a signed link lives at least"
    )
    playback_minutes: int = _setting(
        "MEDIAPLANE_PLAYBACK_MINUTES",
        values.whole(2, 10080),
        720,
        "how long a playlist's URL and those in it live at least: players read a playlist once",
    )
    upload_minutes: int = _setting(
        "MEDIAPLANE_UPLOAD_MINUTES", values.whole(2, 10080), 15, "how long a URL to upload with lives at most"
    )
    upload_hours: int = _setting(
        "MEDIAPLANE_UPLOAD_HOURS", values.whole(1, 720), 24, "an upload nobody goes on with is removed after this"
    )
    upload_max_mb: int = _setting(
        "MEDIAPLANE_UPLOAD_MAX_MB", values.whole(1, 5_000_000), 51_200, "the largest file that may be uploaded, in MiB"
    )
    upload_types: tuple[str, ...] = _setting(
        "MEDIAPLANE_UPLOAD_TYPES",
        values.names,
        ("video/*", "audio/*", "image/*"),
        "media types that may be uploaded; the bytes are looked at, not only what is said",
    )
    upload_needs_task: bool = _setting(
        "MEDIAPLANE_UPLOAD_NEEDS_TASK", values.yes_no, False, "contributors upload for tasks only"
    )
    review_tiers: int = _setting(
        "MEDIAPLANE_REVIEW_TIERS",
        values.whole(1, 9),
        1,
        "how many tiers must approve a submission, where its task says nothing",
    )
    review_minutes: int = _setting(
        "MEDIAPLANE_REVIEW_MINUTES",
        values.whole(1, 1440),
        30,
        "how long a validator has a submission on the desk before others may take it",
    )
    origins: tuple[str, ...] = _setting(
        "MEDIAPLANE_ORIGINS",
        values.each(values.origin),
        (),
        "pages of other sites that may use the API, such as https://app.example.com or https://*.example.com",
    )
    owner: str = _setting("MEDIAPLANE_OWNER", values.text, "local", "owner of what this process makes")
    team: str = _setting("MEDIAPLANE_TEAM", values.text, "local", "team of what this process makes")
    auth: bool = _setting(
        "MEDIAPLANE_AUTH",
        values.yes_no,
        False,
        "on: every request needs a key or token; off: loopback only, all is OWNER's",
    )
    proxies: tuple[str, ...] = _setting(
        "MEDIAPLANE_PROXIES",
        values.names,
        (),
        "addresses or networks of reverse proxies that may say for whom they ask",
    )
    rate_per_second: float = _setting(
        "MEDIAPLANE_RATE_PER_SECOND",
        values.real(0, 1_000_000),
        100.0,
        "requests a second of one key, of an address five times as many; bursts of ten seconds' worth; 0: any number; "
        "not counted on loopback without accounts",
    )
    metrics_token: str = _setting(
        "MEDIAPLANE_METRICS_TOKEN",
        values.text,
        "",
        "lets a collector read /metrics as `Authorization: Bearer …`, beside keys that may `operate`",
        secret=True,
    )
    drain_seconds: float = _setting(
        "MEDIAPLANE_DRAIN_SECONDS",
        values.real(0, 300),
        0.0,
        "a gateway told to stop says so in /readyz for so long before it takes no more requests",
    )
    webhook_private: bool = _setting(
        "MEDIAPLANE_WEBHOOK_PRIVATE",
        values.yes_no,
        False,
        "webhooks may go to private and loopback addresses and over plain HTTP, too",
    )
    event_days: int = _setting("MEDIAPLANE_EVENT_DAYS", values.whole(1, 3650), 7, "events can be replayed for so long")
    workers: int = _setting("MEDIAPLANE_WORKERS", values.whole(1, 64), 1, "worker processes that `up` starts")
    worker_slots: int = _setting(
        "MEDIAPLANE_WORKER_SLOTS", values.whole(0, 256), 0, "runs at once per worker; 0: one a core"
    )
    lease_seconds: int = _setting(
        "MEDIAPLANE_LEASE_SECONDS", values.whole(3, 3600), 30, "a silent worker's run is free after this"
    )
    retry_waits: tuple[timedelta, ...] = _setting(
        "MEDIAPLANE_RETRY_MINUTES",
        values.each(values.minutes),
        (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)),
        "waits before each retry, in minutes",
    )
    chunk_seconds: int = _setting(
        "MEDIAPLANE_CHUNK_SECONDS", values.whole(6, 3600), 60, "chunks have about this length"
    )
    frames_per_second: float = _setting(
        "FRAMES_PER_SECOND", values.real(0.1, 60), 10.0, "how often a frame is looked at"
    )
    ocr_engine: str = _setting(
        "OCR_ENGINE",
        values.one_of("rapidocr", "tesseract", "off"),
        "rapidocr",
        "who reads the screen; tesseract is a program of its own, found on the PATH",
    )
    ocr_languages: tuple[str, ...] = _setting(
        "OCR_LANGUAGES", values.names, ("en",), "languages of the text: en,de or eng,deu"
    )
    ocr_min_confidence: float = _setting("OCR_MIN_CONFIDENCE", values.real(0, 1), 0.6, "text below this is dropped")
    ocr_debug_pictures: bool = _setting(
        "OCR_DEBUG_PICTURES", values.yes_no, False, "keep frames with boxes and text drawn in"
    )
    rendition_sides: tuple[int, ...] = _setting(
        "HLS_SHORT_SIDES",
        values.each(values.whole(64, 8192)),
        (1080, 720, 360),
        "short sides of HLS renditions, in pixels",
    )
    progressive_proxy: bool = _setting(
        "PROGRESSIVE_PROXY", values.yes_no, False, "also make one MP4 a browser can download"
    )
    clip_padding_ms: int = _setting("CLIP_PADDING_MS", values.whole(0, 600_000), 2000, "added before and after a clip")
    clip_expiry: timedelta = _setting(
        "CLIP_EXPIRY_DAYS", values.days, timedelta(days=30), "clips are removed after this many days"
    )
    clip_styles: tuple[Style, ...] = _setting(
        "CLIP_STYLES",
        values.each(read_style),
        tuple(map(read_style, (PLAIN_STYLE, "vertical=9:16", "square=1:1"))),
        "how clips may be cut: a name, and the shape that is cut out of the middle where there is one",
    )
    highlights: str = _setting(
        "HIGHLIGHTS",
        values.text,
        "off",
        "who looks for highlights: `default`, or a detector that a package registers; off: nobody",
    )
    highlight_count: int = _setting(
        "HIGHLIGHT_COUNT", values.whole(1, 99), 10, "how many highlights are kept of a recording at most"
    )
    highlight_seconds: tuple[int, ...] = _setting(
        "HIGHLIGHT_SECONDS",
        values.span(1, 600),
        (15, 60),
        "how long a highlight is: shortest and longest, in seconds",
    )
    max_decode_seconds: int = _setting(
        "MAX_DECODE_SECONDS", values.whole(10, 86400), 3600, "a tool's run is ended after this"
    )
    max_decode_mb: int = _setting(
        "MAX_DECODE_MB", values.whole(1024, 1_000_000), 8192, "address space of a tool's process"
    )
    layout: Layout = field(default_factory=lambda: Layout({}), metadata={})
    stores: tuple[StoreSettings, ...] = field(default=(StoreSettings(DEFAULT_STORE),), metadata={})
    placement: Mapping[str, str] = field(default_factory=lambda: {"default": DEFAULT_STORE}, metadata={})
    views: tuple[str, ...] = field(default=(), metadata={})
    bucket: Mapping[str, Any] = field(default_factory=dict, metadata={})  # `[bucket]` of the profile
    plans: Mapping[str, Any] = field(
        default_factory=dict, metadata={}
    )  # `[plans]` of it, as `media/quotas.py` reads it
    profile: str = "cortana-vision"
    sources: Mapping[str, str] = field(default_factory=dict, metadata={})  # field name to where its value came from

    def local_url(self, port: int) -> str:
        """Return how this machine reaches the gateway, which may listen on all addresses."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.gateway_host, self.gateway_host)  # noqa: S104
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def filled_in(self, source: str, **found: Any) -> "Settings":
        """Return these settings with `found` in place of values that no environment variable gave."""
        chosen: dict[str, Any] = {
            name: value for name, value in found.items() if value and not self._from_environment(name)
        }
        return replace(self, **chosen, sources={**self.sources, **dict.fromkeys(chosen, source)})

    def following(
        self,
        source: str,
        *,
        stores: tuple[StoreSettings, ...],
        placement: Mapping[str, str],
        layout: Layout,
        **found: Any,
    ) -> "Settings":
        """Return these settings with the places of another process's bytes, which must be the same for all.

        Keys that the environment gives for a store stay: they may be those of a role.
        """
        own = {store.name: store for store in self.stores}
        followed = tuple(store.with_keys_of(own.get(store.name, store)) for store in stores)
        return replace(self.filled_in(source, **found), stores=followed, placement=placement, layout=layout)

    def _from_environment(self, name: str) -> bool:
        source = self.sources.get(name, "default")
        return source != "default" and not source.startswith("profile ")


def described() -> list[Any]:
    """Return the fields that are settings, those of parts last; the metadata of each tells all about it."""
    parts = {entry.name for part in (TokenSettings, ArrivalSettings) for entry in fields(part)}
    found = [entry for entry in fields(Settings) if "variable" in entry.metadata]
    return sorted(found, key=lambda entry: entry.name in parts)
