"""A listing against the catalog's rows, both in byte order: what is the same is told by a digest a thousand objects.

So what nobody changed costs neither side more than reading it once; only where a digest differs are objects looked at
one by one. An object more or less shifts nothing: parts end at keys, not at numbers.
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter

from mediaplane.catalog.objects import Part, digest_of
from mediaplane.storage.found import Found

MOST_WAITING = 20_000  # listed objects that wait for the end of a part: where few rows lie far apart, nobody waits
_key = attrgetter("key")


async def differing(
    batches: AsyncIterator[Sequence[Found]], parts: AsyncIterator[Part]
) -> AsyncIterator[tuple[Sequence[Found], Sequence[Found]]]:
    """Yield what was listed, in its order and some at a time, and of it what may differ from the rows: all, or none."""
    part = await anext(parts, None)
    is_broken = False  # some objects of this part were given away before its end was reached
    waiting: list[Found] = []
    async for batch in batches:
        waiting += batch
        begin = 0
        while part is not None and waiting[-1].key >= part.last_key:
            end = bisect_right(waiting, part.last_key, lo=begin, key=_key)
            if end > begin:
                seen = waiting[begin:end]
                yield seen, seen if is_broken or digest_of(seen) != part.digest else ()
            begin, is_broken, part = end, False, await anext(parts, None)
        waiting = waiting[begin:]
        if waiting and (part is None or len(waiting) > MOST_WAITING):
            yield waiting, waiting
            waiting, is_broken = [], part is not None
    if waiting:
        yield waiting, waiting
