"""Commands load what they need and nothing else: what starts often starts fast."""

import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mediaplane.cli.app import COMMANDS, app
from mediaplane.cli.later import Later

DECODING = {"av", "cv2", "numpy", "onnxruntime", "PIL"}
HEAVY = DECODING | {"boto3", "botocore", "fastapi", "pgqueuer", "pygments", "rapidfuzz", "structlog", "urllib3"}
DATABASE = ("psycopg", "psycopg_pool")


def listed() -> dict[str, Any]:
    """Return the commands as the list of `mediaplane --help` has them."""
    group: Any = typer.main.get_command(app)
    return group.commands


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_table_of_commands_is_what_the_code_says(name: str):
    """A name calls the command of this name, and its line is the first sentence of the command's own help."""
    later = listed()[name]
    assert isinstance(later, Later)
    command = later.load()
    assert command.name == name
    assert later.get_short_help_str(200) == command.get_short_help_str(200)
    assert not isinstance(command, Later)


def test_commands_of_a_group_that_are_loaded_late_are_what_the_code_says():
    """The same for `mediaplane s3 compat`, which is the only one."""
    group = listed()["s3"].load()
    (later,) = (command for command in group.commands.values() if isinstance(command, Later))
    assert (later.name, later.load().name) == ("compat", "compat")
    assert later.get_short_help_str(200) == later.load().get_short_help_str(200)


def test_unknown_command_is_told_with_what_may_have_been_meant():
    """As it was when all commands were loaded."""
    told = CliRunner().invoke(app, ["serch", "words"])
    assert told.exit_code == 2
    assert "No such command 'serch'. Did you mean 'search'" in told.stderr


def loaded(*words: str) -> set[str]:
    """Return the modules that are loaded when the command line with these words has ended."""
    code = (
        "import sys\nfrom mediaplane.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(told.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("words", "without"),
    [
        (("--help",), {*HEAVY, *DATABASE, "rich", "obstore", "pydantic", "asyncio", "mediaplane.wiring"}),
        (("s3", "cp", "--help"), {*HEAVY, *DATABASE, "obstore", "asyncio"}),
        (("ls",), {*HEAVY, "rich.syntax", "mediaplane.upkeep", "mediaplane.pipeline", "mediaplane.access.completion"}),
        (("search", "word"), {*HEAVY, "rich.syntax", "mediaplane.upkeep", "mediaplane.pipeline"}),
        (("key", "ls"), {*HEAVY, "rich.syntax", "mediaplane.upkeep", "mediaplane.pipeline", "mediaplane.search"}),
        (("config",), {*HEAVY, *DATABASE, "mediaplane.pipeline"}),
    ],
    ids=["list", "s3", "ls", "search", "key", "config"],
)
def test_light_commands_load_nothing_heavy(words: tuple[str, ...], without: set[str], tmp_path):
    """Half of a command's time was loading what other commands need."""
    assert loaded("--state-dir", str(tmp_path), *words) & without == set()


@pytest.mark.parametrize("tool", ["probe", "chunk", "audio", "cut"])
def test_children_of_the_worker_load_no_numpy(tool: str):
    """There are several an asset and two a chunk; pictures alone need numpy, Pillow and OpenCV."""
    code = f"import sys, mediaplane.pipeline.tools.{tool}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*DATABASE, "numpy", "PIL", "cv2", "pydantic", "typer"} & set(told.stdout.split())
