"""The tour itself: what is typed, scrolled and said, in order. Every narration line is marked with its wall-clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from desktop import BAR_HEIGHT, CONTENT, HEIGHT, WIDTH, Desktop

DARK = ("#10161b", "#dfe6ea")
LIGHT = ("#f6f2e7", "#24292d")
STUDIO_LINE = 9
DISCOUNT = (
    "",
    "",
    "def with_discount(amount: float, percent: int) -> float:",
    "    # spring sale, see https://example.com/spring-sale",
    "    saved = amount * percent / 100",
    "    return round(amount - saved, 2)",
)
POST = "#lanternweek opens at dusk, ask @mira.tolland for a map"


@dataclass
class Narrator:
    """Says nothing itself: it keeps the time, so that the voice can be laid under the picture afterwards."""

    lengths: dict[str, float]
    starts: dict[str, float] = field(default_factory=dict)
    _free_at: float = 0.0

    def say(self, name: str) -> None:
        """Mark the line as said now, or as soon as the line before it is over."""
        self.starts[name] = max(time.time(), self._free_at + 0.25)
        self._free_at = self.starts[name] + self.lengths[name]

    def wait(self) -> None:
        time.sleep(max(0.0, self._free_at - time.time()))


@dataclass(frozen=True)
class Windows:
    shell: int
    editor: int
    browser: int


def open_windows(desk: Desktop) -> Windows:
    """Open everything before the recording starts; the shell ends up in front."""
    browser = desk.open_browser(CONTENT / "square.html")
    editor = desk.open_editor("pricing.py")
    desk.place(editor, 0, BAR_HEIGHT + 24, WIDTH, HEIGHT - BAR_HEIGHT - 24)
    bar = desk.open_terminal("statusbar", "bar", 20, ("#1b2a33", "#e8eef1"), ["./statusbar.sh"])
    desk.place(bar, 0, 0, WIDTH, BAR_HEIGHT)
    desk.activate(browser)
    desk.place(browser, 0, BAR_HEIGHT, WIDTH, HEIGHT - BAR_HEIGHT)
    time.sleep(2.0)
    cover = desk.open_terminal("cover", "Desk", 20, ("#2f4858", "#2f4858"), ["sleep", "600"])
    desk.place(cover, 0, BAR_HEIGHT, WIDTH + 40, HEIGHT)  # larger than the screen: xterm rounds down
    shell = desk.open_shell("shell", "Terminal", 25, DARK)
    desk.place(shell, 30, 90, 1290, 950)
    desk.glide_to(WIDTH - 40, HEIGHT - 12, 0.1)
    time.sleep(1.0)
    desk.activate(shell)
    return Windows(shell, editor, browser)


def play(desk: Desktop, windows: Windows, voice: Narrator) -> None:
    """Play the whole tour in real time."""
    terminal_scene(desk, windows, voice)
    editor_scene(desk, windows, voice)
    browser_scene(desk, windows, voice)
    closing_scene(desk, windows, voice)


def terminal_scene(desk: Desktop, windows: Windows, voice: Narrator) -> None:
    orders = desk.open_terminal("orders", "Orders", 18, LIGHT, ["./orders.sh"])
    desk.place(orders, 1350, 90, 540, 950)
    desk.activate(windows.shell)
    voice.say("welcome")
    time.sleep(0.8)
    desk.type("./deploy.sh --tag v2.14.0 --region north-2", 45)
    time.sleep(0.5)
    desk.key("Return")
    voice.say("deploy")
    voice.say("caches")
    time.sleep(13.5)
    voice.say("orders")
    time.sleep(4.0)
    voice.wait()


def editor_scene(desk: Desktop, windows: Windows, voice: Narrator) -> None:
    desk.activate(windows.editor)
    voice.say("editor")
    time.sleep(1.6)
    desk.type(f":{STUDIO_LINE}\n", 70)
    time.sleep(0.7)
    desk.type("f4ct,39.99", 110)
    desk.key("Escape")
    time.sleep(1.0)
    voice.say("discount")
    desk.type("Go", 60)
    desk.type("\n".join(DISCOUNT), 26)
    desk.key("Escape")
    time.sleep(1.2)
    desk.type(":%s/saved/rebate/g\n", 70)
    time.sleep(1.6)
    voice.wait()
    notes_scene(desk, voice)


def notes_scene(desk: Desktop, voice: Narrator) -> None:
    voice.say("notes")
    desk.type(":set background=dark | edit! notes.md\n", 30)
    time.sleep(2.4)
    for _ in range(2):
        desk.type("6")
        desk.key("ctrl+e")
        time.sleep(1.7)
    voice.wait()


def browser_scene(desk: Desktop, windows: Windows, voice: Narrator) -> None:
    desk.activate(windows.browser)
    voice.say("browser")
    time.sleep(0.6)
    desk.click(700, 180)
    desk.glide_to(1240, 190, 0.2)
    desk.type(POST, 42)
    time.sleep(0.7)
    desk.click(150, 250)
    desk.glide_to(1240, 400, 0.3)
    time.sleep(2.0)
    voice.say("steps")
    for _ in range(3):
        desk.wheel_down(3, 60)
        time.sleep(1.7)
    voice.say("glide")
    desk.wheel_down(24, 210)
    time.sleep(1.6)
    pricing_scene(desk, voice)


def pricing_scene(desk: Desktop, voice: Narrator) -> None:
    voice.say("pricing")
    desk.click(1790, 73)
    time.sleep(1.3)
    desk.click(1600, 73)
    time.sleep(2.4)
    desk.click(150, 243)
    time.sleep(2.6)
    voice.wait()


def closing_scene(desk: Desktop, windows: Windows, voice: Narrator) -> None:
    for name in ("cover", "orders", "shell"):
        desk.activate(desk.find_window("classname", f"^{name}$"))
    desk.activate(windows.shell)
    voice.say("thanks")
    time.sleep(1.4)
    desk.type("./status.sh\n", 60)
    time.sleep(3.4)
    voice.wait()


def narration_lines(path: Path = CONTENT / "narration.txt") -> dict[str, str]:
    """Read the narration: one "name|sentence" per line."""
    rows = (row.partition("|") for row in path.read_text(encoding="utf-8").splitlines() if row)
    return {name: text for name, _, text in rows}
