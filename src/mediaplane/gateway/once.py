"""`Idempotency-Key`: a POST that is sent again, after a lost answer, is done once and answered the same.

Source: IETF draft, "The Idempotency-Key HTTP Header Field". Only what was done is kept; a request that came to nothing
frees its key, so that it may be sent again when its reason has gone.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from mediaplane.access.claims import LEASE, renewed
from mediaplane.access.rules import Viewer
from mediaplane.catalog import idempotency
from mediaplane.catalog.idempotency import Answer, RequestKey
from mediaplane.errors import MediaplaneError
from mediaplane.gateway.context import Context
from mediaplane.gateway.who import current_principal

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="a new one for each request, the same for its repetitions; kept for a day",
    ),
]


@dataclass(frozen=True, slots=True)
class Once:
    """One request, with or without a key."""

    here: Context
    key: RequestKey | None
    digest: str

    async def answer(self, work: Callable[[], Awaitable[tuple[int, BaseModel]]]) -> Response:
        """Return what `work` answers, status and document, or what it answered before.

        Raises:
            KeyReused: another request has had the key.
            RequestBusy: the first one is still at work.
        """
        if self.key is None:
            status, document = await work()
            return Response(document.model_dump_json(), status_code=status, media_type="application/json")
        viewer = Viewer(self.key.owner, self.key.team)
        async with self.here.rows(viewer) as conn:
            known = await idempotency.begin(conn, self.key, digest=self.digest, lease=LEASE)
        if known is not None:
            return _written(known, replayed=True)
        try:
            async with renewed(partial(self._hold, viewer, self.key)):
                answer = await _done(work)
        except BaseException:
            with suppress(MediaplaneError):  # the database is away: the key frees itself after the lease
                await asyncio.shield(self._forget(viewer, self.key))
            raise
        async with self.here.rows(viewer) as conn:
            await idempotency.note_answer(conn, self.key, answer)
        return _written(answer)

    async def _hold(self, viewer: Viewer, key: RequestKey) -> None:
        async with self.here.rows(viewer) as conn:
            await idempotency.hold(conn, key, lease=LEASE)

    async def _forget(self, viewer: Viewer, key: RequestKey) -> None:
        async with self.here.rows(viewer) as conn:
            await idempotency.forget(conn, key)


async def _once(request: Request, key: Key = None) -> Once:
    here: Context = request.app.state.context
    if key is None:
        return Once(here, None, "")
    who = await current_principal(request)  # called, not depended on, see `who.may`
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    digest = hashlib.sha256(asked + await request.body()).hexdigest()
    return Once(here, RequestKey(who.owner, who.team, who.subject, key), digest)


JustOnce = Annotated[Once, Depends(_once)]


async def _done(work: Callable[[], Awaitable[tuple[int, BaseModel]]]) -> Answer:
    status, document = await work()
    return Answer(status, document.model_dump(mode="json"))


def _written(answer: Answer, *, replayed: bool = False) -> JSONResponse:
    headers = {"idempotency-replayed": "true"} if replayed else None
    return JSONResponse(answer.body, status_code=answer.status, headers=headers)
