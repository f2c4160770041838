"""Killing a process at a point on its way: for the scripts beside, which run as processes, and for who runs them."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mediaplane.settings import load_settings
from mediaplane.wiring import Plane, open_plane


async def run_killed(script: Path, *arguments: object) -> None:
    """Run a script in a process, which must be killed on its way."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), *map(str, arguments))
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL


def local_plane(dsn: str, state_dir: str, **settings: Any) -> AbstractAsyncContextManager[Plane]:
    """Open a plane over a directory, as the gateway of these tests has it."""
    environ = {
        "MEDIAPLANE_STATE_DIR": state_dir,
        "MEDIAPLANE_SIGNING_KEY": "a key for tests only",
        "MEDIAPLANE_PUBLIC_URL": "http://127.0.0.1:1",
        "STORAGE_MODE": "local",
    }
    return open_plane(replace(load_settings(environ), database_url=dsn, **settings))


def kill_at(points: Mapping[str, tuple[Any, str]], point: str) -> None:
    """Let the function at `point` never begin, or (`after_…`) never return to its caller."""
    owner, name = points[point]
    real = getattr(owner, name)

    async def killed(*args, **kwargs):
        if point.startswith("after_"):
            await real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)
