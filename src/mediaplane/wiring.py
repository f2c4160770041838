"""The only place that chooses implementations: from settings to a working plane.

What only some commands need (uploads, notices, the pipeline, boto3) is imported where it is used: a command that only
reads starts in half the time.
"""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mediaplane.access.links import PlaybackTokens
from mediaplane.access.playback import frame_url, playback_url
from mediaplane.catalog.objects import Object
from mediaplane.media.keys import ObjectKey
from mediaplane.media.quotas import read_plans
from mediaplane.postgres import Pool, open_pool
from mediaplane.settings import Settings
from mediaplane.storage.open import OpenStore, open_stores
from mediaplane.storage.placement import Placement, read_placement

MAX_COMPANION_HOURS = 24


if TYPE_CHECKING:
    from mediaplane.access.companion import CompanionTokens
    from mediaplane.access.completion import Completion
    from mediaplane.access.direct import DirectUploads
    from mediaplane.access.notices import Notices
    from mediaplane.access.uploads import Uploader
    from mediaplane.catalog.quotas import Quotas
    from mediaplane.jobs.highlights import HighlightsFile
    from mediaplane.jobs.originals import Originals
    from mediaplane.jobs.stage import Stage
    from mediaplane.jobs.withdrawal import Connect
    from mediaplane.pipeline.flow import Flow
    from mediaplane.storage.queues import Queue
    from mediaplane.upkeep.purging import Purging
    from mediaplane.upkeep.scanner import Scanner


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
    def quotas(self) -> "Quotas":
        """What owners may use."""
        from mediaplane.catalog.quotas import Quotas

        return Quotas(read_plans(self.settings.plans))

    @property
    def placement(self) -> Placement:
        """Which store new bytes go to."""
        return read_placement(self.settings)

    def store_for(self, asset_id: str, role: str) -> OpenStore:
        """Return the store that new bytes of the asset in this role go to."""
        return self.stores[self.placement.store_for(asset_id, role)]

    @property
    def unused_buckets(self) -> list[str]:
        """Stores that are only read from, as the mode writes to directories."""
        local = self.settings.storage_mode == "local"
        return [name for name, opened in self.stores.items() if opened.endpoint] if local else []

    def media_url(self, stored: Object) -> str:
        """Return where the object is, as rows elsewhere may keep it: `s3://bucket/key`, or an absolute path."""
        return self.stores[stored.store].media_url(ObjectKey(stored.key))

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

    def uploader(self) -> "Uploader":
        """Return the writer of files of this process's owner."""
        from mediaplane.access.uploads import Uploader

        return Uploader(
            pool=self.pool,
            stores={name: opened.store for name, opened in self.stores.items()},
            placement=self.placement,
            layout=self.settings.layout,
            owner=self.settings.owner,
            team=self.settings.team,
            advance=self.flow.advance,
            quotas=self.quotas,
        )

    def completion(self, connect: "Connect") -> "Completion":
        """Return who completes clients' uploads; `connect` lends the connections on which rows are changed."""
        from mediaplane.access.completion import Completion
        from mediaplane.access.registration import Registry
        from mediaplane.access.together import alone

        return Completion(
            connect=connect,
            share=alone(connect),
            stores=self.stores,
            registry=Registry(self.flow.advance),
            largest_bytes=self.settings.upload_max_mb << 20,
            types=self.settings.upload_types,
            url_lifetime=timedelta(minutes=self.settings.upload_minutes),
        )

    def direct_uploads(self, connect: "Connect") -> "DirectUploads":
        """Return the upload sessions of clients; `connect` lends connections that see the asker's rows."""
        from mediaplane.access.beginning import Beginning
        from mediaplane.access.direct import DirectUploads

        return DirectUploads(
            completion=self.completion(connect),
            placement=self.placement,
            layout=self.settings.layout,
            beginning=Beginning(self.quotas),
            needs_task=self.settings.upload_needs_task,
        )

    @property
    def purging(self) -> "Purging":
        """Who carries purges out."""
        from mediaplane.upkeep.purging import Purging

        return Purging(self.pool, self.stores, self.settings.layout)

    def highlights_file(self, connect: "Connect") -> "HighlightsFile":
        """Return who reads and writes highlights.json; `connect` lends connections that see the rows in question."""
        from mediaplane.jobs.highlights import HighlightsFile

        return HighlightsFile(connect, self.stores, self.placement, self.settings.layout)

    @property
    def companion_tokens(self) -> "CompanionTokens":
        """Makes and checks what lets a page's Uppy upload without a header of its own."""
        from mediaplane.access.companion import CompanionTokens

        lifetime = timedelta(hours=min(self.settings.upload_hours, MAX_COMPANION_HOURS))
        return CompanionTokens(self.signing_key, lifetime=lifetime)

    def scanners(self) -> "list[Scanner]":
        """Return one scanner for each store that originals may be in, whatever the mode."""
        from mediaplane.upkeep.scanner import Scanner

        return [Scanner(self.pool, originals) for originals in self.originals()]

    def originals(self) -> "list[Originals]":
        """Return what is known of originals in each store that they may be in, whatever the mode."""
        from mediaplane.jobs.originals import Originals

        return [
            Originals(
                store_name=name,
                store=self.stores[name].store,
                layout=self.settings.layout,
                owner=self.settings.owner,
                team=self.settings.team,
                advance=self.flow.advance,
                beside=self._roles_beside(name),
            )
            for name in self.placement.stores_of("original")
            if name in self.stores
        ]

    def notices(self, connect: "Connect") -> "Notices":
        """Return who acts on what buckets tell; `connect` lends connections that see and change every row."""
        from mediaplane.access.notices import Notices, Place

        places = [
            Place(opened.endpoint.bucket, originals)
            for originals in self.originals()
            if (opened := self.stores[originals.store_name]).endpoint
        ]
        return Notices(connect, places, self.completion(connect))

    def queues(self) -> "list[Queue]":
        """Return the queues that buckets tell of their objects in.

        Raises:
            SettingInvalid: there are no keys to ask SQS with.
        """
        from mediaplane.storage.queues import open_queues

        return open_queues(self.settings)

    def _roles_beside(self, name: str) -> tuple[str, ...]:
        """Return the roles whose objects lie in the same bucket or directory as this store's: a store is but a name."""
        sample = ObjectKey("sample")
        place = self.stores[name].media_url(sample)
        return tuple(
            role
            for role in self.settings.layout.templates
            if role != "original"
            and any(
                self.stores[other].media_url(sample) == place
                for other in self.placement.stores_of(role)
                if other in self.stores
            )
        )

    def stages(self) -> "Mapping[str, Stage]":
        """Return every stage by name.

        Raises:
            SettingInvalid: there is no such OCR engine on this machine, or it cannot read one of the languages.
        """
        from mediaplane.pipeline import stages
        from mediaplane.pipeline.context import StageContext
        from mediaplane.pipeline.tools.models import check_engine

        if self.settings.ocr_engine != "off":
            check_engine(self.settings.ocr_engine, self.settings.ocr_languages)
        context = StageContext(
            pool=self.pool,
            stores=self.stores,
            placement=self.placement,
            settings=self.settings,
            work_root=self.settings.state_dir / "work",
        )
        return stages.all_stages(context)


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
    """Return the stores that the settings name: directories always, buckets where they have an endpoint.

    Raises:
        SettingInvalid: a store's settings do not fit together.
    """
    return open_stores(settings, public_url=settings.public_url, signing_key=signing_key)


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
