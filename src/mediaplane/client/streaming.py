"""Events as they happen: one connection at a time, opened again where it broke off, from the last event on."""

import json
from collections.abc import Iterator

import httpx

from mediaplane.client.models import Event
from mediaplane.client.problems import ConnectionFailed, Problem, problem_of
from mediaplane.client.transport import ATTEMPTS, PASSING, Transport, pause

SILENCE_SECONDS = 45.0  # three heartbeats


def follow(transport: Transport, path: str, *, after: int | None = None) -> Iterator[Event]:
    """Yield events without end; an event may come twice after a break, none is left out.

    Raises:
        Problem: the gateway refuses.
        ConnectionFailed: it cannot be reached, for longer than a few attempts take.
    """
    last, failures = after, 0
    while True:
        try:
            for event in _read_stream(transport, path, last):
                last, failures = event.id, 0
                yield event
        except (httpx.TransportError, Problem) as error:
            failures += 1
            if isinstance(error, Problem) and error.status not in PASSING:
                raise
            if failures >= ATTEMPTS:
                raise ConnectionFailed(f"{transport.url}{path}: the stream broke off: {error}") from error
            pause(failures, error.retry_after if isinstance(error, Problem) else None)


def _read_stream(transport: Transport, path: str, last: int | None) -> Iterator[Event]:
    headers = {**transport.headers, **({"last-event-id": str(last)} if last is not None else {})}
    timeout = httpx.Timeout(10.0, read=SILENCE_SECONDS)
    with transport.http.stream("GET", transport.url + path, headers=headers, timeout=timeout) as answer:
        if not answer.is_success:
            answer.read()
            raise problem_of(answer)
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif not line:
                if "data" in fields:
                    yield _event(fields)
                fields = {}


def _event(fields: dict[str, str]) -> Event:
    data = json.loads(fields["data"])
    name = fields.get("event", "message")
    kind = str(data.get("type", name))
    return Event(id=int(fields.get("id") or 0), name=name, type=kind, asset_id=data.get("asset_id"), data=data)
