"""Taking what buckets tell from queues: a message is acknowledged when all it says was acted on, never before."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mediaplane.access.notices import Notices
from mediaplane.errors import InvalidNotice, MediaplaneError
from mediaplane.jobs.originals import Upshot
from mediaplane.logs import Logger
from mediaplane.media.notices import read_body, read_notices

if TYPE_CHECKING:  # boto3 is slow to import
    from mediaplane.storage.queues import Message, Queue

MOST_BATCHES = 100  # in a turn: then others have theirs

log = Logger(__name__)


async def poll(queues: "Sequence[Queue]", notices: Notices) -> Counter[Upshot]:
    """Empty the queues, one after the other, and return how much came to what.

    Raises:
        StorageError, AccessDenied: a queue failed; the others were emptied before.
    """
    found: Counter[Upshot] = Counter()
    problem: MediaplaneError | None = None
    for queue in queues:
        try:
            await _empty(queue, notices, found)
        except MediaplaneError as error:
            log.warning("queue_not_polled", queue=queue.name, error=error.message)
            problem = problem or error
    if problem is not None:
        raise problem
    return found


async def _empty(queue: "Queue", notices: Notices, found: Counter[Upshot]) -> None:
    for _ in range(MOST_BATCHES):
        messages = await asyncio.to_thread(queue.receive)
        if not messages:
            return
        done = [message.receipt for message in messages if await _is_done(queue, message, notices, found)]
        if done:
            await asyncio.to_thread(queue.acknowledge, done)
        if len(done) < len(messages):
            return  # what failed may fail for all: let it rest until the queue hands it out again


async def _is_done(queue: "Queue", message: "Message", notices: Notices, found: Counter[Upshot]) -> bool:
    """Act on a message; what nobody here can read stays in the queue, which may have another reader, or a dead end."""
    try:
        found += await notices.take(read_notices(read_body(message.body)))
    except InvalidNotice as error:
        log.warning("message_not_read", queue=queue.name, message=message.message_id, error=error.message)
        return False
    except MediaplaneError as error:
        log.warning("message_not_acted_on", queue=queue.name, message=message.message_id, error=error.message)
        return False
    return True
