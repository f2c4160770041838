"""Temporary files: whose they are, and when they go."""

import copy
import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mediaplane.storage import temporary
from mediaplane.storage.temporary import TemporaryPath, remove_abandoned, temporary_path


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    """Keep the test's files apart from those of other processes of this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary, "_DIRECTORY", temporary._Directory())


def made(suffix: str = "") -> TemporaryPath:
    path = temporary_path(suffix)
    path.write_bytes(b"content")
    return path


def test_file_goes_when_nobody_holds_its_path():
    """The last reference takes it along, not one before; `str` and an f-string of it alone are references."""
    path = made(".mp4")
    plain = path[:]
    others = [str(path), f"{path}", os.fspath(path)]
    del path
    gc.collect()
    assert Path(plain).exists()
    del others
    gc.collect()
    assert not Path(plain).exists()


def test_file_goes_at_the_end_of_its_block_whatever_happens():
    """Also where the block fails, or has removed it by itself."""
    with pytest.raises(ZeroDivisionError), made() as path:
        _ = 1 / 0
    assert not path.exists()
    with made() as path:
        path.unlink()
    path.remove()


def test_copies_are_plain_text():
    """They name the file and do not own it."""
    path = made()
    for other in (copy.copy(path), copy.deepcopy(path), path + "", path[:]):
        assert type(other) is str and other == path
        del other
        gc.collect()
        assert path.exists()


def test_path_has_the_methods_of_text_and_of_paths():
    """OpenCV wants text, others `pathlib`; what neither has is an error as usual."""
    path = made(".tar")
    assert path.endswith(".tar") and path.suffix == ".tar" and path.is_file() and Path(path) == Path(path[:])
    assert os.path.splitext(path)[1] == ".tar"  # noqa: PTH122
    with pytest.raises(AttributeError):
        _ = path.no_such_method
    with pytest.raises(AttributeError):
        _ = path._hidden


def test_forked_child_leaves_files_to_its_parent(tmp_path):
    """A child that ends takes nothing along, and makes its own directory."""
    script = (
        "import tempfile, sys, os; tempfile.tempdir = sys.argv[1]\n"
        "from mediaplane.storage.temporary import temporary_path\n"
        "path = temporary_path(); path.write_bytes(b'x')\n"
        "if os.fork() == 0:\n"
        "    own = temporary_path(); path.remove(); sys.exit(own.parent == path.parent)\n"
        "print(os.wait()[1], path.exists())"
    )
    finished = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert finished.stdout == "0 True\n"
    assert list(tmp_path.iterdir()) == []


def test_only_what_dead_processes_left_is_abandoned(tmp_path):
    """A directory whose lock nobody holds goes; one in use stays, and so does what is not ours."""
    mine = made()
    script = (
        "import tempfile, sys, os; tempfile.tempdir = sys.argv[1]\n"
        "from mediaplane.storage.temporary import temporary_path\n"
        "temporary_path().write_bytes(b'x'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 9
    other = tmp_path / f"{temporary._PREFIX}no-lock"
    other.mkdir()
    left = [path for path in tmp_path.glob(f"{temporary._PREFIX}*") if path not in (mine.parent, other)]
    assert len(left) == 1
    assert remove_abandoned() == 1
    assert not left[0].exists()
    assert mine.exists() and other.exists()


def test_a_directory_that_vanished_is_made_again(tmp_path):
    """A tidy-up of the machine's temporary files is survived."""
    first = made()
    subprocess.run(["rm", "-rf", first.parent], check=True)
    assert made().exists()


def test_package_loads_no_client_before_it_is_used():
    """Importing the names' package costs nothing; a name that is none is an AttributeError."""
    script = (
        "import sys; import mediaplane.storage as s\n"
        "print([m for m in ('boto3', 'obstore', 'mediaplane.settings') if m in sys.modules])\n"
        "print(hasattr(s, 'nothing'), s.get_s3_client.__name__, 'boto3' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == ["[]", "False get_s3_client True"]


def test_every_name_of_the_package_is_there(monkeypatch):
    """The names that scripts import, and no others, and the buckets as they are set now."""
    from mediaplane import storage

    for name in storage.__all__:
        assert getattr(storage, name) is not None
    monkeypatch.setenv("S3_BUCKET_IN", "one")
    assert storage.BUCKET_IN == "one"
    monkeypatch.setenv("S3_BUCKET_IN", "another")
    assert storage.BUCKET_IN == "another"
