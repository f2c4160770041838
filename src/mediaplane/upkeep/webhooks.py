"""Telling endpoints of events: signed, one request an attempt, tried again for three days, then given up.

Only the status of the answer counts: 2xx is taken, 410 disables the endpoint, everything else, redirects among it, is
tried again. Nothing of an answer is kept, for it may come from where its owner could not look otherwise.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from mediaplane import __version__
from mediaplane.catalog import webhooks
from mediaplane.catalog.webhooks import Due
from mediaplane.errors import InvalidWebhook
from mediaplane.logs import Logger
from mediaplane.media.webhooks import sign, write_body
from mediaplane.postgres import Connection, Pool
from mediaplane.upkeep.addresses import Target, read_target, resolve

# Source: Standard Webhooks specification, "Retry schedule"; shortened to three days.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 18000, 36000, 86400, 86400))
TOTAL_SECONDS = 15.0  # for everything: name, connection, request, status line
BATCH = 20
LEASE = timedelta(seconds=TOTAL_SECONDS * 2)
GIVE_UP_AFTER = timedelta(days=5)
KEEP_FOR = timedelta(days=30)
_GONE = 410

log = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt ended: a status, or what kept it from having one."""

    status: int | None
    error: str | None
    took_ms: int

    @property
    def is_taken(self) -> bool:
        """Whether the endpoint has it."""
        return self.status is not None and 200 <= self.status < 300


async def deliver_due(pool: Pool, *, private: bool = False) -> int:
    """Send everything that is due, a few at a time; return how many were taken by their endpoints.

    Raises:
        DatabaseUnavailable: PostgreSQL went away; what was sent and not noted is sent again.
    """
    taken = 0
    while True:
        async with pool.connection() as conn:
            due = await webhooks.take_due(conn, limit=BATCH, lease=LEASE)
        answers = await asyncio.gather(*(_deliver(pool, one, private=private) for one in due))
        taken += sum(answers)
        if len(due) < BATCH:
            return taken


async def prune(conn: Connection, *, event_age: timedelta) -> int:
    """Forget deliveries older than a month, or than events where those are kept longer; return how many."""
    return await webhooks.prune(conn, age=max(event_age, KEEP_FOR))


async def send(
    url: str,
    headers: dict[str, str],
    body: bytes,
    *,
    private: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """POST once, to the address that was checked, without following redirects."""
    began = clock()
    status, error = None, None
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            target = read_target(url, private=private)
            status = await _post(target, await resolve(target, private=private), headers, body)
    except TimeoutError:
        error = f"no answer within {TOTAL_SECONDS:.0f} s"
    except InvalidWebhook as refused:
        error = refused.message
    except ssl.SSLCertVerificationError as refused:
        error = f"its certificate is not valid: {refused.verify_message}"
    except (OSError, ValueError, asyncio.IncompleteReadError) as failed:
        error = f"cannot be reached: {type(failed).__name__}"
    return Answer(status, error, round((clock() - began) * 1000))


async def _post(target: Target, address: str, headers: dict[str, str], body: bytes) -> int:
    secure = ssl.create_default_context() if target.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        address, target.port, ssl=secure, server_hostname=target.host if secure else None, limit=8192
    )
    try:
        lines = [f"POST {target.path} HTTP/1.1", f"host: {target.authority}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body)
        await writer.drain()
        return _read_status(await reader.readline())
    finally:
        writer.transport.abort()  # nothing more is wanted of it, and nobody waits for its goodbye


def _read_status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not (parts[1].isdigit() and len(parts[1]) == 3):
        raise ValueError("no HTTP answer")
    return int(parts[1])


async def _deliver(pool: Pool, due: Due, *, private: bool) -> bool:
    if due.url is None or due.type is None or due.secret is None or due.at is None:
        async with pool.connection() as conn:
            await webhooks.drop(conn, due.delivery_id)
        return False
    answer = await send(due.url, *_message(due), private=private)
    await _settle(pool, due, answer)
    return answer.is_taken


def _message(due: Due) -> tuple[dict[str, str], bytes]:
    assert due.at is not None and due.type is not None and due.secret is not None
    told = {"event_id": due.event_id, "asset_id": due.asset_id, "owner": due.owner, "team": due.team}
    body = write_body(due.type, due.at, {**told, **(due.data or {})})
    message_id, now = f"msg_{due.event_id}", int(time.time())
    keys = [key for key in (due.secret, due.old_secret) if key]
    headers = {
        "content-type": "application/json",
        "user-agent": f"mediaplane/{__version__} (webhooks)",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(message_id, now, body, keys),
    }
    return headers, body


async def _settle(pool: Pool, due: Due, answer: Answer) -> None:
    done = answer.is_taken or due.attempts > len(WAITS)
    state = "delivered" if answer.is_taken else "failed" if done else "waiting"
    wait = timedelta(0) if done else WAITS[due.attempts - 1]
    error = answer.error or (None if answer.is_taken else f"answered {answer.status}")
    async with pool.connection() as conn:
        await webhooks.settle(
            conn, due.delivery_id, state=state, wait=wait, status=answer.status, error=error, took_ms=answer.took_ms
        )
        if answer.status == _GONE:
            await webhooks.disable(conn, due.endpoint_id, "it answered 410 Gone")
        elif not answer.is_taken and await webhooks.has_only_failed(conn, due.endpoint_id, age=GIVE_UP_AFTER):
            await webhooks.disable(conn, due.endpoint_id, f"it took nothing for {GIVE_UP_AFTER.days} days")
    log.info("webhook", endpoint=due.endpoint_id, delivery=due.delivery_id, status=answer.status, state=state)
