"""How `mediaplane s3` reads its options, and what it prints."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from mediaplane.cli.s3_events import Events, event_document, printable, sentence
from mediaplane.cli.s3_options import FilteringCommand, filter_of, read_duration, read_size
from mediaplane.storage.bulk.work import Copy, Download, Event, Found, Refused, Summary, Upload
from mediaplane.storage.endpoint import S3Endpoint

BUCKET = S3Endpoint("http://s3.localhost", "bucket", "key", "secret")


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("", 0),
        ("1", 1),
        ("512K", 512 << 10),
        ("10M", 10 << 20),
        ("1.5G", 3 << 29),
        ("2mib", 2 << 20),
        ("3MB/s", 3 << 20),
    ],
)
def test_sizes_are_read(text: str, size_bytes: int):
    """Binary units, however they are written."""
    assert read_size(text, "--bwlimit") == size_bytes


@pytest.mark.parametrize("text", ["fast", "-1", "0", "0M", "1X", "M", "1 000"])
def test_other_sizes_are_refused(text: str):
    """With a sentence that names the option's form."""
    with pytest.raises(typer.BadParameter, match="10M"):
        read_size(text, "--bwlimit")


def test_durations_are_read():
    """Seconds without a unit."""
    assert read_duration("90", "--expires") == timedelta(seconds=90)
    assert read_duration("1.5h", "--expires") == timedelta(minutes=90)
    assert read_duration("7d", "--expires") == timedelta(days=7)
    with pytest.raises(typer.BadParameter):
        read_duration("soon", "--expires")


@pytest.mark.parametrize(
    ("arguments", "keeps"),
    [
        (["--exclude", "tmp/*", "--include", "tmp/keep/*"], True),
        (["--include=tmp/keep/*", "--exclude=tmp/*"], False),
        (["--exclude=tmp/*", "--", "--include", "tmp/keep/*"], False),
    ],
)
def test_order_of_filters_is_kept(arguments: list[str], keeps: bool):
    """Between the two options, in both spellings, up to a `--`."""
    app = typer.Typer()
    found = []

    @app.command(cls=FilteringCommand)
    def command(
        ctx: typer.Context,
        names: Annotated[list[str] | None, typer.Argument()] = None,
        include: Annotated[list[str] | None, typer.Option()] = None,
        exclude: Annotated[list[str] | None, typer.Option()] = None,
    ) -> None:
        found.append(filter_of(ctx))

    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert found[0].takes("tmp/keep/a") is keeps


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é🎬", "plain é🎬"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("\udcff", "\\udcff"),
    ],
)
def test_names_cannot_command_the_terminal(name: str, shown: str):
    """A key is a stranger's text: escapes, line breaks and what is no text are spelled out."""
    assert printable(name) == shown


def test_events_are_documents():
    """One shape for all, that says what, where from, where to, how much, and what went wrong."""
    found = Found("in/a", 5, '"e"', datetime.now(UTC))
    work = Download(BUCKET, found, Path("/out/a"))
    assert event_document(Event(work, done=True, bytes_moved=5)) == {
        "event": "done", "action": "download", "source": "s3://bucket/in/a", "target": "/out/a", "bytes": 5,
    }  # fmt: skip
    assert event_document(Event(work, done=False, bytes_moved=3))["event"] == "progress"
    assert event_document(Event(work, done=True, bytes_moved=0, error="why"))["event"] == "failed"
    assert event_document(Event(work, done=False, bytes_moved=0, planned=True))["event"] == "planned"
    refused = event_document(Event(Refused("s3://bucket/../a"), done=True, bytes_moved=0, error="why"))
    assert (refused["action"], refused["target"], refused["error"]) == ("refuse", "s3://bucket/../a", "why")
    assert sentence(Copy(BUCKET, found, BUCKET, "b")) == "copy s3://bucket/in/a → s3://bucket/b"


def test_summary_is_the_last_line(capsys: pytest.CaptureFixture[str]):
    """With all that people are told too."""
    events = Events(as_json=True)
    with events.watched():
        events.tell(Event(Upload(Path("a"), 5, 0, BUCKET, "k"), done=True, bytes_moved=5))
    events.finish(Summary(done=1, failed=1, bytes_moved=5, failures=[("b", "why")]))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["done", "summary"]
    assert lines[-1]["failures"] == [{"what": "b", "error": "why"}]


def test_people_are_told_some_failures_and_all_counts(capsys: pytest.CaptureFixture[str]):
    """Twenty are shown, with where to find the rest."""
    events = Events(as_json=False)
    for number in range(25):
        events.tell(Event(Refused(f"f{number}"), done=True, bytes_moved=0, error="why"))
    events.finish(Summary(failed=25))
    told = capsys.readouterr()
    assert told.err.count("failed: f") == 20
    assert "5 more failures" in told.err
    assert "0 done, 25 failed" in told.out


def test_transfers_load_no_database_and_no_frameworks():
    """`mediaplane s3 cp` starts in a third of the time of the whole command line."""
    code = (
        "import sys; sys.argv = ['mediaplane', 's3', 'cp', '--help']\n"
        "from mediaplane.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('psycopg', 'boto3', 'botocore', 'obstore', 'fastapi') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
