"""What workers do again and again, by one at a time: deletion, sweeping, expiry, deliveries, counting, polling.

Apart from `wiring.py`, so that commands which only read load none of it.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from mediaplane.access.audit import chain_and_log
from mediaplane.access.polling import poll
from mediaplane.catalog import direct_uploads, events, lexicon
from mediaplane.errors import AccessDenied
from mediaplane.jobs.periodic import Periodic
from mediaplane.logs import Logger
from mediaplane.postgres import Connection
from mediaplane.storage.bucket.targets import read_store_rules, roles_of
from mediaplane.storage.bucket.wanted import expiries
from mediaplane.storage.local import LocalStore
from mediaplane.storage.local_intake import LocalIntake
from mediaplane.storage.open import OpenStore
from mediaplane.upkeep import deletion, retention, sweeping, webhooks
from mediaplane.upkeep import quotas as quota_upkeep
from mediaplane.upkeep.scanner import scan_all
from mediaplane.wiring import Plane

if TYPE_CHECKING:
    from mediaplane.storage.queues import Queue  # which loads urllib3

ABANDONED_AFTER = timedelta(days=1)
log = Logger(__name__)


def all_rounds(plane: Plane) -> Mapping[str, Periodic]:
    """Return what is done again and again, by name."""
    stores = {name: opened.store for name, opened in plane.stores.items()}
    return {
        "outbox": (timedelta(seconds=2), lambda _conn: deletion.drain_outbox(plane.pool, stores)),
        "stalled": (timedelta(seconds=20), lambda conn: sweeping.resume_stalled(conn, plane.flow.advance)),
        "uploads": (timedelta(minutes=1), sweeping.sweep_uploads),
        "intents": (timedelta(minutes=10), sweeping.sweep_intents),
        "unfinished": (timedelta(hours=6), lambda conn: _remove_unfinished(plane, conn)),
        **_upload_rounds(plane),
        **_quota_rounds(plane),
        **_arrival_rounds(plane),
        # both hourly: rows go before the bytes, which a bucket that expires by itself removes at the day's end
        "clips": (timedelta(hours=1), sweeping.remove_expired_clips),
        "expired": (timedelta(hours=1), lambda conn: retention.expire_rows(conn, retained(plane))),
        "expired bytes": (timedelta(days=1), lambda conn: retention.expire_bytes(conn, retained(plane))),
        "lexicon": (timedelta(hours=1), lexicon.prune_lexicon),
        "purges": (timedelta(seconds=2), lambda _conn: plane.purging.carry_out_all()),
        "audit": (timedelta(seconds=5), chain_and_log),
        "webhooks": (
            timedelta(seconds=2),
            lambda _conn: webhooks.deliver_due(plane.pool, private=plane.settings.webhook_private),
        ),
        "events": (timedelta(hours=1), lambda conn: _forget_events(plane, conn)),
    }


def retained(plane: Plane) -> list[retention.Retained]:
    """Return what expires in each store, and in the directory that stands for it."""
    found = []
    for store in plane.settings.stores:
        rules = read_store_rules(plane.settings, store.name)
        expired = expiries(rules, roles_of(plane.settings, store.name))
        for name in {store.name, store.twin} & set(plane.stores):
            opened = plane.stores[name]
            by_itself = opened.endpoint is not None and opened.endpoint.provider.lifecycle_expiry
            searched = rules.managed and not by_itself
            found.append(retention.Retained(name, opened.store, expired, searched=searched))
    return found


def _upload_rounds(plane: Plane) -> dict[str, Periodic]:
    """Return those for clients' uploads."""
    completion = plane.completion(plane.pool.connection)
    silence = timedelta(hours=plane.settings.upload_hours)
    intakes = {name: opened.intake for name, opened in plane.stores.items()}
    return {
        "forgotten_uploads": (timedelta(seconds=15), lambda _conn: completion.complete_forgotten()),
        "replaced_uploads": (timedelta(minutes=1), lambda _conn: completion.look_again()),
        "abandoned_uploads": (
            timedelta(minutes=1),
            lambda _conn: sweeping.sweep_abandoned(plane.pool.connection, intakes, silence=silence),
        ),
        "ended_uploads": (timedelta(hours=1), sweeping.forget_ended_uploads),
    }


def _quota_rounds(plane: Plane) -> dict[str, Periodic]:
    """Return those for plans and quotas."""
    quotas = plane.quotas
    return {
        "usage": (timedelta(seconds=10), lambda conn: quota_upkeep.sum_up(conn, quotas)),
        "usage of all": (timedelta(hours=1), lambda conn: quota_upkeep.tell_everybody(conn, quotas)),
        "held assets": (timedelta(minutes=1), lambda conn: quota_upkeep.resume_held(conn, quotas, plane.flow.advance)),
    }


def _arrival_rounds(plane: Plane) -> dict[str, Periodic]:
    """Return those for originals that nobody announces."""
    found: dict[str, Periodic] = {}
    queues: list[Queue] = []
    if plane.settings.notice_queues:
        found["notices"] = (timedelta(seconds=10), lambda _conn: _poll(plane, queues))
    if plane.settings.scan_minutes:
        every = timedelta(minutes=plane.settings.scan_minutes)
        found["scan"] = (every, lambda _conn: scan_all(plane.scanners()))
    return found


async def _poll(plane: Plane, queues: "list[Queue]") -> None:
    """Empty the queues; they are opened at the first time, as boto3 takes long to."""
    if not queues:
        queues += await asyncio.to_thread(plane.queues)
    await poll(queues, plane.notices(plane.pool.connection))


async def _forget_events(plane: Plane, conn: Connection) -> None:
    """Forget events and deliveries that nobody may ask for any more."""
    age = timedelta(days=plane.settings.event_days)
    await events.prune(conn, age=age, stage_age=timedelta(days=1))
    await webhooks.prune(conn, event_age=age)


async def _remove_unfinished(plane: Plane, conn: Connection) -> None:
    """Remove what killed writers left where no listing shows it: multipart parts, temporary files."""
    for name, opened in plane.stores.items():
        resumable = await direct_uploads.open_refs(conn, name)
        await asyncio.to_thread(_remove_leftovers, opened, resumable)


def _remove_leftovers(opened: OpenStore, resumable: set[str]) -> None:
    from mediaplane.storage import buckets  # boto3 is slow to import

    if opened.endpoint:
        try:
            buckets.abort_uploads(opened.endpoint, older_than=ABANDONED_AFTER, keep=resumable)
        except AccessDenied as error:
            if not error.keys_known:
                raise
            # keys that may only put, get and delete objects: the bucket's own lifecycle rule aborts them
            log.info("unfinished_uploads_left_alone", bucket=opened.endpoint.bucket, reason=error.message)
    elif isinstance(opened.store, LocalStore) and isinstance(opened.intake, LocalIntake):
        opened.store.remove_unfinished()
        opened.intake.remove_unfinished()
