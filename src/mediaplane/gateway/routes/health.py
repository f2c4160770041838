"""Is the process alive, and can it do its work?"""

import asyncio
from collections.abc import Awaitable

import structlog
from fastapi import APIRouter, Response

from mediaplane.errors import ObjectNotFound
from mediaplane.gateway.context import Here
from mediaplane.gateway.views import Health
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Pool
from mediaplane.storage.store import ObjectStore

log = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])

CHECK_SECONDS = 3.0
_NO_OBJECT = ObjectKey("health/no-such-object")


@router.get("/healthz")
async def is_alive() -> Health:
    """Return 200 as long as the process answers; asks nobody else."""
    return Health(status="ok", checks={})


@router.get("/readyz", responses={503: {"model": Health}})
async def is_ready(here: Here, response: Response) -> Health:
    """Return 200 when the database and every store answer, else 503 with what does not."""
    names = ["database", *(f"store {name}" for name in here.plane.stores)]
    asked = [_database(here.plane.pool), *(_store(opened.store) for opened in here.plane.stores.values())]
    checks = dict(
        zip(
            names, await asyncio.gather(*(_try(name, ask) for name, ask in zip(names, asked, strict=True))), strict=True
        )
    )
    ready = all(answer == "ok" for answer in checks.values())
    response.status_code = 200 if ready else 503
    return Health(status="ok" if ready else "not ready", checks=checks)


async def _database(pool: Pool) -> None:
    async with pool.connection(timeout=CHECK_SECONDS) as conn:
        await conn.execute("SELECT 1")


async def _store(store: ObjectStore) -> None:
    try:
        await store.stat(_NO_OBJECT)
    except ObjectNotFound:
        return  # a store that says so is there; listing it is for the scanner only


async def _try(name: str, ask: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(ask, CHECK_SECONDS)
    except Exception as error:  # noqa: BLE001 whatever is wrong with it, it is not ready; the log has the reason
        log.warning("not ready", part=name, problem=f"{type(error).__name__}: {error}")
        return "does not answer"
    return "ok"
