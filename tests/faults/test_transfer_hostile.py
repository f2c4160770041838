"""Keys, directories and prefixes that would do harm: refused by name, and the rest goes on."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediaplane.errors import InvalidPlace, MediaplaneError
from mediaplane.storage.bulk import commands
from mediaplane.storage.bulk.comparing import Compare
from tests.faults.transfers import QUICK, endpoints, make_files
from tests.services.fault_server import ALWAYS, CorruptBody, ErrorIn200, Fault, FaultServer, Status, fault_server

HARMLESS = ["fine.mp4", "dir/fine.mp4", "..fine", "a b+%.txt"]
HARMFUL = [
    "../up.txt", "dir/../../up.txt", "/absolute.txt", "//host/share.txt", "dir//twice.txt", "dir/./dot.txt", "..",
    "nul\0byte.txt", "back\\slash.txt", "..\\up.txt", "C:\\file.txt", "C:/file.txt", "CON", "dir/aux.txt", "nul.mp4",
    "long/" + "x" * 300, "fine.mp4/below",
]  # fmt: skip


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server("bucket", "other") as running:
        yield running


@pytest.mark.parametrize("way", ["cp", "sync", "wildcard"])
def test_harmful_keys_are_refused_by_name(server: FaultServer, tmp_path: Path, way: str):
    """Nothing is written outside the directory, each is a failure with its name, the harmless ones arrive."""
    for key in [*HARMLESS, *HARMFUL]:
        server.s3.put("bucket", f"in/{key}", b"x")
    out = tmp_path / "deep" / "out"
    found = endpoints(server)
    if way == "cp":
        summary = commands.copy("s3://bucket/in", out, recursive=True, options=QUICK, endpoints=found)
    elif way == "sync":
        summary = commands.sync("s3://bucket/in", out, options=QUICK, endpoints=found)
    else:
        summary = commands.copy("s3://bucket/in/*", out, options=QUICK, endpoints=found)
    assert (summary.done, summary.failed) == (len(HARMLESS), len(HARMFUL)), summary.failures
    assert {what for what, _ in summary.failures} == {f"s3://bucket/in/{key}" for key in HARMFUL}
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {f"deep/out/{key}" for key in HARMLESS}


def test_single_harmful_key_can_be_given_another_name(server: FaultServer, tmp_path: Path):
    """The name at the target decides, not the key."""
    server.s3.put("bucket", "dir/CON", b"x")
    found = endpoints(server)
    assert commands.copy("s3://bucket/dir/CON", f"{tmp_path}/", options=QUICK, endpoints=found).failed == 1
    assert commands.copy("s3://bucket/dir/CON", tmp_path / "console.bin", options=QUICK, endpoints=found).done == 1


def test_folder_markers_make_no_files(server: FaultServer, tmp_path: Path):
    """An empty `dir/` is nothing; one with bytes cannot be a file."""
    server.s3.put("bucket", "in/", b"")
    server.s3.put("bucket", "in/dir/", b"")
    server.s3.put("bucket", "in/dir/a", b"1")
    server.s3.put("bucket", "in/bytes/", b"2")
    summary = commands.sync("s3://bucket/in", tmp_path / "out", options=QUICK, endpoints=endpoints(server))
    assert (summary.done, summary.failed) == (1, 1)
    assert summary.failures[0][0] == "s3://bucket/in/bytes/"


def test_delete_spares_what_the_source_could_not_show(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A directory that cannot be read is no empty one; what else only the target has goes."""
    root = make_files(tmp_path / "in", {"a": b"1", "closed/b": b"2", "z": b"3"})
    found = endpoints(server)
    assert commands.sync(root, "s3://bucket", options=QUICK, endpoints=found).done == 3
    (root / "a").unlink()
    scandir = os.scandir

    def refuse(path: str):  # chmod would not stop root
        if str(path).endswith("closed/"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = commands.sync(root, "s3://bucket", delete=True, options=QUICK, endpoints=found)
    assert (summary.done, summary.failed) == (1, 1)
    assert sorted(server.s3.objects["bucket"]) == ["closed/b", "z"]


def test_source_that_is_gone_deletes_nothing(server: FaultServer, tmp_path: Path):
    """A directory that was not mounted, a bucket that does not exist."""
    server.s3.put("bucket", "a", b"1")
    make_files(tmp_path / "out", {"kept": b"1"})
    found = endpoints(server)
    with pytest.raises(InvalidPlace):
        commands.sync(tmp_path / "missing", "s3://bucket", delete=True, options=QUICK, endpoints=found)
    with pytest.raises(Exception, match="bucket does not exist"):
        commands.sync("s3://missing", tmp_path / "out", delete=True, options=QUICK, endpoints=found)
    assert server.s3.body("bucket", "a") == b"1"
    assert (tmp_path / "out" / "kept").exists()


def test_delete_does_not_reach_through_links(server: FaultServer, tmp_path: Path):
    """What a link in the target leads to lies elsewhere: it is not the target's to empty."""
    elsewhere = make_files(tmp_path / "elsewhere", {"precious": b"1"})
    out = make_files(tmp_path / "out", {"old": b"1"})
    (out / "link").symlink_to(elsewhere)
    server.s3.put("bucket", "new", b"2")
    summary = commands.sync("s3://bucket", out, delete=True, options=QUICK, endpoints=endpoints(server))
    assert (summary.done, summary.failed) == (2, 0)
    assert sorted(path.name for path in out.iterdir()) == ["link", "new"]
    assert (elsewhere / "precious").read_bytes() == b"1"
    commands.remove(out, recursive=True, options=QUICK, endpoints=endpoints(server))
    assert (elsewhere / "precious").read_bytes() == b"1"


@pytest.mark.parametrize("fault", [Status(500), CorruptBody(), ErrorIn200()], ids=["500", "corrupt", "200"])
def test_stream_that_fails_leaves_nothing(server: FaultServer, fault: Fault):
    """Standard input cannot be read twice: each part is tried again, and in the end the upload is aborted."""
    body, found = bytes(12 << 20), endpoints(server)
    options = replace(QUICK, part_bytes=5 << 20)
    server.fail("UploadPart", Status(500), times=2)
    assert commands.upload_stream(io.BytesIO(body), "s3://bucket/a", options=options, endpoints=found).done == 1
    assert server.s3.body("bucket", "a") == body
    server.fail("CompleteMultipartUpload" if isinstance(fault, ErrorIn200) else "UploadPart", fault, times=ALWAYS)
    with pytest.raises(MediaplaneError):
        commands.upload_stream(io.BytesIO(body), "s3://bucket/b", options=options, endpoints=found)
    assert server.s3.body("bucket", "b") is None
    assert server.s3.uploads == {}


def test_places_that_lie_in_each_other_are_refused(server: FaultServer):
    """It would copy its own copies, or delete its own source."""
    server.s3.put("bucket", "a/b/c", b"1")
    found = endpoints(server)
    for source, target, delete in (
        ("s3://bucket/a", "s3://bucket/a/b", False),
        ("s3://bucket", "s3://bucket/copy", False),
        ("s3://bucket/a/", "s3://bucket/a", False),
        ("s3://bucket/a/b", "s3://bucket/a", True),
    ):
        with pytest.raises(InvalidPlace):
            commands.sync(source, target, delete=delete, options=QUICK, endpoints=found)
    assert commands.sync("s3://bucket/a/b", "s3://bucket/a", options=QUICK, endpoints=found).done == 1
    assert commands.sync("s3://bucket/a", "s3://bucket/ab", options=QUICK, endpoints=found).done == 2


def test_file_that_cannot_be_read_is_a_failure(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is listed, the others are stored."""
    root = make_files(tmp_path / "in", {"a": b"1", "b": b"2"})
    opened = os.open

    def refuse(path: object, *arguments: int, **named: object):
        if str(path).endswith("/in/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    summary = commands.copy(root, "s3://bucket", recursive=True, options=QUICK, endpoints=endpoints(server))
    assert (summary.done, summary.failed) == (1, 1)
    assert "Permission denied" in summary.failures[0][1]


def test_name_that_is_no_text_cannot_be_a_key(server: FaultServer, tmp_path: Path):
    """Bytes that are not UTF-8, and paths longer than a key may be."""
    (tmp_path / "in").mkdir()
    (Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff.bin"))).write_bytes(b"1")
    deep = tmp_path / "in" / "/".join(["d" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"2")
    (tmp_path / "in" / "fine").write_bytes(b"3")
    summary = commands.copy(tmp_path / "in", "s3://bucket", recursive=True, options=QUICK, endpoints=endpoints(server))
    assert (summary.done, summary.failed) == (1, 2)
    assert any("not UTF-8" in why for _, why in summary.failures)
    assert any("S3 allows 1024" in why for _, why in summary.failures)


def test_size_alone_and_absence_decide_where_asked(server: FaultServer, tmp_path: Path):
    """`--size-only` takes what has the same size for whole, `--no-clobber` anything that is there."""
    root = make_files(tmp_path / "in", {"a": b"new", "b": b"longer"})
    server.s3.put("bucket", "a", b"old")
    server.s3.put("bucket", "b", b"old")
    for path in root.iterdir():
        os.utime(path, (4_000_000_000, 4_000_000_000))
    found = endpoints(server)
    assert commands.sync(root, "s3://bucket", compare=Compare.ABSENT, options=QUICK, endpoints=found).skipped == 2
    assert commands.sync(root, "s3://bucket", compare=Compare.SIZE, options=QUICK, endpoints=found).done == 1
    assert (server.s3.body("bucket", "a"), server.s3.body("bucket", "b")) == (b"old", b"longer")


def test_cat_that_is_cut_or_changes_is_no_success(server: FaultServer):
    """What was written to standard output cannot be taken back: so a break is repaired, and a change is an error."""
    body = bytes(range(256)) * (80 << 10)  # 20 MiB: three ranges
    server.s3.put("bucket", "a", body)
    found = endpoints(server)
    server.fail("GetObject", Status(500), times=2)
    assert b"".join(commands.read("s3://bucket/a", endpoints=found)) == body
    server.fail("GetObject", Status(412, "PreconditionFailed"), times=ALWAYS, skip=1)
    with pytest.raises(Exception, match="changed"):
        b"".join(commands.read("s3://bucket/a", endpoints=found))
