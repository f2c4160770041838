"""Write docs/reference.md from the code: every setting, error code, stage and command. `--check` compares only."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from mediaplane import errors
from mediaplane.cli.app import app
from mediaplane.pipeline import assemble, audio, chunk, clip, plan, probe
from mediaplane.settings import describe, load_settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"


def main() -> int:
    """Write or check the page; return the exit status."""
    text = "\n".join(lines())
    if "--check" in sys.argv:
        return 0 if PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


def lines() -> Iterator[str]:
    """Yield the page line by line."""
    yield from ("# Reference", "", "Written by `make reference` from the code: do not edit it by hand.", "")
    yield from commands()
    yield from settings()
    yield from stages()
    yield from codes()


def commands() -> Iterator[str]:
    """Yield the commands with their first sentence."""
    yield from ("## Commands", "", "| command | what it does |", "| --- | --- |")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        yield f"| `mediaplane {name}` | {(command.help or '').split(chr(10))[0]} |"
    yield ""


def settings() -> Iterator[str]:
    """Yield the settings with their defaults."""
    yield from ("## Settings", "")
    yield "Read once, first wins: variable of the environment (for keys also `GATEWAY_…`, `WORKER_…`, `SCANNER_…`),"
    yield "`[environments.NAME]` of the profile, `[settings]` of the profile, default (here `cortana-vision`'s)."
    yield from ("", "| variable | default | what it is |", "| --- | --- | --- |")
    for entry in describe(load_settings({})):
        value = f"`{entry['value']}`" if entry["value"] != "" else ""
        yield f"| `{entry['setting']}` | {value} | {entry['doc']} |"
    yield ""


def stages() -> Iterator[str]:
    """Yield the stages with their sentence."""
    yield from ("## Stages", "", "| stage | what it does |", "| --- | --- |")
    for module in (probe, plan, chunk, audio, assemble, clip):
        sentence = (module.__doc__ or "").split("\n")[0].partition(": ")[2]
        yield f"| `{module.__name__.rpartition('.')[2]}` | {sentence} |"
    yield ""


def codes() -> Iterator[str]:
    """Yield the error codes with their meaning."""
    yield from ("## Error codes", "", "Stable: programs may rely on them.", "", "| code | meaning |", "| --- | --- |")
    found = [entry for entry in vars(errors).values() if isinstance(entry, type)]
    for error in sorted(found, key=lambda entry: entry.code):
        if not error.__subclasses__() or error.code == "media_error":
            yield f"| `{error.code}` | {(error.__doc__ or '').split(chr(10))[0]} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
