"""The only place that chooses implementations: from settings to a working plane.

What is slow to import (boto3, PgQueuer, numpy, PyAV) is imported where it is needed: a command that only reads
starts in half the time.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mediaplane.access.links import PlaybackTokens
from mediaplane.access.playback import frame_url, playback_url
from mediaplane.access.uploads import Uploader
from mediaplane.catalog import lexicon
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.embedded.running import find_running
from mediaplane.embedded.seaweed import EmbeddedSeaweed
from mediaplane.errors import AccessDenied
from mediaplane.jobs.periodic import Periodic
from mediaplane.jobs.stage import Stage
from mediaplane.postgres import Pool, open_pool
from mediaplane.settings import Settings
from mediaplane.storage.endpoint import read_endpoint
from mediaplane.storage.local import LocalStore
from mediaplane.storage.open import OpenStore, open_stores
from mediaplane.upkeep import deletion, sweeping
from mediaplane.upkeep.scanner import Scanner

ABANDONED_AFTER = timedelta(days=1)


if TYPE_CHECKING:
    from mediaplane.pipeline.flow import Flow


@dataclass(frozen=True, slots=True)
class Plane:
    """Everything a process needs: database, stores and settings, opened."""

    settings: Settings
    pool: Pool
    stores: dict[str, OpenStore]
    signing_key: bytes

    @property
    def flow(self) -> "Flow":
        """The pipeline's plan."""
        from mediaplane.pipeline.flow import Flow

        return Flow(self.settings)

    @property
    def write_store(self) -> OpenStore:
        """The store that new bytes go to; the mode decides."""
        return self.stores[self.settings.storage_mode]

    @property
    def tokens(self) -> PlaybackTokens:
        """Makes and checks what lets a URL play an asset."""
        return PlaybackTokens(self.signing_key, lifetime=timedelta(minutes=self.settings.playback_minutes))

    def playback_url(self, asset_id: str, *, start_ms: int = 0) -> str:
        """Return a URL that plays the asset from a time on."""
        return playback_url(self.settings.public_url, asset_id, self.tokens.make_token(asset_id), start_ms=start_ms)

    def frame_url(self, asset_id: str, timestamp_ms: int | None) -> str | None:
        """Return a URL of a kept frame."""
        return frame_url(self.settings.public_url, asset_id, self.tokens.make_token(asset_id), timestamp_ms)

    def uploader(self) -> Uploader:
        """Return the writer of files of this process's owner."""
        return Uploader(
            pool=self.pool,
            store_name=self.write_store.name,
            store=self.write_store.store,
            layout=self.settings.layout,
            owner=self.settings.owner,
            team=self.settings.team,
            advance=self.flow.advance,
        )

    def scanner(self) -> Scanner:
        """Return the scanner of the store that new bytes go to."""
        return Scanner(
            pool=self.pool,
            store_name=self.write_store.name,
            store=self.write_store.store,
            layout=self.settings.layout,
            owner=self.settings.owner,
            team=self.settings.team,
            advance=self.flow.advance,
        )

    def stages(self) -> Mapping[str, Stage]:
        """Return every stage by name."""
        from mediaplane.pipeline import stages
        from mediaplane.pipeline.context import StageContext

        context = StageContext(
            pool=self.pool,
            stores=self.stores,
            write_store=self.write_store.name,
            settings=self.settings,
            work_root=self.settings.state_dir / "work",
        )
        return stages.all_stages(context)

    def periodic(self) -> Mapping[str, Periodic]:
        """Return what is done again and again, by one worker at a time."""
        stores = {name: opened.store for name, opened in self.stores.items()}
        return {
            "outbox": (timedelta(seconds=2), lambda _conn: deletion.drain_outbox(self.pool, stores)),
            "stalled": (timedelta(seconds=20), lambda conn: sweeping.resume_stalled(conn, self.flow.advance)),
            "uploads": (timedelta(minutes=1), sweeping.sweep_uploads),
            "intents": (timedelta(minutes=10), sweeping.sweep_intents),
            "unfinished": (timedelta(hours=6), lambda _conn: asyncio.to_thread(self._remove_unfinished)),
            "clips": (timedelta(days=1), sweeping.remove_expired_clips),
            "lexicon": (timedelta(hours=1), lexicon.prune_lexicon),
        }

    def _remove_unfinished(self) -> None:
        """Remove what killed writers left where no listing shows it: multipart parts, temporary files."""
        from mediaplane.storage import buckets

        if self.settings.s3_endpoint:
            buckets.abort_uploads(read_endpoint(self.settings), older_than=ABANDONED_AFTER)
        directory = self.stores["local"].store
        if isinstance(directory, LocalStore):
            directory.remove_unfinished()


@asynccontextmanager
async def open_plane(settings: Settings, *, max_connections: int = 8) -> AsyncIterator[Plane]:
    """Open database and stores.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
        SettingInvalid: a store's settings do not fit together.
    """
    signing_key = read_signing_key(settings)
    stores = open_configured_stores(settings, signing_key)
    async with open_pool(settings.database_url, max_size=max_connections) as pool:
        yield Plane(settings=settings, pool=pool, stores=stores, signing_key=signing_key.encode())


def open_configured_stores(settings: Settings, signing_key: str) -> dict[str, OpenStore]:
    """Return the stores that the settings name: the directory always, the bucket where it has an endpoint.

    Raises:
        SettingInvalid: a store's settings do not fit together.
    """
    endpoint = read_endpoint(settings) if settings.s3_endpoint else None
    return open_stores(settings, public_url=settings.public_url, signing_key=signing_key, s3=endpoint)


def prepare_bucket(settings: Settings) -> str:
    """Make the bucket if it is missing and let browsers play from it; return a remark, empty where all went well.

    Raises:
        AccessDenied: the keys are wrong.
        StorageError: the endpoint cannot be reached.
    """
    from mediaplane.storage import buckets

    endpoint = read_endpoint(settings)
    buckets.ensure_bucket(endpoint)
    try:
        buckets.set_cors(endpoint, ["*"])  # every URL carries its own permission, whatever page asks
    except AccessDenied:
        return f"the keys may not set CORS on {endpoint.bucket}: browsers play only if its rules allow GET and HEAD"
    return ""


def find_services(settings: Settings) -> Settings:
    """Fill in what the running `up` of the state directory knows where no servers of one's own are set.

    Raises:
        NotRunning: something is missing and no `up` runs there.
    """
    own_store = settings.storage_mode == "local" or settings.s3_endpoint
    if settings.database_url and own_store:
        return _with_public_url(settings)
    running = find_running(settings.state_dir)
    return settings.filled_in(
        "mediaplane up",
        database_url=running.database_url,
        public_url=running.url,
        storage_mode=running.storage_mode,
        s3_endpoint=running.s3_endpoint,
        s3_bucket=running.s3_bucket,
        s3_access_key_id=running.s3_access_key_id,
        s3_secret_access_key=running.s3_secret_access_key,
    )


@dataclass(frozen=True, slots=True)
class Services:
    """The servers a process works on; `settings` say where they are."""

    settings: Settings
    embedded: tuple[EmbeddedPostgres | EmbeddedSeaweed, ...]

    def revive(self) -> list[str]:
        """Start again every embedded server that died; return what they are."""
        dead = [server for server in self.embedded if not server.is_running()]
        for server in dead:
            server.start()
        return [type(server).__name__.removeprefix("Embedded") for server in dead]


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Start, or join, the embedded servers that the settings leave open; the last process out stops them.

    Raises:
        ServiceFailed: one did not start.
    """
    embedded: list[EmbeddedPostgres | EmbeddedSeaweed] = []
    with ExitStack() as stack:
        if not settings.database_url:
            postgres = stack.enter_context(EmbeddedPostgres(settings.state_dir))
            embedded.append(postgres)
            settings = settings.filled_in("embedded PostgreSQL", database_url=postgres.dsn)
        if settings.storage_mode == "s3" and not settings.s3_endpoint:
            seaweed = stack.enter_context(EmbeddedSeaweed(settings.state_dir))
            embedded.append(seaweed)
            settings = settings.filled_in(
                "embedded SeaweedFS",
                s3_endpoint=seaweed.endpoint,
                s3_access_key_id=seaweed.access_key,
                s3_secret_access_key=seaweed.secret_key,
            )
        yield Services(_with_public_url(settings), tuple(embedded))


def _with_public_url(settings: Settings) -> Settings:
    url = f"http://{settings.gateway_host}:{settings.gateway_port}"
    return settings if settings.public_url else settings.filled_in("host and port", public_url=url)


def read_signing_key(settings: Settings) -> str:
    """Return the HMAC key of links: the setting, or one made once in the state directory."""
    if settings.signing_key:
        return settings.signing_key
    path = Path(settings.state_dir) / "signing.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"signing.key.{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(temporary, path)  # unlike a rename this loses against another process that was first
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text().strip()
