"""Keys that may become files, and those that are refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.errors import InvalidKey
from mediaplane.storage.bulk.safety import Collisions, check_name, file_below, ignores_case

REFUSED = [
    "../up", "a/../../up", "a/..", "..", "/etc/passwd", "//host/share", "a//b", "a/", "", ".", "a/./b",
    "nul\0byte", "back\\slash", "..\\up", "C:\\windows", "C:/windows", "c:", "CON", "con.txt", "a/NUL", "aux.tar.gz",
    "COM1", "lpt9.log", "CONIN$", "com¹", "x" * 256, "ü" * 128, "lone\ud800surrogate",
]  # fmt: skip
FINE = [
    "a", "a/b/c.mp4", "a+b", "a%2Fb", "emoji-🎬", "..a", "a..", "...", "new\nline", "10:30 talk.mp4", "what?.mp4",
    "console", "CONSOLE.txt", "nullable", "com10", "x" * 255, "a/conn/x", "~/x", "-rf",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_name_that_would_leave_the_directory_is_refused(name: str):
    """By name, with a sentence that has it in it."""
    with pytest.raises(InvalidKey) as refusal:
        file_below(Path("/target"), name)
    assert repr(name)[1:20] in refusal.value.message


@pytest.mark.parametrize("name", FINE)
def test_usual_and_odd_names_are_files(name: str):
    """What POSIX stores is not refused because it looks odd."""
    assert file_below(Path("/target"), name) == str(Path("/target") / name)
    for root in (Path("/"), Path(), Path("a/b")):
        assert file_below(root, name) == str(root / name)


@pytest.mark.parametrize("name", ["a:b", "a/what?", "star*", "dot.", "space ", 'quote"', "pipe|", "tab\t"])
def test_name_that_windows_does_not_store_is_refused_there(name: str):
    """Only there: on other systems these are names like others."""
    check_name(name, windows=False)
    with pytest.raises(InvalidKey):
        check_name(name, windows=True)


def test_path_that_is_too_long_is_refused():
    """1,024 bytes of key below a long directory."""
    with pytest.raises(InvalidKey, match="too long"):
        file_below(Path("/" + "/".join(["d" * 200] * 20)), "/".join(["k" * 200] * 5))


@given(st.text())
def test_no_accepted_name_leaves_the_directory(name: str):
    """Whatever a stranger calls an object."""
    try:
        path = file_below(Path("/target"), name)
    except InvalidKey:
        return
    assert Path("/target") in Path(path).parents
    assert ".." not in Path(path).parts
    assert path == f"/target/{name}"


def test_object_below_an_object_is_refused():
    """`a` is a file, so `a/b` has no place; `a-b` and `a.b` between them do."""
    collisions = Collisions(ignores_case=False)
    for name in ("a", "a-b", "a.b"):
        collisions.check(name)
    for name in ("a/b", "a/c/d"):
        with pytest.raises(InvalidKey, match="'a' is an object"):
            collisions.check(name)
    collisions.check("ab/c")


@given(st.sets(st.text("ab/-", min_size=1).filter(lambda name: "//" not in name and name.strip("/") == name)))
def test_collisions_are_those_of_prefixes(names: set[str]):
    """The stack finds the same as a look at all pairs."""
    collisions = Collisions(ignores_case=False)
    accepted: list[str] = []
    for name in sorted(names):
        blocked = any(name.startswith(f"{earlier}/") for earlier in accepted)
        if blocked:
            with pytest.raises(InvalidKey):
                collisions.check(name)
        else:
            collisions.check(name)
            accepted.append(name)


def test_names_that_differ_in_case_collide_where_the_disk_knows_none():
    """The second one is refused by name."""
    collisions = Collisions(ignores_case=True)
    collisions.check("A.mp4")
    with pytest.raises(InvalidKey, match="only in case"):
        collisions.check("a.mp4")
    Collisions(ignores_case=False).check("a.mp4")


def test_disk_is_asked_whether_it_knows_case(tmp_path: Path):
    """The probe leaves nothing behind, and asks nothing of a directory that is not there."""
    (tmp_path / "x").touch()
    assert ignores_case(tmp_path) is (tmp_path / "X").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert ignores_case(tmp_path / "missing") is False
