"""A throw-away desktop on Xvfb: starts real programs, drives them with xdotool, and ends what it started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

WIDTH, HEIGHT = 1920, 1080
BAR_HEIGHT = 38
CONTENT = Path(__file__).resolve().parent / "content"
PROMPT = r"\[\033[36m\]mira@launch\[\033[0m\] $ "


class Desktop:
    """Xvfb with a window manager; use it as a context manager so that every process is ended again."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.launch = work / "launch"
        self.env: dict[str, str] = {}
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for name in ("home", "run"):
            (self.work / name).mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(CONTENT / "launch", self.launch, dirs_exist_ok=True)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work / "home"),
            "XDG_RUNTIME_DIR": str(self.work / "run"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "NO_AT_BRIDGE": "1",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }
        try:
            self._start_server()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the processes of this desktop, the newest first, each by its own process group."""
        for process in reversed(self._started):
            self.stop(process, signal.SIGTERM)
        self._started.clear()

    def start(self, command: Sequence[str], stderr: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own, in the folder the demo works in."""
        process = subprocess.Popen(
            command,
            env=self.env,
            cwd=self.launch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    @staticmethod
    def stop(process: subprocess.Popen[bytes], with_signal: signal.Signals) -> None:
        """Signal the process's group, wait for the process, and kill what is left of the group."""
        for sign in (with_signal, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)

    def _start_server(self) -> None:
        read_end, write_end = os.pipe()
        screen = f"{WIDTH}x{HEIGHT}x24"
        server = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", screen, "-dpi", "96", "-nolisten", "tcp"]
        self._started.append(
            subprocess.Popen(server, pass_fds=[write_end], stderr=subprocess.DEVNULL, start_new_session=True)
        )
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        self.env["DISPLAY"] = f":{number}"
        self.start(["openbox", "--config-file", str(CONTENT / "openbox.xml")])
        time.sleep(1.0)
        subprocess.run(["xsetroot", "-solid", "#2f4858", "-cursor_name", "left_ptr"], env=self.env, check=True)

    def xdo(self, *words: str | int) -> str:
        """Run one xdotool command and return what it prints."""
        done = subprocess.run(
            ["xdotool", *map(str, words)], env=self.env, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def find_window(self, by: str, pattern: str) -> int:
        """Wait for a visible window whose name, class or classname matches and return its id."""
        return int(self.xdo("search", "--sync", "--onlyvisible", f"--{by}", pattern).splitlines()[-1])

    def place(self, window: int, x: int, y: int, width: int, height: int) -> None:
        self.xdo("windowsize", window, width, height)
        self.xdo("windowmove", window, x, y)

    def activate(self, window: int) -> None:
        self.xdo("windowactivate", "--sync", window)

    def type(self, text: str, delay_ms: int = 55) -> None:
        """Type text into the focused window, one key after another."""
        self.xdo("type", "--delay", delay_ms, "--", text)

    def key(self, *names: str) -> None:
        self.xdo("key", "--delay", 40, *names)

    def glide_to(self, x: int, y: int, seconds: float = 0.5) -> None:
        """Move the mouse pointer to a place the way a hand would, not in one jump."""
        where = dict(part.split(":") for part in self.xdo("getmouselocation").split())
        start_x, start_y = int(where["x"]), int(where["y"])
        steps = max(1, round(seconds * 20))
        for step in range(1, steps + 1):
            part = (step / steps) ** 2 * (3 - 2 * step / steps)
            self.xdo("mousemove", round(start_x + (x - start_x) * part), round(start_y + (y - start_y) * part))
            time.sleep(seconds / steps / 2)

    def click(self, x: int, y: int) -> None:
        self.glide_to(x, y)
        time.sleep(0.15)
        self.xdo("click", 1)

    def wheel_down(self, notches: int, delay_ms: int) -> None:
        self.xdo("click", "--repeat", notches, "--delay", delay_ms, 5)

    def open_terminal(self, name: str, title: str, size_px: int, colours: tuple[str, str], run: Sequence[str]) -> int:
        """Open an xterm with a readable font and return its window."""
        paper, ink = colours
        look = ["-fa", "DejaVu Sans Mono", "-fs", str(size_px * 0.75), "-bg", paper, "-fg", ink, "-b", "10", "-bc"]
        self.start(["xterm", "-name", name, "-T", title, *look, "-xrm", "Xft.rgba: none", "-e", *run])
        return self.find_window("classname", f"^{name}$")

    def open_shell(self, name: str, title: str, size_px: int, colours: tuple[str, str]) -> int:
        """Open a terminal with an interactive shell in it."""
        rc = self.work / "bashrc"
        rc.write_text(f"PS1='{PROMPT}'\nunset HISTFILE\nshopt -u checkwinsize\n", encoding="utf-8")
        return self.open_terminal(name, title, size_px, colours, ["bash", "--noprofile", "--rcfile", str(rc)])

    def open_editor(self, file: str) -> int:
        self.start(["gvim", "-f", "-u", str(CONTENT / "vimrc"), "-U", "NONE", file])
        return self.find_window("class", "^Gvim$")

    def open_browser(self, page: Path) -> int:
        flags = (
            "--no-sandbox --test-type --disable-gpu --disable-quic --no-first-run --no-default-browser-check"
            " --disable-background-networking --disable-component-update --disable-sync --disable-breakpad"
            " --password-store=basic --force-device-scale-factor=1 --disable-lcd-text --lang=en-US"
            f" --window-position=0,{BAR_HEIGHT} --window-size={WIDTH},{HEIGHT - BAR_HEIGHT}"
        ).split()
        profile = f"--user-data-dir={self.work / 'profile'}"
        self.start(["chromium", *flags, profile, f"--app={page.as_uri()}"])
        return self.find_window("name", "^Quillmoor Square")
