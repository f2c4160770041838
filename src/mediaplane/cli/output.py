"""What commands print: tables and progress for people, one JSON document for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console

from mediaplane.media.timecodes import format_timecode

if TYPE_CHECKING:
    from rich.progress import Progress

PIPE_COLUMNS = 160  # where nobody sees an edge to fold at


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() else PIPE_COLUMNS


console = Console(highlight=False, soft_wrap=True, width=_width(sys.stdout))
notes = Console(
    stderr=True, highlight=False, soft_wrap=True, width=_width(sys.stderr)
)  # progress and remarks never mix with the answer


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, default=_plain)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numeric: Sequence[str] = ()) -> None:
    """Print rows under column heads; wide cells fold."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def progress_bars() -> "Progress":
    """Return progress bars on standard error: name, bar, share, time; none where it is no terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=notes,
        disable=not notes.is_terminal,
    )


def size(size_bytes: int) -> str:
    """Return bytes as people read them: 999 B, 1.2 kB, 3.4 MB."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def span(start_ms: int, end_ms: int) -> str:
    """Return a time range as people read it."""
    return f"{format_timecode(start_ms)} – {format_timecode(end_ms)}"


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
