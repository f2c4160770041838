"""Write docs/reference.md (every setting, error code, stage and command) and docs/openapi.json from the code.

`--check` compares only.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from mediaplane import errors
from mediaplane.cli.app import app
from mediaplane.gateway.app import new_api
from mediaplane.pipeline import assemble, audio, chunk, clip, highlights, plan, probe
from mediaplane.settings import describe, load_settings, other_names

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, API = DOCS / "reference.md", DOCS / "openapi.json"


def main() -> int:
    """Write or check the pages; return the exit status."""
    pages = {PAGE: "\n".join(lines()), API: json.dumps(new_api().openapi(), indent=1, ensure_ascii=False) + "\n"}
    if "--check" in sys.argv:
        return 0 if all(page.exists() and page.read_text() == text for page, text in pages.items()) else 1
    for page, text in pages.items():
        page.write_text(text)
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
    for name, listed in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        command = listed.load()
        for full_name, one in [(f"{name} {part}", sub) for part, sub in getattr(command, "commands", {}).items()] or [
            (name, command)
        ]:
            yield f"| `mediaplane {full_name}` | {(one.help or '').split(chr(10))[0]} |"
    yield ""


def settings() -> Iterator[str]:
    """Yield the settings with their defaults."""
    yield from ("## Settings", "")
    yield "Read once, first wins: variable of the environment (for keys also `GATEWAY_…`, `WORKER_…`, `SCANNER_…`),"
    yield "`[environments.NAME]` of the profile, `[settings]` of the profile, default (here `cortana-vision`'s)."
    yield "Other names count where the first is not set; two that contradict each other are an error. Those that begin"
    yield "with `AWS_` count only where another variable says that a bucket of one's own is meant: keys in a shell of"
    yield "developers change nothing. `NAME_FILE` is the path of a file with the value. `mediaplane config` shows which"
    yield "variable counted."
    yield from ("", "| variable | default | what it is | other names |", "| --- | --- | --- | --- |")
    for entry in describe(load_settings({})):
        value = f"`{entry['value']}`" if entry["value"] != "" else ""
        others = ", ".join(f"`{name}`" for name in other_names(entry["setting"]))
        yield f"| `{entry['setting']}` | {value} | {entry['doc']} | {others} |"
    yield ""


def stages() -> Iterator[str]:
    """Yield the stages with their sentence."""
    yield from ("## Stages", "", "| stage | what it does |", "| --- | --- |")
    for module in (probe, plan, chunk, audio, assemble, highlights, clip):
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
