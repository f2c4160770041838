"""Other processes for many small objects: one Python process keeps no more than one core busy.

A crew is forked before there are threads. Each of its processes runs an engine of its own, whose work is what it asks
the first process for, a few pieces at a time; with each question it says what became of earlier pieces. Whoever asks
more often gets more. Only small pieces are handed out: large ones keep all cores busy with one process already.
"""

import copyreg
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from typing import IO, NoReturn, Self

from mediaplane.storage.bulk.run import Run
from mediaplane.storage.bulk.work import Copy, Download, Event, Move, Options, Report, Upload, Work

BATCH = 32  # pieces handed out at once
_MOST_PROCESSES = 4
_PATIENCE = 5.0  # seconds that a process has for ending when it is told to

Settled = tuple[int, int, str]  # number of the piece, bytes moved, error
Serve = Callable[[Iterator[Work], Options, Report], object]  # runs an engine


class Crew:
    """The processes beside this one; none where this one has threads already, or the machine has one core."""

    def __init__(self, serve: Serve) -> None:
        self.members: list[Member] = []
        if not _is_single_threaded():
            return
        for _ in range(min(_MOST_PROCESSES, processors()) - 1):
            self.members.append(Member(serve, self.members))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let all of them end."""
        for member in self.members:
            member.close()


class Member:
    """One process of the crew, as the first one sees it."""

    def __init__(self, serve: Serve, others: "list[Member]") -> None:
        self._connection, theirs = socket.socketpair()
        self.hungry = False
        self.taken = 0  # pieces, of all runs
        self.thread: threading.Thread | None = None
        self._bell = threading.Event()
        self._stopped = False
        self.pid = os.fork()
        if not self.pid:
            self._connection.close()  # or its other end would not hear that the first process has gone
            for member in others:
                member.hang_up()
            _serve(theirs, serve)
        theirs.close()
        self._file = self._connection.makefile("rwb")

    def begin(self, run: Run) -> None:
        """Take part in a run, until nothing is left of it."""
        self._bell.clear()
        self.thread = threading.Thread(target=self._hand_out, args=(run,), name="mediaplane-crew", daemon=True)
        self.thread.start()

    def wake(self) -> None:
        """Let it look for pieces again; may be called from any thread."""
        self._bell.set()

    def end(self, *, early: bool) -> None:
        """Wait until it has taken its part; `early`: until it has dropped what it has."""
        if early:
            self._stopped = True
            self.wake()
            self._kill(signal.SIGTERM)
        if self.thread:
            self.thread.join()

    def close(self) -> None:
        """Let the process end, or end it."""
        self.hang_up()
        until = time.monotonic() + _PATIENCE
        while self.pid and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                self._kill(signal.SIGKILL)
            time.sleep(0.001)
        self.pid = 0

    def hang_up(self) -> None:
        """Close the connection, which the process takes for the end."""
        with suppress(OSError):  # it has gone, and something was still to be sent
            self._file.close()
        self._connection.close()

    def _hand_out(self, run: Run) -> None:
        handed: dict[int, Move] = {}
        try:
            self._send(run.options)
            while True:
                for settled, count, error in self._receive():
                    run.hear(handed.pop(settled), count, error)
                batch = dict(enumerate(self._wait_for_pieces(run), self.taken))
                self.taken += len(batch)
                handed |= batch
                self._send(batch)
                if not batch:
                    break
            for settled, count, error in self._receive():
                run.hear(handed.pop(settled), count, error)
        except (EOFError, OSError, pickle.UnpicklingError):
            for piece in handed.values():
                run.add_small(piece)  # the process has gone: whatever it has not told of is done again
        except BaseException as error:  # noqa: BLE001 raised again by the thread that called `run`
            run.fail(error)

    def _wait_for_pieces(self, run: Run) -> list[Move]:
        """Return some pieces; none when there will be none."""
        while not self._stopped:
            self.hungry = True
            self._bell.clear()
            if pieces := run.share(BATCH):
                self.hungry = False
                return pieces
            if run.is_handed_out():
                break
            self._bell.wait()
        return []

    def _send(self, message: object) -> None:
        pickle.dump(message, self._file, pickle.HIGHEST_PROTOCOL)
        self._file.flush()

    def _receive(self) -> list[Settled]:
        answer: list[Settled] | str = pickle.load(self._file)  # noqa: S301 from our own process
        if isinstance(answer, str):
            raise RuntimeError(f"a process of the transfer failed:\n{answer}")
        return answer

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def processors() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_single_threaded() -> bool:
    """Return whether forking is safe: threads, Python's or others', do not live on in a forked process."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 needs no pathlib


def _serve(connection: socket.socket, serve: Serve) -> NoReturn:
    """Be a process of the crew: one engine after the other, until the first process has gone."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells when to end
        signal.signal(signal.SIGTERM, _interrupt)
        inbox, outbox = connection.makefile("rb"), connection.makefile("wb")
        while True:
            _take_part(inbox, outbox, serve)
    except (EOFError, OSError, KeyboardInterrupt):
        status = 0
    finally:
        os._exit(status)  # what the first process has open is not ours to flush


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _take_part(inbox: IO[bytes], outbox: IO[bytes], serve: Serve) -> None:
    numbers: dict[int, int] = {}
    settled: list[Settled] = []

    def tell(event: Event) -> None:
        settled.append((numbers.pop(id(event.work)), event.bytes_moved, event.error))

    def send(message: list[Settled] | str) -> None:
        pickle.dump(message, outbox, pickle.HIGHEST_PROTOCOL)
        outbox.flush()

    def pieces() -> Iterator[Work]:
        while True:
            send(settled)
            settled.clear()
            try:
                batch: dict[int, Work] = pickle.load(inbox)  # noqa: S301 from our own process
            except EOFError:
                raise KeyboardInterrupt from None  # the first process has gone: nobody would hear what became of them
            if not batch:
                return
            numbers.update((id(piece), number) for number, piece in batch.items())
            yield from batch.values()

    options = pickle.load(inbox)  # noqa: S301 from our own process
    try:
        serve(pieces(), options, tell)
    except Exception:  # noqa: BLE001 a fault of ours, told by the first process
        import traceback

        send(traceback.format_exc())
        raise EOFError from None
    send(settled)


def _reduced_by(kind: type[Move]) -> Callable[[object], tuple[type, tuple[object, ...]]]:
    """Return how pieces are pickled: the way of frozen dataclasses with slots costs five times as much."""
    parts = attrgetter(*(each.name for each in fields(kind)))
    return lambda piece: (kind, parts(piece))


for _kind in (Upload, Download, Copy):
    copyreg.pickle(_kind, _reduced_by(_kind))
