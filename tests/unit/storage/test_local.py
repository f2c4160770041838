"""What a directory does beyond the contract: no way out of it, nothing half, nothing left."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import AccessDenied, AlreadyWritten, InvalidKey, ObjectNotFound, StorageError
from mediaplane.media.keys import check_key
from mediaplane.storage.local import UNFINISHED, LocalStore


async def one(body=b"x"):
    yield body


async def put(store, key, body=b"x"):
    return await store.put(check_key(key), one(body), content_type="text/plain")


async def walked(store, prefix=""):
    return [info.key async for info in store.walk(prefix)]


@pytest.fixture
def store(tmp_path):
    """A store in a directory that is not there yet."""
    return LocalStore(tmp_path / "media" / "deep")


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/passwd", "a//b", ".", f"{UNFINISHED}/a", UNFINISHED])
async def test_key_that_leads_out_is_refused(store, key):
    """Keys that were not checked before are checked here."""
    with pytest.raises(InvalidKey):
        store.path(key)
    for attempt in (
        store.put(key, one(), content_type="a/b"),
        store.stat(key),
        store.delete([key]),
        anext(store.read(key)),
    ):
        with pytest.raises(InvalidKey):
            await attempt


async def test_symbolic_links_are_not_followed(store, tmp_path):
    """A link below the root opens nothing outside of it, and is not listed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    await put(store, "a/b")
    (store.root / "a" / "folder").symlink_to(outside)
    (store.root / "a" / "file").symlink_to(outside / "secret")
    for key in ("a/folder/secret", "a/file", "a/folder/new"):
        with pytest.raises(InvalidKey, match="symbolic link"):
            await store.stat(key)
        with pytest.raises(InvalidKey, match="symbolic link"):
            await put(store, key)
        with pytest.raises(InvalidKey, match="symbolic link"):
            await store.delete([key])
    assert await walked(store) == ["a/b"]
    assert (outside / "secret").read_text() == "secret"


async def test_root_may_be_a_symbolic_link(tmp_path):
    """The directory itself may be reached through a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    await put(LocalStore(tmp_path / "link"), "a/b")
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"x"


async def test_object_and_folder_of_one_name(store):
    """`a` beside `a/b` is refused with a sentence, and what is there stays."""
    await put(store, "a/b")
    await put(store, "c")
    for key in ("a", "c/d", "c/d/e"):
        with pytest.raises(StorageError, match="cannot hold"):
            await put(store, key)
    assert await walked(store) == ["a/b", "c"]
    assert list((store.root / UNFINISHED).iterdir()) == []


async def test_delete_takes_empty_folders_away(store):
    """What a delete empties goes, up to the root; what holds something stays."""
    for key in ("a/b/c/d", "a/b/x", "e/f"):
        await put(store, key)
    await store.delete(["a/b/c/d", "e/f", "no/thing"])
    assert sorted(path.name for path in store.root.iterdir()) == [UNFINISHED, "a"]
    assert [path.name for path in (store.root / "a" / "b").iterdir()] == ["x"]
    await store.delete(["a/b/x"])
    assert store.root.is_dir()


async def test_puts_and_deletes_of_one_folder(store):
    """A put makes its folder again when a delete has just taken it away."""

    async def churn(name):
        for _ in range(30):
            await put(store, f"deep/er/{name}")
            await store.delete([f"deep/er/{name}"])

    await asyncio.gather(*(churn(name) for name in "abcd"))
    assert await walked(store) == []


async def test_store_without_its_directory(store):
    """A directory that was never made is an empty store."""
    assert await walked(store) == []
    with pytest.raises(ObjectNotFound):
        await store.stat("a")
    await store.delete(["a"])
    assert store.remove_unfinished() == 0


@pytest.mark.parametrize("links", [True, False])
async def test_object_is_created_once(store, monkeypatch, links):
    """What is there is never replaced, nor a directory, also on file systems without hard links."""
    if not links:
        monkeypatch.setattr(os, "link", refuse_link)
    created = await store.create(check_key("a/b"), one(b"first"))
    assert created == await store.stat(check_key("a/b"))
    with pytest.raises(AlreadyWritten):
        await store.create(check_key("a/b"), one(b"second"))
    with pytest.raises(StorageError, match="a directory"):
        await store.create(check_key("a"), one())
    assert (store.root / "a" / "b").read_bytes() == b"first"
    assert list((store.root / UNFINISHED).iterdir()) == []


def refuse_link(*_):
    raise PermissionError(errno.EPERM, "Operation not permitted")


async def test_part_that_is_too_long_for_the_disk(store):
    """A name over the file system's limit is refused with a sentence, not retried."""
    with pytest.raises(StorageError, match="too long") as told:
        await put(store, "a/" + "x" * 300)
    assert not told.value.retryable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_directory_that_may_not_be_written(tmp_path):
    """A directory of somebody else is an access error that names the file."""
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(AccessDenied, match="closed"):
        await put(LocalStore(tmp_path / "closed"), "a")


async def test_full_disk_is_told_and_leaves_nothing(store):
    """A disk that is full is said in a sentence, and nothing half stays."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(StorageError):
            await put(store, "big", b"x" * (3 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert await walked(store) == []
    assert list((store.root / UNFINISHED).iterdir()) == []


WRITER = """
    import asyncio, sys
    from pathlib import Path
    from mediaplane.storage.local import LocalStore

    async def body():
        yield b"x" * (2 << 20)
        print("begun", flush=True)
        await asyncio.sleep(60)

    asyncio.run(LocalStore(Path(sys.argv[1])).put("a/b", body(), content_type="a/b"))
"""


def test_writer_that_was_killed(store):
    """What a killed writer leaves is never listed and can be removed; what a live one writes is let alone."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(store.root)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as dead,
        subprocess.Popen(command, stdout=subprocess.PIPE) as live,
    ):
        assert dead.stdout
        assert live.stdout
        assert dead.stdout.readline() == live.stdout.readline() == b"begun\n"
        dead.kill()
        dead.wait()
        assert asyncio.run(walked(store)) == []
        assert len(list((store.root / UNFINISHED).iterdir())) == 2
        assert store.remove_unfinished() == 1
        assert len(list((store.root / UNFINISHED).iterdir())) == 1
        live.kill()
    assert store.remove_unfinished() == 1


async def test_what_is_no_file_is_not_there(store):
    """A pipe in the directory is neither listed nor waited for."""
    await put(store, "a/b")
    os.mkfifo(store.root / "a" / "pipe")
    assert await walked(store) == ["a/b"]
    with pytest.raises(ObjectNotFound):
        await asyncio.wait_for(anext(store.read("a/pipe")), 5)


def test_read_while_it_is_replaced(store):
    """A reader gets the object it began with."""

    async def run():
        await put(store, "a", b"1" * (3 << 20))
        reading = store.read("a")
        first = await anext(reading)
        await put(store, "a", b"2" * (3 << 20))
        return first + b"".join([chunk async for chunk in reading])

    assert set(asyncio.run(run())) == {ord("1")}


NAME = st.text(st.sampled_from("a!-./0é"), min_size=1, max_size=3)


@given(st.sets(st.builds("/".join, st.lists(NAME, min_size=1, max_size=3)), max_size=12), st.data())
def test_walk_is_sorted_and_pruned_rightly(tmp_path_factory, names, data):
    """For any tree, prefix and place to begin, the walk gives what sorting all keys would."""
    root = Path(tmp_path_factory.mktemp("walk"))
    for name in names:
        path = root / name
        if (
            ".." in name.split("/")
            or "." in name.split("/")
            or "//" in name
            or name.startswith("/")
            or name.endswith("/")
        ):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:
            continue  # both a file and a folder
    keys = sorted((str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()), key=str.encode)
    prefix = data.draw(st.sampled_from(["", *(key[:cut] for key in keys for cut in range(len(key) + 1))]))
    after = data.draw(st.sampled_from(["", "a", "a/", "a-", "zz", *keys]))

    async def run():
        return [info.key async for info in LocalStore(root).walk(prefix, after=after)]

    expected = [key for key in keys if key.startswith(prefix) and key.encode() > after.encode()]
    assert asyncio.run(run()) == expected
