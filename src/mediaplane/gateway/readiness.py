"""Whether the gateway can do its work: database, schema, stores; asked at most once a second, whoever asks."""

import asyncio
from collections.abc import Awaitable, Mapping
from time import monotonic

from mediaplane.errors import ObjectNotFound, SchemaOutOfDate
from mediaplane.logs import Logger
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Pool, pending_migrations
from mediaplane.storage.connectivity import check_store
from mediaplane.storage.open import OpenStore
from mediaplane.wiring import Plane

CHECK_SECONDS = 3.0
KEPT_SECONDS = 1.0
SCHEMA_SECONDS = 30.0  # it does not go out of date by itself
OK = "ok"
UNUSED = "does not answer; nothing is written there in this mode"
_NO_OBJECT = ObjectKey("health/no-such-object")

log = Logger(__name__)


class Readiness:
    """What was found, and when."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._schema_until = float("-inf")
        self._found: Mapping[str, str] = {}

    async def check(self) -> Mapping[str, str]:
        """Return what each part says: `ok`, or what is wrong with it without naming addresses."""
        async with self._lock:
            if monotonic() - self._checked_at > KEPT_SECONDS:
                self._found = await self._ask()
                self._checked_at = monotonic()
        return self._found

    async def _ask(self) -> Mapping[str, str]:
        asked: dict[str, Awaitable[None]] = {
            "database": _database(self._plane.pool),
            "schema": self._schema(),
            **{f"store {name}": _store(opened) for name, opened in self._plane.stores.items()},
        }
        answers = await asyncio.gather(*(_try(name, ask) for name, ask in asked.items()))
        found = dict(zip(asked, answers, strict=True))
        # after going back to directories, because the buckets are down: what is there already has to wait, the rest not
        unused = [f"store {name}" for name in self._plane.unused_buckets if found[f"store {name}"] != OK]
        return found | dict.fromkeys(unused, UNUSED)

    async def _schema(self) -> None:
        if monotonic() < self._schema_until:
            return
        if waiting := await pending_migrations(self._plane.settings.database_url):
            raise SchemaOutOfDate(f"migrations have not been applied: {', '.join(waiting)}")
        self._schema_until = monotonic() + SCHEMA_SECONDS


async def _database(pool: Pool) -> None:
    async with pool.connection(timeout=CHECK_SECONDS) as conn:
        await conn.execute("SELECT 1")


async def _store(opened: OpenStore) -> None:
    if opened.endpoint:
        # not by HEAD: keys that may not list are refused then, and nobody can tell them from wrong ones
        if problem := await asyncio.to_thread(check_store, opened.endpoint):
            raise problem
        return
    try:
        await opened.store.stat(_NO_OBJECT)
    except ObjectNotFound:
        return  # a store that says so is there; listing it is for the scanner only


async def _try(name: str, ask: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await ask
    except SchemaOutOfDate as error:
        log.warning("not ready", part=name, problem=error.message)
        return "is out of date"
    except Exception as error:  # noqa: BLE001 whatever is wrong with it, it is not ready; the log has the reason
        log.warning("not ready", part=name, problem=f"{type(error).__name__}: {error}")
        return "does not answer"
    return OK
