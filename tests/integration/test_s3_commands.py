"""`mediaplane s3` on real servers, as people and programs call it."""

import json
import os
import random
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mediaplane.cli import root, s3
from mediaplane.embedded import running
from tests.services.s3 import S3Server

MIB = 1 << 20
AN_HOUR_AGO = 1_700_000_000_123_456_789


@dataclass(frozen=True)
class Cli:
    """The command line on an empty bucket of a server."""

    server: S3Server
    bucket: str
    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", status: int = 0) -> str:
        """Run a command, check its exit status, and return what it printed."""
        return self.raw(*arguments, stdin=stdin, status=status).decode()

    def raw(self, *arguments: str | Path, stdin: bytes = b"", status: int = 0) -> bytes:
        """Run a command and return the bytes that it printed."""
        app = root.new_app()
        app.add_typer(s3.app, name="s3")
        words = ["s3", *(str(argument).replace("BUCKET", self.bucket) for argument in arguments)]
        result = CliRunner().invoke(app, words, input=stdin, env=dict(self.environment))
        assert result.exit_code == status, f"{words}: {result.output} {result.exception!r}"
        return result.stdout_bytes

    def summary(self, *arguments: str | Path, stdin: bytes = b"", status: int = 0) -> dict:
        """Run a command that prints events and return the last, its summary."""
        lines = [json.loads(line) for line in self(*arguments, "--json", stdin=stdin, status=status).splitlines()]
        assert [line["event"] for line in lines].count("summary") == 1
        assert lines[-1]["event"] == "summary"
        return lines[-1]

    def put(self, **bodies: bytes) -> None:
        """Store objects behind the command's back."""
        for key, body in bodies.items():
            self.server.client().put_object(Bucket=self.bucket, Key=key, Body=body)

    def listed(self) -> list[str]:
        """Return what is stored."""
        found = self.server.client().list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return sorted(entry["Key"] for entry in found)

    def body(self, key: str) -> bytes:
        """Return one object."""
        return self.server.client().get_object(Bucket=self.bucket, Key=key)["Body"].read()


def variables(server: S3Server, bucket: str, prefix: str = "") -> dict[str, str]:
    """Return what names a server and its keys."""
    named = {
        "S3_ENDPOINT": server.http_endpoint,
        "S3_BUCKET": bucket,
        "S3_ACCESS_KEY_ID": server.access_key,
        "S3_SECRET_ACCESS_KEY": server.secret_key,
    }
    return {f"{prefix}{name}": value for name, value in named.items()}


@pytest.fixture
def cli(s3_server: S3Server, fresh_bucket: Callable[[S3Server], str], tmp_path: Path) -> Cli:
    """On each server in turn."""
    bucket = fresh_bucket(s3_server)
    return Cli(s3_server, bucket, {**variables(s3_server, bucket), "MEDIAPLANE_STATE_DIR": str(tmp_path / "state")})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files of an hour ago, odd names among them."""
    directory = tmp_path / "in"
    dice = random.Random(5)
    for name, size in {
        "a.mp4": 10,
        "a-b.mp4": 0,
        "a/b.mp4": 100_000,
        "a/c/d.jpg": 5,
        "poster 1+2 100%.jpg": 7,
        "é🎬/clip [1080p].mp4": 3 * MIB,
        "notes.txt": 3,
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(size))
        os.utime(path, ns=(AN_HOUR_AGO, AN_HOUR_AGO))
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_directory_goes_up_and_comes_back_the_same(cli: Cli, tree: Path, tmp_path: Path):
    """Bytes, times to the nanosecond, types; and the second run sends nothing."""
    assert cli.summary("cp", "-r", tree, "s3://BUCKET/p")["done"] == 7
    assert cli.listed() == sorted(f"p/{name}" for name in contents(tree))
    head = cli.server.client().head_object(Bucket=cli.bucket, Key="p/a/b.mp4")
    assert head["ContentType"] == "video/mp4"
    assert head["Metadata"]["mtime"] == "1700000000.123456789"
    assert cli.summary("cp", "-r", tree, "s3://BUCKET/p")["skipped"] == 7
    assert cli.summary("cp", "-r", "s3://BUCKET/p", tmp_path / "out")["done"] == 7
    assert contents(tmp_path / "out") == contents(tree)
    assert {path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mp4")} == {AN_HOUR_AGO}
    assert cli.summary("sync", "s3://BUCKET/p", tmp_path / "out")["skipped"] == 7
    assert cli.summary("sync", tmp_path / "out", "s3://BUCKET/p")["skipped"] == 7


def test_large_file_goes_up_and_comes_back_in_parts(cli: Cli, tmp_path: Path):
    """Multipart, ranges, and still the same file; known again by its digests."""
    body = random.Random(6).randbytes(23 * MIB)
    (tmp_path / "large").write_bytes(body)
    assert cli.summary("cp", tmp_path / "large", "s3://BUCKET", "--part-size", "5M")["bytes"] == len(body)
    assert cli.body("large") == body
    cli("cp", "s3://BUCKET/large", tmp_path / "back", "--part-size", "5M")
    assert (tmp_path / "back").read_bytes() == body
    os.utime(tmp_path / "large")
    assert cli.summary("sync", tmp_path, "s3://BUCKET", "--include", "large", "--exact")["skipped"] == 1


def test_one_file_goes_where_it_is_told(cli: Cli, tree: Path, tmp_path: Path):
    """A bucket, a folder, a key; a directory, a new name; several at once."""
    cli("cp", tree / "a.mp4", "s3://BUCKET")
    cli("cp", tree / "a.mp4", "s3://BUCKET/folder/")
    cli("cp", tree / "a.mp4", "s3://BUCKET/renamed.mp4")
    cli("cp", tree / "a.mp4", tree / "notes.txt", "s3://BUCKET/both")
    assert cli.listed() == ["a.mp4", "both/a.mp4", "both/notes.txt", "folder/a.mp4", "renamed.mp4"]
    cli("cp", "s3://BUCKET/both/notes.txt", tmp_path)
    cli("cp", "s3://BUCKET/both/notes.txt", tmp_path / "new" / "name.txt")
    cli("cp", "s3://BUCKET/both/notes.txt", f"{tmp_path}/folder/")
    for path in ("notes.txt", "new/name.txt", "folder/notes.txt"):
        assert (tmp_path / path).read_bytes() == (tree / "notes.txt").read_bytes()
    cli("cp", "s3://BUCKET/both/notes.txt", "s3://BUCKET/copied.txt")
    assert cli.body("copied.txt") == (tree / "notes.txt").read_bytes()
    assert cli.summary("cp", "s3://BUCKET/nothing", tmp_path, status=1)["failed"] == 1


def test_one_file_with_the_same_size_is_sent_when_it_is_another(cli: Cli, tmp_path: Path):
    """An old file under a new name: its time is not the one that the object keeps."""
    for name, body, mtime in (("one", b"11", 1_600_000_000), ("two", b"22", 1_500_000_000)):
        (tmp_path / name).write_bytes(body)
        os.utime(tmp_path / name, (mtime, mtime))
    cli("cp", tmp_path / "one", "s3://BUCKET/x")
    assert cli.summary("cp", tmp_path / "one", "s3://BUCKET/x")["skipped"] == 1
    assert cli.summary("cp", tmp_path / "two", "s3://BUCKET/x")["done"] == 1
    assert cli.body("x") == b"22"


def test_wildcards_and_filters_choose(cli: Cli, tree: Path, tmp_path: Path):
    """In sources, and by --include and --exclude in the order they stand in."""
    cli("cp", "-r", tree, "s3://BUCKET/p")
    cli("cp", "s3://BUCKET/p/*.mp4", tmp_path / "wild")
    assert sorted(contents(tmp_path / "wild")) == ["a-b.mp4", "a.mp4", "a/b.mp4", "é🎬/clip [1080p].mp4"]
    cli("cp", f"{tree}/a*.mp4", "s3://BUCKET/q/")
    assert [key for key in cli.listed() if key.startswith("q/")] == ["q/a-b.mp4", "q/a.mp4", "q/a/b.mp4"]
    cli("cp", "-r", "s3://BUCKET/p", tmp_path / "one", "--exclude", "a/*", "--include", "a/c/*", "--exclude", "*.txt")
    assert sorted(contents(tmp_path / "one")) == [
        "a-b.mp4", "a.mp4", "a/c/d.jpg", "poster 1+2 100%.jpg", "é🎬/clip [1080p].mp4",
    ]  # fmt: skip
    cli("cp", "-r", "s3://BUCKET/p", tmp_path / "two", "--include", "*.jpg")
    assert sorted(contents(tmp_path / "two")) == ["a/c/d.jpg", "poster 1+2 100%.jpg"]
    cli("cp", "s3://BUCKET/p/é🎬/clip [1080p].mp4", tmp_path / "three.mp4")
    assert (tmp_path / "three.mp4").stat().st_size == 3 * MIB


def test_dry_run_says_and_does_nothing(cli: Cli, tree: Path, tmp_path: Path):
    """Each piece of work, and what they are in all."""
    answer = cli("cp", "-r", tree, "s3://BUCKET/p", "--dry-run")
    assert f"would upload {tree}/a.mp4 → s3://{cli.bucket}/p/a.mp4" in answer
    assert "7 would be done" in answer
    assert cli.listed() == []
    cli("cp", "-r", tree, "s3://BUCKET/p")
    (tmp_path / "empty").mkdir()
    assert "7 would be" in cli("rm", "-r", "s3://BUCKET/p", "-n")
    assert cli.summary("sync", "--delete", tmp_path / "empty", "s3://BUCKET/p", "-n")["planned"] == 7
    assert len(cli.listed()) == 7
    assert cli.summary("sync", "s3://BUCKET/p", tmp_path / "new", "-n")["planned"] == 7
    assert not (tmp_path / "new").exists()


def test_sync_brings_a_bucket_in_step(cli: Cli, tree: Path):
    """New, changed and vanished files; what is excluded is left alone on both sides."""
    cli("sync", tree, "s3://BUCKET/p")
    (tree / "a.mp4").write_bytes(b"longer than it was")
    (tree / "new").write_bytes(b"new")
    (tree / "a/b.mp4").unlink()
    cli.server.client().put_object(Bucket=cli.bucket, Key="p/only/here", Body=b"1")
    assert cli.summary("sync", tree, "s3://BUCKET/p")["done"] == 2
    assert "p/a/b.mp4" in cli.listed()
    assert cli.summary("sync", tree, "s3://BUCKET/p", "--delete", "--exclude", "only/*")["done"] == 1
    assert "p/only/here" in cli.listed()
    cli("sync", tree, "s3://BUCKET/p", "--delete")
    assert cli.listed() == sorted(f"p/{name}" for name in contents(tree))
    assert cli.body("p/a.mp4") == b"longer than it was"


def test_sync_brings_a_directory_in_step(cli: Cli, tree: Path, tmp_path: Path):
    """Down, with files that became directories and directories that became files."""
    cli("sync", tree, "s3://BUCKET/p")
    out = tmp_path / "out"
    (out / "a.mp4").mkdir(parents=True)
    (out / "a.mp4" / "x").write_bytes(b"in the way")
    (out / "a").write_bytes(b"in the way too")
    (out / "gone" / "deep").mkdir(parents=True)
    (out / "gone" / "deep" / "file").write_bytes(b"1")
    summary = cli.summary("sync", "s3://BUCKET/p", out, "--delete")
    assert summary["failed"] == 0
    assert contents(out) == contents(tree)
    assert not (out / "gone").exists()


def test_sync_from_bucket_to_bucket(cli: Cli, tree: Path, fresh_bucket: Callable[[S3Server], str]):
    """By the server, and back again; types and times are kept."""
    other = fresh_bucket(cli.server)
    cli("sync", tree, "s3://BUCKET/p")
    assert cli.summary("sync", "s3://BUCKET/p", f"s3://{other}/q")["done"] == 7
    assert cli.summary("sync", "s3://BUCKET/p", f"s3://{other}/q")["skipped"] == 7
    head = cli.server.client().head_object(Bucket=other, Key="q/a.mp4")
    assert (head["ContentType"], head["Metadata"]["mtime"]) == ("video/mp4", "1700000000.123456789")
    cli("rm", "s3://BUCKET/p/a/*")
    assert cli.summary("sync", "--delete", "s3://BUCKET/p", f"s3://{other}/q")["done"] == 2


def test_exact_finds_what_times_do_not(cli: Cli, tree: Path):
    """A file that was changed behind its time's back."""
    cli("sync", tree, "s3://BUCKET/p")
    (tree / "notes.txt").write_bytes(b"xyz")
    os.utime(tree / "notes.txt", ns=(AN_HOUR_AGO, AN_HOUR_AGO))
    assert cli.summary("sync", tree, "s3://BUCKET/p")["done"] == 0
    assert cli.summary("sync", tree, "s3://BUCKET/p", "--exact")["done"] == 1
    assert cli.body("p/notes.txt") == b"xyz"
    assert cli.summary("cp", "-r", tree, "s3://BUCKET/p", "--force")["done"] == 7
    assert cli.summary("cp", "-r", tree, "s3://BUCKET/p", "--no-clobber")["done"] == 0


def test_streams_go_in_and_out(cli: Cli):
    """Standard input of any length, standard output, ranges, several objects."""
    large = random.Random(7).randbytes(21 * MIB)
    cli("cp", "-", "s3://BUCKET/small.txt", stdin=b"hello", status=0)
    cli("cp", "-", "s3://BUCKET/large.bin", "--part-size", "5M", stdin=large)
    assert cli.body("large.bin") == large
    assert cli.server.client().head_object(Bucket=cli.bucket, Key="small.txt")["ContentType"] == "text/plain"
    assert cli.raw("cat", "s3://BUCKET/large.bin") == large
    assert cli.raw("cp", "s3://BUCKET/small.txt", "-") == b"hello"
    assert cli.raw("cat", "s3://BUCKET/small.txt", "s3://BUCKET/s*") == b"hellohello"
    for asked, expected in (("0-0", b"h"), ("1-3", b"ell"), ("3-", b"lo"), ("-2", b"lo"), ("0-99", b"hello")):
        assert cli.raw("cat", "--range", asked, "s3://BUCKET/small.txt") == expected
    cli("cat", "s3://BUCKET/nothing", status=1)


def test_ls_and_du_tell_what_is_there(cli: Cli, tree: Path):
    """One level with folders, everything, patterns; by folder and class."""
    cli("cp", "-r", tree, "s3://BUCKET/p")
    assert f"s3://{cli.bucket}" in cli("ls").splitlines()
    found = json.loads(cli("ls", "--json", "s3://BUCKET/p/"))["entries"]
    assert {entry["folder"] for entry in found if "folder" in entry} == {"p/a/", "p/é🎬/"}
    assert {entry["key"]: entry["size_bytes"] for entry in found if "key" in entry} == {
        "p/a-b.mp4": 0, "p/a.mp4": 10, "p/notes.txt": 3, "p/poster 1+2 100%.jpg": 7,
    }  # fmt: skip
    everything = [entry["key"] for entry in json.loads(cli("ls", "-r", "--json", "s3://BUCKET"))["entries"]]
    assert everything == cli.listed()
    assert len(cli("ls", "s3://BUCKET/p/*.jpg").splitlines()) == 2
    used = json.loads(cli("du", "--json", "--depth", "1", "s3://BUCKET/p/"))
    size = sum(len(body) for body in contents(tree).values())
    assert (used["objects"], used["size_bytes"]) == (7, size)
    assert used["classes"]["STANDARD"]["objects"] == 7
    assert used["folders"]["p/a/"] == {"objects": 2, "size_bytes": 100_005}


def test_rm_removes_what_it_is_told(cli: Cli, tree: Path):
    """One, those that match, all below; never a folder without --recursive."""
    cli("cp", "-r", tree, "s3://BUCKET/p")
    cli("rm", "s3://BUCKET/p/a.mp4")
    cli("rm", "s3://BUCKET/p/a.mp4")
    assert cli.summary("rm", "s3://BUCKET/p/*.jpg")["done"] == 2
    cli("rm", "s3://BUCKET/p/", status=2)
    cli("rm", "s3://BUCKET", status=2)
    assert cli.summary("rm", "-r", "s3://BUCKET/p", "--exclude", "*.txt")["done"] == 3
    assert cli.listed() == ["p/notes.txt"]
    assert cli.summary("rm", "-r", tree, "--include", "*.mp4")["done"] == 4
    assert sorted(contents(tree)) == ["a/c/d.jpg", "notes.txt", "poster 1+2 100%.jpg"]
    assert not (tree / "é🎬").exists()


def test_presigned_urls_work(cli: Cli):
    """Without keys, for one method; many from standard input."""
    odd = "a b+%ü🎬.txt"
    cli.put(**{odd: b"hello"})
    url = cli("presign", f"s3://BUCKET/{odd}").strip()
    assert urllib.request.urlopen(url).read() == b"hello"
    put = cli("presign", "--method", "put", "--expires", "5m", "s3://BUCKET/new").strip()
    urllib.request.urlopen(urllib.request.Request(put, data=b"sent", method="PUT")).close()
    assert cli.body("new") == b"sent"
    lines = "".join(f"s3://{cli.bucket}/{number}\n" for number in range(500))
    assert len(cli("presign", "-", stdin=lines.encode()).splitlines()) == 500
    assert len(json.loads(cli("presign", "--json", "s3://BUCKET/1", "s3://BUCKET/2"))["urls"]) == 2
    cli("presign", "--expires", "8d", "s3://BUCKET/1", status=2)
    cli("presign", "--method", "DELETE", "s3://BUCKET/1", status=2)


def test_script_runs_as_one_transfer(cli: Cli, tree: Path, tmp_path: Path):
    """cp, sync and rm, quoted as in a shell; a failure is listed and the rest is done."""
    cli.put(old=b"1", older=b"2")
    script = tmp_path / "script"
    script.write_text(
        f"# remark\n\ncp '{tree}/poster 1+2 100%.jpg' s3://{cli.bucket}/posters/\n"
        f"cp {tree}/notes.txt s3://{cli.bucket}/n.html --content-type text/html\n"
        f"rm s3://{cli.bucket}/old\ncp s3://{cli.bucket}/nothing {tmp_path}/x\n"
        f"sync {tree}/a s3://{cli.bucket}/synced\ncp s3://{cli.bucket}/older {tmp_path}/\n"
    )
    summary = cli.summary("run", script, status=1)
    assert (summary["done"], summary["failed"]) == (6, 1)
    assert cli.listed() == ["n.html", "older", "posters/poster 1+2 100%.jpg", "synced/b.mp4", "synced/c/d.jpg"]
    assert cli.server.client().head_object(Bucket=cli.bucket, Key="n.html")["ContentType"] == "text/html"
    assert (tmp_path / "older").read_bytes() == b"2"
    assert cli.summary("run", "--dry-run", "-", stdin=b"rm s3://BUCKET/older".replace(b"BUCKET", cli.bucket.encode()))[
        "planned"
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("mv a b", "line 2: a line begins with cp, sync, rm"),
        ("cp a", "line 2"),
        ("cp --nope a s3://bucket/b", "line 2"),
        ("cp 'a s3://bucket/b", "line 2: No closing quotation"),
        ("cp --workers 3 a s3://bucket/b", "--workers is for all lines"),
        ("cp - s3://bucket/b", "commands of their own"),
    ],
)
def test_script_with_a_wrong_line_does_nothing(line: str, sentence: str, tmp_path: Path):
    """All lines are read before the first is done; the sentence names the line."""
    app = root.new_app()
    app.add_typer(s3.app, name="s3")
    environment = {"S3_ENDPOINT": "http://127.0.0.1:1", "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "s"}
    result = CliRunner().invoke(app, ["s3", "run", "-"], input=f"rm s3://bucket/a\n{line}\n".encode(), env=environment)
    assert result.exit_code == 2, result.output
    assert sentence in " ".join(result.output.split())


def test_wrong_usage_is_told_apart_from_failure(cli: Cli, tree: Path):
    """2 with a sentence, before anything is done."""
    for words in (
        ("cp", tree, "s3://BUCKET"),
        ("cp", tree / "a.mp4", tree / "b.mp4"),
        ("cp", "s3://BUCKET/folder/", tree),
        ("cp", tree / "a.mp4", "s3://BUCKET/*"),
        ("cp", "-r", "s3://BUCKET/a", "s3://BUCKET/a/b"),
        ("cp", "s3://BUCKET/a", "s3://BUCKET/a"),
        ("cp", "s3:///key", tree),
        ("cp", "-", tree),
        ("cp", "--exact", "--force", tree / "a.mp4", "s3://BUCKET"),
        ("cp", "--bwlimit", "fast", tree / "a.mp4", "s3://BUCKET"),
        ("cp", "--metadata", "novalue", tree / "a.mp4", "s3://BUCKET"),
        ("sync", tree / "a.mp4", "s3://BUCKET"),
        ("sync", "--delete", "s3://BUCKET/a/b", "s3://BUCKET/a"),
        ("sync", "--delete", "s3://BUCKET/*.mp4", tree),
        ("cat", "s3://BUCKET"),
        ("cat", "--range", "5-1", "s3://BUCKET/a"),
        ("ls", tree),
    ):
        cli(*words, status=2)
    assert cli.listed() == []


def test_wrong_keys_and_missing_buckets_are_failures(cli: Cli, tree: Path):
    """1, with a sentence that says what to look at."""
    wrong = replace(cli, environment={**cli.environment, "S3_SECRET_ACCESS_KEY": "wrong"})
    wrong("ls", "s3://BUCKET/", status=1)
    assert wrong.summary("cp", tree / "a.mp4", "s3://BUCKET/", status=1)["failed"] == 1
    cli("ls", "s3://no-such-bucket-here/", status=1)


def test_missing_local_file_is_a_failure_and_the_rest_goes_on(cli: Cli, tree: Path):
    """Two sources, one is not there."""
    summary = cli.summary("cp", tree / "a.mp4", tree / "nothing", "s3://BUCKET/", status=1)
    assert (summary["done"], summary["failed"]) == (1, 1)
    assert "nothing" in summary["failures"][0]["what"]


def test_copy_between_two_endpoints(
    seaweed: S3Server, rgw: S3Server, fresh_bucket: Callable[[S3Server], str], tree: Path, tmp_path: Path
):
    """SOURCE_S3_… names the other side; what is there already is not sent again."""
    there, here = fresh_bucket(seaweed), fresh_bucket(rgw)
    Cli(seaweed, there, variables(seaweed, there))("cp", "-r", tree, f"s3://{there}/p")
    both = Cli(rgw, here, {**variables(rgw, here), **variables(seaweed, there, "SOURCE_")})
    assert both.summary("sync", f"s3://{there}/p", "s3://BUCKET/q")["done"] == 7
    assert {key: both.body(key) for key in both.listed()} == {
        f"q/{name}": body for name, body in contents(tree).items()
    }
    head = rgw.client().head_object(Bucket=here, Key="q/a.mp4")
    assert (head["ContentType"], head["Metadata"]["mtime"]) == ("video/mp4", "1700000000.123456789")
    assert both.summary("sync", f"s3://{there}/p", "s3://BUCKET/q")["skipped"] == 7


def test_running_plane_is_found(cli: Cli, tmp_path: Path):
    """Without any setting the endpoint and keys are those of the `up` in the state directory."""
    state = tmp_path / "up"
    cli.put(a=b"1")
    found = running.Running(
        pid=os.getpid(), url="http://127.0.0.1:1", database_url="postgresql://x", storage_mode="s3",
        s3_endpoint=cli.server.http_endpoint, s3_bucket=cli.bucket, s3_access_key_id=cli.server.access_key,
        s3_secret_access_key=cli.server.secret_key,
    )  # fmt: skip
    alone = replace(cli, environment={"MEDIAPLANE_STATE_DIR": str(state)})
    alone("ls", "s3://BUCKET/", status=1)
    with running.only_one(state):
        running.announce(state, found)
        assert "a\n" in alone("ls", "s3://BUCKET/")


def test_links_are_followed_or_left_out(cli: Cli, tmp_path: Path):
    """A loop is a failure of its own; the rest is stored."""
    root_of = tmp_path / "links"
    (root_of / "d").mkdir(parents=True)
    (root_of / "d" / "file").write_bytes(b"1")
    (root_of / "d" / "loop").symlink_to(root_of)
    (root_of / "twin").symlink_to("d/file")
    summary = cli.summary("cp", "-r", root_of, "s3://BUCKET/", status=1)
    assert (summary["done"], summary["failed"]) == (2, 1)
    assert cli.listed() == ["d/file", "twin"]
    assert cli.summary("sync", "--no-follow-links", "--delete", root_of, "s3://BUCKET/")["done"] == 1
    assert cli.listed() == ["d/file"]
