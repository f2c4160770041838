"""Recordings for the benchmarks: rendered programs full of known phrases, the same for the same seed.

    python -m benchmarks.recordings /tmp/recordings --seconds 60

A text recording goes through an editor, a terminal, a page, slides and a chat, dark and light in turn, with letters of
13 to 40 pixels. Beside each video lies `NAME.truth.json`: which phrase is wholly on the screen from when to when.
"""

import argparse
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, STEPS = 1920, 1080, 10  # STEPS: pictures a second; the video has three frames of each
SHORTEST_MS = 1_000  # a phrase shown for less is nobody's to read
FONTS = Path("/usr/share/fonts/truetype/dejavu")
WORDS = re.findall(
    r"\w+",
    "amber anchor apple arrow autumn barrel basket beacon beetle bottle branch bridge bronze bucket button cabin"
    " candle canvas carbon castle cellar cherry circle clover cobalt coffee copper corner cotton cradle crystal"
    " dancer dealer desert dinner dragon driver eagle engine fabric falcon feather fiddle finger forest fossil"
    " galaxy garden garlic ginger glacier gravel guitar hammer harbour harvest helmet hollow island ivory jacket"
    " jungle kettle ladder lantern lemon library linen lizard magnet marble market meadow melody mirror monkey"
    " morning mountain needle nickel oyster paddle palace pebble pencil pepper pillow planet pocket potato prairie"
    " puzzle quartz rabbit ribbon river rocket saddle salmon sandal shadow shelter silver sparrow spider spring"
    " stable summer sunset tailor temple thunder timber tunnel turtle valley velvet violin walnut weaver whisper"
    " willow window winter yellow zephyr",
)
Lines = list[tuple[int, int, str]]  # x, y, text


@dataclass(frozen=True, slots=True)
class Look:
    """Colours and letters of a program."""

    paper: tuple[int, int, int]
    ink: tuple[int, int, int]
    accent: tuple[int, int, int]
    font: str
    size: int

    @property
    def pitch(self) -> int:
        """Pixels from line to line."""
        return round(self.size * 1.5)


@dataclass(slots=True)
class Truth:
    """When each phrase has been seen: ranges of picture numbers."""

    kind: str = ""
    size: int = 0
    dark: bool = False
    ranges: list[dict] = field(default_factory=list)
    open: dict[str, dict] = field(default_factory=dict)

    def see(self, number: int, texts: set[str]) -> None:
        """Note the phrases of one picture."""
        for text in [text for text in self.open if text not in texts]:
            self._close(text, number)
        for text in texts - self.open.keys():
            self.open[text] = {
                "text": text,
                "t_start_ms": number * 1000 // STEPS,
                "kind": self.kind,
                "px": self.size,
                "dark": self.dark,
            }

    def finish(self, number: int) -> list[dict]:
        """Return every range that is long enough."""
        self.see(number, set())
        return sorted(self.ranges, key=lambda entry: (entry["t_start_ms"], entry["text"]))

    def _close(self, text: str, number: int) -> None:
        entry = self.open.pop(text) | {"t_end_ms": number * 1000 // STEPS}
        if entry["t_end_ms"] - entry["t_start_ms"] >= SHORTEST_MS:
            self.ranges.append(entry)


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font of Debian's fonts-dejavu, or the one in Pillow where that is missing."""
    path = FONTS / f"{name}.ttf"
    return ImageFont.truetype(str(path), size) if path.is_file() else ImageFont.load_default(size)


DARK = ((24, 26, 33), (216, 218, 224), (120, 190, 255))
LIGHT = ((250, 250, 247), (34, 36, 40), (20, 90, 170))
Picture = tuple[Image.Image, Lines]  # what is shown, and the lines that are wholly in it


def phrase(chance: random.Random, words: int = 4) -> str:
    """Return a phrase that is all but surely the only one of its kind."""
    return " ".join(chance.sample(WORDS, words))


def paint(look: Look, lines: Lines, *, top: int = 40, bottom: int = HEIGHT - 40) -> Picture:
    """Draw lines of text between two bars; return the picture and the lines that are wholly between them."""
    image = Image.new("RGB", (WIDTH, HEIGHT), look.paper)
    draw = ImageDraw.Draw(image)
    letters = font(look.font, look.size)
    for x, y, text in lines:
        if -look.pitch < y < HEIGHT:
            draw.text((x, y), text, font=letters, fill=look.ink)
    draw.rectangle((0, 0, WIDTH, top), fill=look.accent)
    draw.rectangle((0, bottom, WIDTH, HEIGHT), fill=look.accent)
    return image, [line for line in lines if top < line[1] and line[1] + look.size * 1.3 < bottom]


def editor(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """Code with line numbers; a line is typed under a blinking caret, then the view jumps on."""
    code = [
        f"{'    ' * chance.randint(1, 3)}{'_'.join(chance.sample(WORDS, 3))} = load({phrase(chance, 2)!r})"
        for _ in range(200)
    ]
    fits = (HEIGHT - 120) // look.pitch
    first, typed, target = 0, "", "# " + phrase(chance)
    for step in range(steps):
        if step and step % 40 == 0:
            code.insert(first + fits // 2, f"    {target}")
            first += fits // 2
            typed, target = "", "# " + phrase(chance)
        typed = target[: (step % 40)]
        shown = code[first : first + fits]
        shown.insert(fits // 2, f"    {typed}")
        numbered = [
            (30, 60 + row * look.pitch, f"{first + row + 1:4d}  {text}") for row, text in enumerate(shown[:fits])
        ]
        image, lines = paint(look, numbered)
        if step % 10 < 5:
            x = 30 + font(look.font, look.size).getlength(f"{0:4d}      {typed}")
            y = 60 + fits // 2 * look.pitch
            ImageDraw.Draw(image).rectangle((x + 2, y, x + 4, y + look.size), fill=look.ink)
        whole = [(x, y, text[6:].strip()) for x, y, text in lines if not text.endswith(f"    {typed}")]
        yield image, whole + ([(0, 0, typed)] if typed == target else [])


def terminal(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """Output that comes a line or three at a time and pushes the rest up."""
    rows = [f"$ {phrase(chance)}"]
    for step in range(steps):
        if step % 4 == 0:
            rows += [f"{chance.randint(10, 99)}% {phrase(chance)}" for _ in range(chance.choice((1, 1, 3)))]
        fits = (HEIGHT - 120) // look.pitch
        shown = rows[-fits:]
        yield paint(look, [(30, 60 + row * look.pitch, text) for row, text in enumerate(shown)])


def page(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """Paragraphs that are scrolled through, with rests."""
    texts = [phrase(chance, chance.choice((5, 6, 7, 8))) for _ in range(160)]
    offset = 0
    for step in range(steps):
        if step % 30 >= 20:
            offset += 57
        yield paint(look, [(260, 70 + row * look.pitch - offset, text) for row, text in enumerate(texts)], top=60)


def slides(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """A title, and points that come one by one."""
    texts: list[str] = []
    for step in range(steps):
        if step % 60 == 0:
            texts = [phrase(chance, 3) for _ in range(7)]
        shown = texts[: 2 + step % 60 // 10]
        yield paint(look, [(200, 160 + row * look.pitch * 2, text) for row, text in enumerate(shown)])


def chat(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """Messages on both sides; each new one pushes the others up."""
    messages = [(chance.choice((120, 900)), phrase(chance, 5)) for _ in range(9)]
    for step in range(steps):
        if step % 12 == 6:
            messages.append((chance.choice((120, 900)), phrase(chance, 5)))
        shown = messages[-((HEIGHT - 160) // (look.pitch * 2)) :]
        lines = [(x, 80 + row * look.pitch * 2, text) for row, (x, text) in enumerate(shown)]
        image, whole = paint(look, lines)
        draw = ImageDraw.Draw(image)
        for x, y, _ in lines:
            draw.ellipse((x - 50, y - 4, x - 18, y + 28), fill=look.accent)
        yield image, whole


def changing_line(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """A full page of which one line changes each second."""
    return _changing(chance, look, steps, rows=1)


def changing_page(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """A full page that is another one each second."""
    return _changing(chance, look, steps, rows=(HEIGHT - 120) // look.pitch)


def _changing(chance: random.Random, look: Look, steps: int, *, rows: int) -> Iterator[Picture]:
    fits = (HEIGHT - 120) // look.pitch
    texts = [phrase(chance, 6) for _ in range(fits)]
    for step in range(steps):
        if step and step % STEPS == 0:
            for row in range(rows):
                texts[(step // STEPS * rows + row) % fits] = phrase(chance, 6)
        yield paint(look, [(120, 60 + row * look.pitch, text) for row, text in enumerate(texts)])


def moving(chance: random.Random, look: Look, steps: int) -> Iterator[Picture]:
    """What a camera sees, more or less: soft shapes that drift over each other, with grain; a title now and then."""
    noise = np.random.default_rng(chance.randrange(1 << 30))
    small = noise.integers(0, 255, (34, 60, 3), dtype=np.uint8)
    drift = noise.normal(0, 1, (8, 4))
    title = phrase(chance, 3)
    for step in range(steps):
        soft = np.roll(small, (step // 2, step), axis=(0, 1))
        image = Image.fromarray(soft).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(image)
        for number, (x, y, dx, dy) in enumerate(drift):
            left, top = (WIDTH / 2 + x * 400 + dx * step * 9) % WIDTH, (HEIGHT / 2 + y * 250 + dy * step * 6) % HEIGHT
            draw.ellipse(
                (left, top, left + 160 + number * 30, top + 220), fill=(60 + number * 20, 90, 200 - number * 22)
            )
        grain = noise.integers(-3, 4, (HEIGHT // 4, WIDTH // 4, 1), dtype=np.int16).repeat(4, 0).repeat(4, 1)
        image = Image.fromarray(np.clip(np.asarray(image, np.int16) + grain, 0, 255).astype(np.uint8))
        lines: Lines = []
        if step % 100 < 30:
            ImageDraw.Draw(image).rectangle((180, 880, 1300, 980), fill=look.paper)
            ImageDraw.Draw(image).text((220, 900), title, font=font(look.font, 40), fill=look.ink)
            lines = [(220, 900, title)]
        elif step % 100 == 99:
            title = phrase(chance, 3)
        yield image, lines


Kind = Callable[[random.Random, Look, int], Iterator[Picture]]
TEXT: tuple[tuple[Kind, str, tuple[int, ...]], ...] = (
    (editor, "DejaVuSansMono", (13, 15, 18)),
    (terminal, "DejaVuSansMono", (14, 16, 20)),
    (page, "DejaVuSerif", (16, 20, 24)),
    (slides, "DejaVuSans", (28, 34, 40)),
    (chat, "DejaVuSans", (15, 17, 22)),
)


def scenes(name: str, seed: int, seconds: int) -> list[tuple[Kind, Look, int]]:
    """Return what a recording shows: programs, their looks, and how many pictures of each."""
    chance = random.Random(f"{name}{seed}")
    if name != "text":
        kind = {"line": changing_line, "page": changing_page, "film": moving}[name]
        return [(kind, Look(*LIGHT, "DejaVuSans", 20), seconds * STEPS)]
    parts = max(len(TEXT), round(seconds / 6))
    lengths = [seconds * STEPS * (part + 1) // parts - seconds * STEPS * part // parts for part in range(parts)]
    made = []
    for part, steps in enumerate(lengths):
        kind, letters, sizes = TEXT[(part + seed) % len(TEXT)]
        colours = (DARK, LIGHT)[(part + part // len(TEXT) + seed) % 2]
        made.append((kind, Look(*colours, letters, chance.choice(sizes)), steps))
    return made


def make_recording(folder: Path, name: str, *, seed: int, seconds: int) -> Path:
    """Write the recording `name` (text, line, page, film) and its truth, unless they are there; return the video."""
    video = folder / f"{name}-{seed}-{seconds}s.mp4"
    truth_file = video.with_suffix(".truth.json")
    if truth_file.exists():
        return video
    folder.mkdir(parents=True, exist_ok=True)
    chance, truth, number = random.Random(f"{seed}{name}"), Truth(), 0
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{WIDTH}x{HEIGHT}", "-r", str(STEPS), "-i", "pipe:0"]
    command += ["-f", "lavfi", "-i", "sine=frequency=330", "-shortest", "-r", "30", "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", "60", "-c:a", "aac", str(video)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as tool:
        assert tool.stdin is not None
        for kind, look, steps in scenes(name, seed, seconds):
            truth.kind, truth.size, truth.dark = kind.__name__, look.size, look.paper == DARK[0]
            for image, lines in kind(chance, look, steps):
                truth.see(number, {text for _, _, text in lines})
                tool.stdin.write(image.tobytes())
                number += 1
    if tool.returncode:
        raise SystemExit(f"ffmpeg could not write {video}")
    truth_file.write_text(json.dumps(truth.finish(number), indent=1))
    return video


def read_truth(video: Path) -> list[dict]:
    """Return the phrases of a recording."""
    found: list[dict] = json.loads(video.with_suffix(".truth.json").read_text())
    return found


def main() -> None:
    """Write one recording of each name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in ("text", "line", "page", "film"):
        print(make_recording(options.folder, name, seed=options.seed, seconds=options.seconds), flush=True)


if __name__ == "__main__":
    main()
