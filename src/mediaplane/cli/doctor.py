"""What `doctor` examines: each check says in one line what is right, or what is wrong and what to do."""

import asyncio
import shutil
import subprocess
import urllib.error
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import imageio_ffmpeg

from mediaplane.cli.output import size
from mediaplane.cli.session import open_url
from mediaplane.errors import MediaplaneError, SchemaOutOfDate, ServiceFailed
from mediaplane.media.ids import new_id
from mediaplane.media.keys import check_key
from mediaplane.pipeline.tools.engine import open_engine
from mediaplane.postgres import connect, pending_migrations
from mediaplane.settings import Settings
from mediaplane.storage.open import OpenStore
from mediaplane.wiring import open_configured_stores, read_signing_key

DISK_MIN_BYTES = 2_000_000_000  # a chunk's renditions and frames, several times over
# Source: Amazon S3, "RequestTimeTooSkewed": more than 15 minutes are refused. Well before that URLs live too short.
SKEW_MAX_SECONDS = 60.0
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
    for name, opened in stores.items():
        checks.append((f"store {name}", lambda opened=opened: _check_store(settings, opened)))  # type: ignore[misc]
    checks += [
        ("gateway", lambda: _check_gateway(settings)),
        ("ffmpeg", _check_ffmpeg),
        ("ocr", lambda: _check_ocr(settings)),
        ("disk", lambda: _check_disk(settings)),
        ("clock", lambda: _check_clock(settings)),
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


async def _check_store(settings: Settings, opened: OpenStore) -> str:
    """Put, get, range, signed get, delete, on a key of our own."""
    key = check_key(f"mediaplane-doctor/{new_id()}")
    store = opened.store
    await store.put(key, _body(), content_type="application/octet-stream")
    try:
        if await _read(store.read(key)) != PROBE_BYTES:
            raise ServiceFailed("what was read is not what was written")
        if await _read(store.read(key, start=4, length=4)) != PROBE_BYTES[4:8]:
            raise ServiceFailed("a range of bytes came back wrong: the endpoint does not honour Range")
        if opened.name != "local":  # local links are served by the gateway, which has no row for this key
            await asyncio.to_thread(
                _fetch, settings, opened.signer.sign_get(key), "a signed URL was refused: check clock and keys"
            )
    finally:
        await store.delete([key])
    return (
        "put, get, range, signed get and delete work" if opened.name != "local" else "put, get, range and delete work"
    )


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


async def _check_clock(settings: Settings) -> str:
    """Compare our clock with the store's, or with the database's where the store is a directory."""
    ours = datetime.now(UTC)
    if settings.s3_endpoint:
        theirs = await asyncio.to_thread(_date_of, settings)
    else:
        async with await connect(settings.database_url) as conn:
            row = await (await conn.execute("SELECT now()")).fetchone()
        theirs = row[0] if row else ours
    skew = abs((theirs - ours).total_seconds())
    if skew > SKEW_MAX_SECONDS:
        raise ServiceFailed(
            f"the clock differs from the store's by {skew:.0f} s, so signatures will be refused: set the clock (NTP)"
        )
    return f"within {max(skew, 1):.0f} s of the store's"


def _fetch(settings: Settings, url: str, complaint: str) -> bytes:
    try:
        with open_url(url, settings, timeout_seconds=10) as answer:
            return answer.read()
    except OSError as error:
        raise ServiceFailed(f"{complaint} ({error})") from error


def _date_of(settings: Settings) -> datetime:
    try:
        with open_url(settings.s3_endpoint, settings, timeout_seconds=10) as answer:
            date = answer.headers["Date"]  # type: ignore[attr-defined]
    except urllib.error.HTTPError as refusal:  # refused without a signature, but with a date
        date = refusal.headers["Date"]
    except OSError as error:
        raise ServiceFailed(f"S3_ENDPOINT {settings.s3_endpoint} does not answer ({error})") from error
    return parsedate_to_datetime(date)


async def _body() -> AsyncIterator[bytes]:
    yield PROBE_BYTES


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
