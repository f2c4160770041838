"""The child's half of `child.ask`: one JSON request on stdin, JSON lines on stdout (progress, then result or error)."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from mediaplane.errors import MediaplaneError, MediaTooLarge
from mediaplane.pipeline.tools.failures import describe

Report = Callable[[float], None]


def answer(work: Callable[[dict[str, Any], Report], Any]) -> None:
    """Read the request, do the work, write what came of it.

    Errors of ours go back as data. Any other exception ends the process with a traceback: it is a bug.
    """
    request = json.loads(sys.stdin.buffer.read())
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between our lines

    def say(message: dict[str, Any]) -> None:
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    try:
        say({"result": work(request, lambda fraction: say({"progress": round(fraction, 4)}))})
    except MediaplaneError as error:
        say({"error": describe(error)})
    except MemoryError:
        say({"error": describe(MediaTooLarge("decoding needs more memory than it may have"))})
