"""What `doctor` examines: each check says in one line what is right, or what is wrong and what to do."""

import asyncio
import shutil
import subprocess
import urllib.error
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import imageio_ffmpeg

from mediaplane.cli.output import size
from mediaplane.cli.session import open_url
from mediaplane.errors import MediaplaneError, SchemaOutOfDate, ServiceFailed
from mediaplane.media.ids import new_id
from mediaplane.media.keys import check_key
from mediaplane.pipeline.tools.engine import open_engine
from mediaplane.postgres import connect, pending_migrations
from mediaplane.settings import Settings
from mediaplane.storage.bucket.apply import plan
from mediaplane.storage.bucket.targets import probe_prefix, read_targets
from mediaplane.storage.connectivity import find_unusable
from mediaplane.storage.open import OpenStore
from mediaplane.wiring import open_configured_stores, read_signing_key

DISK_MIN_BYTES = 2_000_000_000  # a chunk's renditions and frames, several times over
# Source: Amazon S3, "RequestTimeTooSkewed": more than 15 minutes are refused. Well before that URLs live too short.
SKEW_MAX_SECONDS = 60.0
NOTICES_PATH = "/v1/events/s3"
PROBE_BYTES = b"0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    message: str


async def examine(settings: Settings) -> list[Finding]:
    """Make every check, one after the other; a failed one does not stop the rest."""
    stores = open_configured_stores(settings, read_signing_key(settings))
    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("database", lambda: _check_database(settings)),
        ("migrations", lambda: _check_migrations(settings)),
    ]
    wrong = await asyncio.to_thread(find_unusable, settings)
    for name, opened in stores.items():
        problem = wrong.get(name)
        checks.append((f"store {name}", lambda o=opened, p=problem: _check_store(settings, o, p)))  # type: ignore[misc]
    checks += [
        ("bucket", lambda: _check_buckets(settings)),
        ("notices", lambda: _check_notices(settings)),
        ("gateway", lambda: _check_gateway(settings)),
        ("ffmpeg", _check_ffmpeg),
        ("ocr", lambda: _check_ocr(settings)),
        ("disk", lambda: _check_disk(settings)),
        ("clock", lambda: _check_clock(settings, stores)),
    ]
    return [await _make(name, check) for name, check in checks]


async def _make(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(name, ok=True, message=await check())
    except MediaplaneError as error:
        return Finding(name, ok=False, message=error.message)
    except OSError as error:
        return Finding(name, ok=False, message=str(error))


async def _check_database(settings: Settings) -> str:
    async with await connect(settings.database_url) as conn:
        row = await (await conn.execute("SHOW server_version")).fetchone()
    version = row[0] if row else "?"
    if int(str(version).split(".", maxsplit=1)[0]) < 15:
        raise ServiceFailed(f"PostgreSQL {version} is too old: 15 or newer is needed (DATABASE_URL)")
    return f"PostgreSQL {version} answers"


async def _check_migrations(settings: Settings) -> str:
    if waiting := await pending_migrations(settings.database_url):
        raise SchemaOutOfDate(f"{len(waiting)} migrations are missing ({waiting[0]} …): `mediaplane up` applies them")
    return "the schema is up to date"


async def _check_store(settings: Settings, opened: OpenStore, problem: MediaplaneError | None) -> str:
    """Put, get, range, get by URL, delete, on a key of our own; `problem` is what a first look found."""
    if problem:
        raise problem
    own_prefix = probe_prefix(settings, opened.name) if opened.endpoint else ""
    key = check_key(f"{own_prefix}mediaplane-doctor/{new_id()}")
    store = opened.store
    await store.put(key, _body(), content_type="application/octet-stream")
    try:
        if await _read(store.read(key)) != PROBE_BYTES:
            raise ServiceFailed("what was read is not what was written")
        if await _read(store.read(key, start=4, length=4)) != PROBE_BYTES[4:8]:
            raise ServiceFailed("a range of bytes came back wrong: the endpoint does not honour Range")
        if opened.endpoint:  # local links are served by the gateway, which has no row for this key
            await asyncio.to_thread(_fetch_by_url, settings, opened, opened.signer.sign_get(key))
    finally:
        await store.delete([key])
    if not opened.endpoint:
        return "put, get, range and delete work"
    return f"put, get, range, {'public' if opened.public else 'signed'} get and delete work{_unused_url(settings)}"


def _fetch_by_url(settings: Settings, opened: OpenStore, url: str) -> None:
    refused = "a signed URL was refused: check clock and keys"
    if opened.public:
        refused = f"{url} was refused: check S3_PUBLIC_URL, and that the bucket is public (mediaplane bucket apply)"
    _fetch(settings, url, refused)


def _unused_url(settings: Settings) -> str:
    public = any(store.tier == "public" for store in settings.stores)
    source = settings.sources.get("s3_public_url", "S3_PUBLIC_URL")
    return f"; {source} is not used, no store is public" if settings.s3_public_url and not public else ""


async def _check_buckets(settings: Settings) -> str:
    """Compare the buckets' settings with the profile; what is not managed, or cannot be read, is only told."""
    targets = read_targets(settings)
    if not targets:
        return "no store has a bucket"
    remarks: list[str] = []
    drifted: list[str] = []
    for target in targets:
        found = await asyncio.to_thread(plan, target.endpoint, target.wanted)
        names = ", ".join(dict.fromkeys(change.setting for change in found.changes))
        if found.changes:
            (drifted if target.rules.managed else remarks).append(f"{target.endpoint.bucket} differs in {names}")
        if found.unknown and target.rules.managed:
            remarks.append(f"{target.endpoint.bucket}: the keys may not read {', '.join(found.unknown)}")
    if drifted:
        raise ServiceFailed(f"{'; '.join(drifted)}: see `mediaplane bucket plan`, mend with `mediaplane bucket apply`")
    return "; ".join(remarks) or f"{', '.join(target.endpoint.bucket for target in targets)} as the profile wants"


async def _check_notices(settings: Settings) -> str:
    """Compare what buckets are to tell with what is taken here; queues are not asked, as that takes from them."""
    for target in read_targets(settings):
        parts = urlsplit(target.rules.events)
        _, ours, token = parts.path.partition(NOTICES_PATH)
        if not ours:
            continue
        if not settings.notice_secret:
            raise ServiceFailed(
                f"{target.endpoint.bucket} is to tell this gateway, but MEDIAPLANE_NOTICE_SECRET is empty"
            )
        if settings.notice_secret not in (token.strip("/"), parts.password):
            raise ServiceFailed(
                f"{target.endpoint.bucket} is to tell this gateway, but [bucket] events has another secret than "
                "MEDIAPLANE_NOTICE_SECRET: change one and `mediaplane bucket apply`"
            )
    ways = ["pushed"] if settings.notice_secret or settings.notice_topics else []
    ways += [f"from {len(settings.notice_queues)} queues"] if settings.notice_queues else []
    ways += [f"by a scan every {settings.scan_minutes} minutes"] if settings.scan_minutes else []
    if not ways:
        return "what is put into buckets by hand is found by `mediaplane scan` only (docs/arrivals.md)"
    return f"what is put into buckets by hand is found {', '.join(ways)}"


async def _check_gateway(settings: Settings) -> str:
    url = settings.public_url
    await asyncio.to_thread(
        _fetch, settings, f"{url}/healthz", f"nobody answers at {url}: is `mediaplane up` (or serve) running?"
    )
    return f"{url} answers"


async def _check_ffmpeg() -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-encoders"]
    listed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    missing = [name for name in ("libx264", "aac", "mjpeg") if f" {name} " not in listed.stdout]
    if missing:
        raise ServiceFailed(
            f"ffmpeg at {command[0]} lacks {', '.join(missing)}: install the locked packages again (make demo)"
        )
    return f"{imageio_ffmpeg.get_ffmpeg_version()} with libx264 and aac"


async def _check_ocr(settings: Settings) -> str:
    if settings.ocr_engine == "off":
        return "off (OCR_ENGINE): no text will be read"
    await asyncio.to_thread(open_engine, settings.ocr_engine, settings.ocr_languages)
    return f"{settings.ocr_engine} reads {', '.join(settings.ocr_languages)}"


async def _check_disk(settings: Settings) -> str:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.state_dir).free
    if free < DISK_MIN_BYTES:
        raise ServiceFailed(
            f"only {size(free)} are free in {settings.state_dir}: free some, or move it (MEDIAPLANE_STATE_DIR)"
        )
    return f"{size(free)} free in {settings.state_dir}"


async def _check_clock(settings: Settings, stores: Mapping[str, OpenStore]) -> str:
    """Compare our clock with the stores', or with the database's where they are directories."""
    largest = 1.0
    urls = sorted({opened.endpoint.url for opened in stores.values() if opened.endpoint})
    for url in urls or [""]:
        ours = datetime.now(UTC)
        theirs = await (asyncio.to_thread(_date_of, settings, url) if url else _time_of_database(settings))
        skew = abs((theirs - ours).total_seconds())
        if skew > SKEW_MAX_SECONDS:
            raise ServiceFailed(
                f"the clock differs by {skew:.0f} s from that of {url or 'the database'}, so signatures will be "
                "refused: set the clock (NTP)"
            )
        largest = max(largest, skew)
    return f"within {largest:.0f} s of {', '.join(urls) or 'the database'}"


async def _time_of_database(settings: Settings) -> datetime:
    async with await connect(settings.database_url) as conn:
        row = await (await conn.execute("SELECT now()")).fetchone()
    return row[0] if row else datetime.now(UTC)


def _fetch(settings: Settings, url: str, complaint: str) -> bytes:
    try:
        with open_url(url, settings, timeout_seconds=10) as answer:
            return answer.read()
    except OSError as error:
        raise ServiceFailed(f"{complaint} ({error})") from error


def _date_of(settings: Settings, url: str) -> datetime:
    try:
        with open_url(url, settings, timeout_seconds=10) as answer:
            date = answer.headers["Date"]  # type: ignore[attr-defined]
    except urllib.error.HTTPError as refusal:  # refused without a signature, but with a date
        date = refusal.headers["Date"]
    except OSError as error:
        raise ServiceFailed(f"the endpoint {url} does not answer ({error})") from error
    return parsedate_to_datetime(date)


async def _body() -> AsyncIterator[bytes]:
    yield PROBE_BYTES


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
