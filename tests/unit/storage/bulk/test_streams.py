"""Both sides as sorted streams, and the two merged."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.storage.bulk.streams import Batch, Entry, file_entry, merge, object_batches, walk_files
from mediaplane.storage.bulk.work import Found


def walk(root: Path, **options: bool) -> list[Entry]:
    return [entry for batch in walk_files(str(root), **options) for entry in batch.entries()]


NAMES = st.lists(st.text("ab.-é🎬", min_size=1, max_size=3).filter(lambda part: part not in (".", "..")), max_size=4)


@given(trees=st.lists(NAMES.filter(bool), max_size=12))
def test_walk_is_in_the_order_of_keys(trees: list[list[str]], tmp_path_factory: pytest.TempPathFactory):
    """Names come as S3 would list them, by UTF-8 bytes with `/` in them."""
    root = tmp_path_factory.mktemp("tree")
    made = set()
    for parts in trees:
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        made.add("/".join(parts))
    files = {name for name in made if (root / name).is_file()}
    assert [entry.name for entry in walk(root)] == sorted(files, key=str.encode)


def test_walk_tells_sizes_and_times(tmp_path: Path):
    """As the file system has them, to the nanosecond."""
    (tmp_path / "a").write_bytes(b"123")
    os.utime(tmp_path / "a", ns=(5, 1_700_000_000_123_456_789))
    entry = next(iter(walk(tmp_path)))
    assert (entry.name, entry.size_bytes, entry.modified_ns) == ("a", 3, 1_700_000_000_123_456_789)


def test_walk_follows_links_and_survives_loops(tmp_path: Path):
    """A link to a directory above is a problem, told once; others stand for what they lead to."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_text("x")
    (tmp_path / "d" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "twin").symlink_to("d")
    found = {entry.name: entry.problem for entry in walk(tmp_path)}
    assert found.pop("d/file") == found.pop("twin/file") == ""
    assert "leads back" in found.pop("d/loop/")
    assert "leads back" in found.pop("twin/loop/")
    assert "leads nowhere" in found.pop("gone")
    assert "leads nowhere" in found.pop("self")
    assert found == {}


def test_walk_without_links_leaves_them_out(tmp_path: Path):
    """Neither files nor directories nor problems."""
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to(tmp_path)
    assert [entry.name for entry in walk(tmp_path, follow_links=False)] == ["a"]


def test_walk_tells_what_is_no_file_and_leaves_out_temporaries(tmp_path: Path):
    """A pipe would hang whoever opens it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".a.123.mediaplane-part").touch()
    (tmp_path / "b").touch()
    assert [(entry.name, entry.problem) for entry in walk(tmp_path)] == [
        ("b", ""),
        ("pipe", "it is no regular file"),
    ]


def test_walk_tells_a_directory_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All below it is a problem, the rest goes on."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "z").touch()
    scandir = os.scandir

    def refuse(path: str):  # chmod would not stop root
        if path.endswith("closed/"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = walk(tmp_path)
    assert [entry.name for entry in found] == ["closed/", "z"]
    assert found[0].problem == "it cannot be read: Permission denied"


def test_walk_of_nothing_is_an_error(tmp_path: Path):
    """Not an empty directory, which `--delete` would make of the target."""
    with pytest.raises(OSError, match="No such file"):
        walk(tmp_path / "missing")


def test_file_entry_of_what_is_there(tmp_path: Path):
    """A file, nothing, a directory, something below a file."""
    (tmp_path / "a").write_bytes(b"12")
    assert file_entry(str(tmp_path / "a"), "a") == file_entry(str(tmp_path / "a"), "a")
    assert file_entry(str(tmp_path / "b"), "b") is None
    assert file_entry(str(tmp_path / "a" / "b"), "a/b") is None
    directory = file_entry(str(tmp_path), ".")
    assert directory is not None
    assert directory.problem == "a directory stands there"


def test_walk_of_a_full_directory_comes_in_batches(tmp_path: Path):
    """A directory of thousands, with others among the files: every one once, in order."""
    names = {f"f{number:04}" for number in range(2500)} | {f"d{number}/x" for number in range(5)} | {"f0100.d/y"}
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [entry.name for entry in walk(tmp_path)] == sorted(names)


def batches(names: list[str], size: int) -> list[Batch]:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    found = [Found(name, len(name), f'"{name}"', time) for name in names]
    return list(object_batches((found[at : at + size] for at in range(0, len(found), size)), ""))


SIDES = st.sets(st.text("abc", min_size=1, max_size=3))


@given(left=SIDES, right=SIDES, sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)), quick=st.booleans())
def test_merge_pairs_equal_names(left: set[str], right: set[str], sizes: tuple[int, int], quick: bool):
    """Every name once, in order, with what each side has; or counted, where a batch is in step as a whole."""
    skipped: list[int] = []
    pairs = list(
        merge(
            iter(batches(sorted(left), sizes[0])),
            iter(batches(sorted(right), sizes[1])),
            (lambda ours, theirs: ours.names == theirs.names) if quick else None,
            skipped.append,
        )
    )
    names = [(ours or theirs).name for ours, theirs in pairs]
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    assert {ours.name for ours, theirs in pairs if ours and not theirs} == left - right
    assert {theirs.name for ours, theirs in pairs if theirs and not ours} == right - left
    both = {ours.name for ours, theirs in pairs if ours and theirs}
    assert both <= left & right
    assert len(both) + sum(skipped) == len(left & right)
    assert quick or not skipped
    assert all(ours.name == theirs.name for ours, theirs in pairs if ours and theirs)


def test_object_batches_lose_the_prefix():
    """And leave out the marker of the prefix itself."""
    time = datetime(2026, 1, 1, tzinfo=UTC)
    found = [Found("p/", 0, "", time), Found("p/a", 3, '"e"', time), Found("p/d/", 0, "", time)]
    entries = [entry for batch in object_batches([found], "p/") for entry in batch.entries()]
    assert [entry.name for entry in entries] == ["a", "d/"]
    assert entries[0].modified_ns == 1_767_225_600 * 10**9
    assert [batch.chosen(lambda name: name == "a").names for batch in object_batches([found], "p/")] == [["a"]]
