"""One request after the other to the gateway: credentials, trying again, problems as exceptions."""

import random
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from mediaplane.client.problems import ConnectionFailed, problem_of

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 30.0
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
PASSING = frozenset((429, 502, 503, 504))
# Somebody is at it: with an answer lost, perhaps our own request, or what a killed gateway left, free after 30 seconds.
BUSY = frozenset(("idempotency_key_busy", "upload_busy"))
BUSY_SECONDS = 120.0


class Transport:
    """Asks the gateway. What may be sent twice without harm is sent again when the answer is lost or is a 503."""

    def __init__(self, url: str, *, key: str | None, http: httpx.Client | None, attempts: int = ATTEMPTS) -> None:
        self.url = url.rstrip("/")
        self.attempts = attempts
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._own = http is None
        self.http = http or httpx.Client(timeout=TIMEOUT)

    def close(self) -> None:
        """Close the connections, unless they are the caller's."""
        if self._own:
            self.http.close()

    @property
    def headers(self) -> dict[str, str]:
        """What each request to the gateway says; nothing of it goes to stores."""
        return dict(self._headers)

    def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, once: bool = False
    ) -> Any:
        """Return the answer's document, None where there is none; everything else as `send` does it.

        Raises:
            Problem: the gateway refuses.
            ConnectionFailed: it cannot be reached.
        """
        answer = self.send(method, path, query=query, body=body, once=once)
        return answer.json() if answer.is_success and answer.content else None

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        extra: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> httpx.Response:
        """Return the answer, asked for again where it failed for a reason that may pass; `extra` are headers.

        A POST carries an `Idempotency-Key`: a repetition is answered as the first was, and waits for a first one
        that is still at work; with `once` it is not repeated.

        Raises:
            Problem: the gateway refuses.
            ConnectionFailed: it cannot be reached.
        """
        headers = {**self.headers, **(extra or {})}
        if method == "POST" and not once:
            headers["idempotency-key"] = str(uuid.uuid4())
        sent = {name: value for name, value in (query or {}).items() if value is not None}
        failures, most_failures = 0, 1 if once else self.attempts
        patience = time.monotonic() + (0.0 if once else BUSY_SECONDS)
        while True:
            try:
                answer = self.http.request(method, self.url + path, params=sent, json=body, headers=headers)
            except httpx.TransportError as error:
                failures += 1
                if failures == most_failures:
                    raise ConnectionFailed(f"{self.url} cannot be reached: {error}") from error
                pause(failures)
                continue
            if answer.is_success or (method == "DELETE" and failures and answer.status_code == 404):
                return answer
            problem = problem_of(answer)
            if problem.code in BUSY and time.monotonic() < patience:
                pause(1, problem.retry_after)
                continue
            failures += 1
            if answer.status_code not in PASSING or failures == most_failures:
                raise problem
            pause(failures, problem.retry_after)


def pause(attempt: int, named: float | None = None) -> None:
    """Wait before the next attempt: as long as the answer named, else longer each time, never all at once."""
    seconds = FIRST_WAIT_SECONDS * 2 ** (attempt - 1) if named is None else named
    time.sleep(min(seconds, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0 if named is None else 1.2))  # noqa: S311
