"""Who sent a request: the API key or token in its `Authorization` header, remembered for a few seconds.

A key that is revoked therefore works for up to `REMEMBER_SECONDS` more on each gateway.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mediaplane.access import keys
from mediaplane.access.principals import Principal, Role
from mediaplane.access.tokens import TokenReader
from mediaplane.catalog.accounts import ApiKey
from mediaplane.errors import CredentialsInvalid

REMEMBER_SECONDS = 5.0
MAX_REMEMBERED = 10_000
MAX_HEADER_CHARS = 10_000

FindKey = Callable[[str, bytes], Awaitable[ApiKey | None]]  # by id and digest


@dataclass(frozen=True, slots=True)
class _Remembered:
    answer: Principal | CredentialsInvalid
    until: float  # monotonic seconds


class Recogniser:
    """Recognises principals; `tokens` is None where the deployment has no identity provider."""

    def __init__(
        self,
        find_key: FindKey,
        tokens: TokenReader | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._find_key = find_key
        self._tokens = tokens
        self._now = now
        self._wall = wall
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[_Remembered]] = {}

    async def recognise(self, header: str | None) -> Principal:
        """Return whose credentials stand in the `Authorization` header.

        Raises:
            CredentialsInvalid: there are none, or they are wrong, expired or revoked.
            IdentityUnavailable: the issuer's keys cannot be fetched.
        """
        scheme, _, text = (header or "").partition(" ")
        credentials = text.strip()
        if scheme.lower() != "bearer" or not credentials:
            raise CredentialsInvalid("send an API key or a token: `Authorization: Bearer …`")
        if len(credentials) > MAX_HEADER_CHARS or not credentials.isascii():
            raise CredentialsInvalid("the key or token is not valid here")
        place = hashlib.sha256(credentials.encode()).digest()
        known = self._remembered.get(place)
        if known is None or known.until <= self._now():
            known = await self._ask_once(place, credentials)
        if isinstance(known.answer, CredentialsInvalid):
            raise CredentialsInvalid(known.answer.message)
        return known.answer

    async def _ask_once(self, place: bytes, credentials: str) -> _Remembered:
        """Ask, or wait for the answer that another request has asked for."""
        asking = self._asked.get(place)
        if asking is None:
            asking = self._asked[place] = asyncio.create_task(self._ask(credentials))
            asking.add_done_callback(lambda task: self._answered(place, task))
        return await asyncio.shield(asking)  # who waits may go away; the others still want to know

    def _answered(self, place: bytes, task: "asyncio.Task[_Remembered]") -> None:
        del self._asked[place]
        if task.cancelled() or task.exception() is not None:
            return
        self._remembered[place] = task.result()
        self._remembered.move_to_end(place)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _ask(self, credentials: str) -> _Remembered:
        answer: Principal | CredentialsInvalid
        life = REMEMBER_SECONDS
        try:
            answer, ends = await self._read(credentials)
            life = min(life, ends - self._wall())
        except CredentialsInvalid as error:
            answer = error.with_traceback(None)
        return _Remembered(answer, self._now() + life)

    async def _read(self, credentials: str) -> tuple[Principal, float]:
        if credentials.startswith(keys.PREFIX):
            return await self._read_key(credentials)
        if self._tokens is None:
            raise CredentialsInvalid("the key or token is not valid here")
        return await self._tokens.read(credentials)

    async def _read_key(self, text: str) -> tuple[Principal, float]:
        key_id = keys.read_key_id(text)
        row = await self._find_key(key_id, keys.digest_key(text)) if key_id else None
        if row is None or not keys.is_same(row.digest, text):
            raise CredentialsInvalid("the API key is wrong, expired or revoked")
        return principal_of(row), row.expires_at.timestamp() if row.expires_at else float("inf")


def principal_of(row: ApiKey) -> Principal:
    """Return who the key stands for."""
    return Principal(
        subject=f"key:{row.key_id}",
        owner=row.owner,
        team=row.team,
        role=Role(row.role),
        scopes=frozenset(row.scopes),
        key_id=row.key_id,
        tier=row.tier,
    )
