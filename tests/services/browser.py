"""A headless Chromium for tests, with a profile of its own, and the page that it opens."""

import asyncio
import json
import os
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.services.missing import give_up
from tests.services.rgw import end_with_parent

DIRECTORY = Path(__file__).parents[1] / "browser"
MODULES = DIRECTORY / "node_modules"
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-breakpad", "--mute-audio",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0",
]  # fmt: skip
_START_SECONDS = 120.0
_ASK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class Page:
    """A page on loopback, and what it reports by POST."""

    url: str
    reports: "queue.Queue[dict[str, Any]]"

    async def next_report(self, *, seconds: float = 90) -> dict[str, Any]:
        """Return the next thing the page says; fail where it says nothing."""
        try:
            return await asyncio.to_thread(self.reports.get, timeout=seconds)
        except queue.Empty:
            pytest.fail(f"the page did not report within {seconds} s")


@dataclass(frozen=True)
class Browser:
    """A running browser, told by its DevTools' HTTP half what to open and close."""

    devtools: str
    log: Path

    async def open_tab(self, url: str) -> str:
        """Open a tab and return its id."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return str((await client.put(f"{self.devtools}/json/new?{quote(url, safe='')}")).json()["id"])

    async def close_tab(self, tab: str) -> None:
        """Close a tab, whatever it is doing."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.get(f"{self.devtools}/json/close/{tab}")).raise_for_status()


@contextmanager
def served_page(files: Mapping[str, tuple[Path, str]]) -> Iterator[Page]:
    """Serve files by path, with their media types, and collect what is posted."""
    reports: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, media_type = files.get(self.path.partition("?")[0], (None, ""))
            self._answer(200 if path else 404, path.read_bytes() if path else b"", media_type)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self._answer(200, b"", "text/plain")

        def _answer(self, status: int, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Page(f"http://127.0.0.1:{server.server_address[1]}", reports)
        finally:
            server.shutdown()


@asynccontextmanager
async def running_browser(directory: Path, url: str = "about:blank") -> AsyncIterator[Browser]:
    """Run a browser at `url`, and end it with all its children."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        give_up("there is no chromium: apt-get install chromium (make services does)")
    log, profile = directory / "browser.log", directory / "profile"
    # Chromium makes a socket in TMPDIR, and a socket's path is short: that of a test's directory is too long.
    with tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True) as short:
        environ = {**os.environ, "HOME": str(directory), "TMPDIR": short, "XDG_RUNTIME_DIR": short}
        with log.open("wb") as stream:
            process = await asyncio.create_subprocess_exec(
                str(program), *FLAGS, f"--user-data-dir={profile}", url,
                env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=stream, stderr=stream,
                start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip
        try:
            yield Browser(await _devtools(profile), log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def require_modules(*names: str) -> None:
    """Skip, or in CI fail, where a package of npm is not installed."""
    if missing := [name for name in names if not (MODULES / name).exists()]:
        give_up(f"{', '.join(missing)} not installed: npm ci in tests/browser (make test does)")


async def _devtools(profile: Path) -> str:
    announced = profile / "DevToolsActivePort"
    async with asyncio.timeout(_START_SECONDS):
        while not (announced.exists() and announced.read_text().strip()):  # noqa: ASYNC110 written by another process
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
    return f"http://127.0.0.1:{announced.read_text().splitlines()[0]}"
