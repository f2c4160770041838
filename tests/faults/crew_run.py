"""Transfers in a process that may fork, as the tests' own has threads: `crew_run.py up|down|copy SOURCE TARGET [HOW]`.

Prints the pids of the crew, later a JSON document of what was done. HOW: `threads`: with a thread before; `kill`: a
process of the crew is killed on the way; `break`: one has a fault of ours.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator

from mediaplane.settings import load_settings
from mediaplane.storage.bulk import commands, crew, engine
from mediaplane.storage.bulk.places import Endpoints
from mediaplane.storage.bulk.work import Event, Options, Report, Work

MEMBERS = 2


def main() -> None:
    """Copy and tell."""
    source, target, how = (*sys.argv[1:], "")[:3]
    crew.processors = lambda: MEMBERS + 1  # also where the machine has one core
    crew._PATIENCE = 600.0  # all end by themselves
    if how == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    made = crew.Crew(_fail) if how == "break" else engine.new_crew()
    tell = _Telling(made, kills=how == "kill")
    with made:
        print(json.dumps([member.pid for member in made.members]), flush=True)
        endpoints = Endpoints(load_settings(os.environ))
        summary = commands.carry_out([_request(source, target)], None, tell.hear, endpoints=endpoints, crew=made)
    failures = sorted(what for what, _ in summary.failures)
    counts = {"done": summary.done, "failed": summary.failed, "bytes": summary.bytes_moved}
    print(json.dumps({**counts, "failures": failures, "taken": [member.taken for member in made.members]}))


class _Telling:
    def __init__(self, made: crew.Crew, *, kills: bool) -> None:
        self.made, self.kills, self.heard = made, kills, 0

    def hear(self, _: Event) -> None:
        """Count, and kill the first member once it has been given work."""
        self.heard += 1
        if self.kills and self.made.members[0].taken and self.heard > 50:
            self.kills = False
            os.kill(self.made.members[0].pid, signal.SIGKILL)


def _fail(work: Iterator[Work], _options: Options, _report: Report) -> None:
    next(work)
    raise ValueError("a fault of ours")


def _request(source: str, target: str) -> commands.CopyRequest:
    return commands.CopyRequest((source,), target, recursive=True)


if __name__ == "__main__":
    main()
