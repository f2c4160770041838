"""A store that fails in every way we know: what is reported as done is whole, what is not is listed."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediaplane.errors import AccessDenied, MediaplaneError, StorageError
from mediaplane.storage.bulk import commands
from mediaplane.storage.bulk.work import Event, Options
from mediaplane.storage.credentials import Keys
from mediaplane.storage.wire import Client
from tests.faults.transfers import (
    MIB,
    QUICK,
    assert_counts,
    endpoints,
    make_files,
    some_bodies,
    unfinished_files,
)
from tests.services.fault_server import (
    ACCESS_KEY,
    ALWAYS,
    SECRET_KEY,
    Broken,
    CorruptBody,
    ErrorIn200,
    Fault,
    FaultServer,
    HalfDocument,
    LongBody,
    NoToken,
    Redirect,
    SamePage,
    SaysNotDone,
    ShortBody,
    Slow,
    Status,
    WrongChecksum,
    WrongEtag,
    fault_server,
)

ODD_KEYS = [
    "a b",
    "a+b",
    "a%20b",
    "a%b%",
    "emoji-🎬-é",
    "new\nline",
    "tab\tand\rreturn",
    "quote\"'<&>;",
    "x/" * 400 + "y" * 224,  # 1,024 bytes
    "back`tick$(id)",
    "q?a=b&c#d",
    "ends with space ",
    "ends.with.dot.",
    "~tilde*star",
]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server("bucket", "other") as running:
        yield running


PASSING: dict[str, Fault] = {
    "500": Status(500, "InternalError"),
    "503": Status(503, "SlowDown"),
    "503 with Retry-After": Status(503, "SlowDown", retry_after=1),
    "429": Status(429, "TooManyRequests"),
    "400 RequestTimeout": Status(400, "RequestTimeout"),
    "reset at once": Broken(done=False),
    "reset after it was done": Broken(),
    "closed without an answer": Broken(reset=False),
    "slow": Slow(),
}
OF_BODIES: dict[str, Fault] = {
    "reset in the body": Broken(share=0.5),
    "closed in the body": Broken(share=0.5, reset=False),
    "short": ShortBody(),
    "long": LongBody(),
    "corrupt": CorruptBody(),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_upload_survives_what_passes(server: FaultServer, tmp_path: Path, fault: Fault):
    """Two failures of every object's requests are two more tries."""
    bodies = some_bodies(random.Random(1), 8, large=False)
    for name in bodies:
        server.fail("PutObject", fault, key=f"in/{name}", times=2)
    events: list[Event] = []
    summary = _upload(server, make_files(tmp_path, bodies), events=events)
    assert not summary.failed, summary.failures
    stored = {key[3:]: found.body for key, found in server.s3.objects["bucket"].items()}
    assert [name for name in bodies if stored.get(name) != bodies[name]] == []  # whole bodies take minutes to compare
    assert stored.keys() == bodies.keys()
    assert_counts(summary, events)


@pytest.mark.parametrize("fault", [*PASSING.values(), *OF_BODIES.values()], ids=[*PASSING, *OF_BODIES])
def test_download_survives_what_passes(server: FaultServer, tmp_path: Path, fault: Fault):
    """A body that is cut, short, long or damaged is fetched again; no other file is ever under the final name."""
    bodies = some_bodies(random.Random(2), 8, large=False)
    for name, body in bodies.items():
        server.s3.put("bucket", f"in/{name}", body)
        server.fail("GetObject", fault, key=f"in/{name}", times=2)
    summary = _download(server, tmp_path / "out")
    assert not summary.failed, summary.failures
    assert {name: (tmp_path / "out" / name).read_bytes() for name in bodies} == bodies
    assert unfinished_files(tmp_path) == []


@pytest.mark.parametrize("fault", [*OF_BODIES.values()], ids=[*OF_BODIES])
def test_large_download_survives_what_passes(server: FaultServer, tmp_path: Path, fault: Fault):
    """Ranges fetched in parallel are checked one by one and together."""
    body = random.Random(3).randbytes(33 * MIB)
    server.s3.put("bucket", "in/large", body)
    server.fail("GetObject", fault, times=2)
    summary = _download(server, tmp_path / "out")
    assert not summary.failed, summary.failures
    assert (tmp_path / "out" / "large").read_bytes() == body
    assert unfinished_files(tmp_path) == []


@pytest.mark.parametrize(
    "fault", [Status(403, "AccessDenied"), Status(500), Broken(), CorruptBody()], ids=["403", "500", "reset", "corrupt"]
)
def test_upload_that_never_works_is_listed(server: FaultServer, tmp_path: Path, fault: Fault):
    """One key that always fails is the one failure; all others are stored."""
    bodies = {f"{number}.bin": bytes([number]) * 1000 for number in range(20)}
    server.fail("PutObject", fault, key="in/7.bin", times=ALWAYS)
    summary = _upload(server, make_files(tmp_path, bodies))
    assert (summary.done, summary.failed) == (19, 1)
    assert "7.bin" in summary.failures[0][0]
    stored = {key[3:]: stored.body for key, stored in server.s3.objects["bucket"].items()}
    assert {name: stored.get(name) for name in bodies if name != "7.bin"} == {
        name: body for name, body in bodies.items() if name != "7.bin"
    }


@pytest.mark.parametrize("fault", [Status(500), *OF_BODIES.values()], ids=["500", *OF_BODIES])
def test_download_that_never_works_is_listed_and_leaves_nothing(server: FaultServer, tmp_path: Path, fault: Fault):
    """No byte of it is under the final name, and what stood there before still does."""
    for number in range(6):
        server.s3.put("bucket", f"in/{number}", bytes([number]) * 2000)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "3").write_bytes(b"the old one")
    server.fail("GetObject", fault, key="in/3", times=ALWAYS)
    summary = _download(server, tmp_path / "out")
    assert (summary.done, summary.failed) == (5, 1)
    assert summary.failures[0][0].endswith("in/3")
    assert (tmp_path / "out" / "3").read_bytes() == b"the old one"
    assert unfinished_files(tmp_path) == []


def test_damage_on_the_way_up_is_found(server: FaultServer, tmp_path: Path):
    """A proxy that changes a byte and knows nothing of digests: the ETag tells."""
    server.fail("PutObject", CorruptBody(), times=1)
    summary = _upload(server, make_files(tmp_path, {"a": b"x" * 5000}))
    assert not summary.failed
    assert server.s3.body("bucket", "in/a") == b"x" * 5000


@pytest.mark.parametrize("fault", [WrongEtag(), ShortBody()], ids=["etag", "short"])
def test_upload_whose_answer_disagrees_always_is_a_failure(server: FaultServer, tmp_path: Path, fault: Fault):
    """A store that says it has something else is believed."""
    server.fail("PutObject", fault, times=ALWAYS)
    summary = _upload(server, make_files(tmp_path, {"a": b"x" * 5000}))
    assert (summary.done, summary.failed) == (0, 1)


def test_wrong_checksum_of_a_download_is_a_failure(server: FaultServer, tmp_path: Path):
    """The header is compared where it is there."""
    server.s3.put("bucket", "in/a", b"x" * 5000)
    server.fail("GetObject", WrongChecksum(), times=ALWAYS)
    summary = _download(server, tmp_path / "out")
    assert summary.failed == 1
    assert not (tmp_path / "out" / "a").exists()


@pytest.mark.parametrize(
    "operation",
    ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"],
)
@pytest.mark.parametrize(
    "fault",
    [Status(500), Status(503, "SlowDown"), Broken(done=False), Broken(), Broken(share=0.3)],
    ids=["500", "503", "reset before", "reset after", "half an answer"],
)
def test_multipart_upload_survives_what_passes(server: FaultServer, tmp_path: Path, operation: str, fault: Fault):
    """The object is whole and no part is left behind."""
    body = random.Random(4).randbytes(17 * MIB)
    server.fail(operation, fault, times=2)
    options = replace(QUICK, part_bytes=5 * MIB)
    summary = _upload(server, make_files(tmp_path, {"large": body}), options=options)
    stored = server.s3.body("bucket", "in/large")
    assert stored == body if summary.done else summary.failed == 1
    assert summary.done == 1, summary.failures
    if not (operation == "CreateMultipartUpload" and isinstance(fault, Broken) and fault.done):
        assert server.s3.uploads == {}


def test_complete_that_fails_inside_a_200_is_no_success(server: FaultServer, tmp_path: Path):
    """S3 says 200 before it knows; the error in the body counts."""
    body = random.Random(5).randbytes(11 * MIB)
    server.fail("CompleteMultipartUpload", ErrorIn200("AccessDenied"), times=ALWAYS)
    summary = _upload(server, make_files(tmp_path, {"large": body}), options=replace(QUICK, part_bytes=5 * MIB))
    assert (summary.done, summary.failed) == (0, 1)
    assert server.s3.body("bucket", "in/large") is None
    assert server.s3.uploads == {}


def test_complete_that_fails_inside_a_200_at_first_is_tried_again(server: FaultServer, tmp_path: Path):
    """InternalError in the body passes like one in the status."""
    body = random.Random(6).randbytes(11 * MIB)
    server.fail("CompleteMultipartUpload", ErrorIn200(), times=1)
    summary = _upload(server, make_files(tmp_path, {"large": body}), options=replace(QUICK, part_bytes=5 * MIB))
    assert summary.done == 1, summary.failures
    assert server.s3.body("bucket", "in/large") == body


@pytest.mark.parametrize("after", [Status(403, "AccessDenied"), Status(500), Broken()], ids=["403", "500", "reset"])
def test_damaged_object_is_not_left_behind(server: FaultServer, tmp_path: Path, after: Fault):
    """Where the try after a damaged one fails, what is stored is removed: the next run would take it for whole."""
    root = make_files(tmp_path, {"a": b"0123456789"})
    server.fail("PutObject", CorruptBody(), times=1)
    server.fail("PutObject", after, times=ALWAYS)
    assert _upload(server, root).failed == 1
    assert "in/a" not in server.s3.objects["bucket"]
    server.heal()
    assert _upload(server, root).done == 1
    assert server.s3.body("bucket", "in/a") == b"0123456789"


def test_damaged_part_never_becomes_an_object(server: FaultServer, tmp_path: Path):
    """A part that the store has otherwise than it was sent is sent again, or the upload fails and is aborted."""
    body = random.Random(7).randbytes(17 * MIB)
    server.fail("UploadPart", CorruptBody(), times=1)
    summary = _upload(server, make_files(tmp_path, {"large": body}), options=replace(QUICK, part_bytes=5 * MIB))
    assert summary.done == 1, summary.failures
    assert server.s3.body("bucket", "in/large") == body
    server.fail("UploadPart", CorruptBody(), times=ALWAYS)
    summary = commands.copy(
        tmp_path / "large",
        "s3://bucket/in/two",
        options=replace(QUICK, part_bytes=5 * MIB),
        endpoints=endpoints(server),
    )
    assert (summary.done, summary.failed) == (0, 1)
    assert server.s3.body("bucket", "in/two") is None
    assert server.s3.uploads == {}


@pytest.mark.parametrize(
    "fault", [ErrorIn200(), Status(500), Broken(), Broken(done=False)], ids=["200", "500", "after", "before"]
)
def test_copy_by_the_server_survives_what_passes(server: FaultServer, fault: Fault):
    """An error inside a 200 is an error."""
    for number in range(5):
        server.s3.put("bucket", f"in/{number}", bytes([number]) * 100)
    server.fail("CopyObject", fault, times=2)
    summary = _copy(server)
    assert not summary.failed, summary.failures
    assert len(server.s3.objects["other"]) == 5


def test_copy_that_never_works_is_listed(server: FaultServer):
    """Nothing is reported that is not there."""
    for number in range(5):
        server.s3.put("bucket", f"in/{number}", bytes([number]) * 100)
    server.fail("CopyObject", ErrorIn200(), key="out/2", times=ALWAYS)
    summary = _copy(server)
    assert (summary.done, summary.failed) == (4, 1)
    assert "2" in summary.failures[0][0]
    assert sorted(server.s3.objects["other"]) == ["out/0", "out/1", "out/3", "out/4"]


def test_delete_tells_what_is_still_there(server: FaultServer):
    """Errors inside a 200 are failures of their keys alone."""
    for number in range(30):
        server.s3.put("bucket", f"in/{number:02}", b"x")
    server.fail("DeleteObjects", SaysNotDone("in/0[1-3]", "AccessDenied"), times=ALWAYS)
    summary = commands.remove("s3://bucket/in/", recursive=True, options=QUICK, endpoints=endpoints(server))
    assert (summary.done, summary.failed) == (27, 3)
    assert sorted(server.s3.objects["bucket"]) == ["in/01", "in/02", "in/03"]
    assert {what.rpartition("/")[2] for what, _ in summary.failures} == {"01", "02", "03"}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_delete_survives_what_passes(server: FaultServer, fault: Fault):
    """Deleting twice is no harm, so it is tried again."""
    for number in range(10):
        server.s3.put("bucket", f"in/{number:02}", b"x")
    server.fail("DeleteObjects", fault, times=2)
    summary = commands.remove("s3://bucket/in/", recursive=True, options=QUICK, endpoints=endpoints(server))
    assert not summary.failed, summary.failures
    assert server.s3.objects["bucket"] == {}


def test_keys_that_end_are_taken_anew(server: FaultServer, tmp_path: Path):
    """400 ExpiredToken of keys that cannot be renewed is a failure that names the setting, without many tries."""
    server.valid_key = "somebody-else"
    with pytest.raises(AccessDenied, match="temporary keys have ended"):
        _download(server, tmp_path / "out")
    summary = _upload(server, make_files(tmp_path / "in", {"a": b"1"}), options=replace(QUICK, verify=False))
    assert summary.failed == 1
    assert "temporary keys have ended" in summary.failures[0][1]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_keys_that_were_renewed_meanwhile_are_used(server: FaultServer, method: str):
    """The refusal of a HEAD has no code: also then what the machine's role says now is tried."""

    class Renewed:
        asked = 0

        def keys(self) -> Keys:
            self.asked += 1
            return Keys("ended" if self.asked == 1 else ACCESS_KEY, SECRET_KEY)

    server.s3.put("bucket", "a", b"1")
    server.valid_key = ACCESS_KEY
    role = Renewed()
    client = Client(replace(server.endpoint(), role=role))
    assert client.request(method, "a").status == 200
    assert role.asked > 1
    role.asked, server.valid_key = 1, "nobody's"
    with pytest.raises(MediaplaneError):
        client.request(method, "a")
    assert server.count(f"{method.capitalize()}Object") == 3


@pytest.mark.parametrize("status", [301, 307])
def test_redirect_to_another_region_is_followed(server: FaultServer, tmp_path: Path, status: int):
    """The answer names the region; what is signed for it is accepted."""
    server.fail("PutObject", Redirect(status, "eu-central-1", f"{server.url}/bucket/in/a"), times=1)
    summary = _upload(server, make_files(tmp_path, {"a": b"1"}))
    assert not summary.failed, summary.failures
    assert server.s3.body("bucket", "in/a") == b"1"
    assert "/eu-central-1/s3/" in server.requests[-1].headers["authorization"]


def test_redirect_in_circles_ends(server: FaultServer, tmp_path: Path):
    """A store that always sends us elsewhere is a failure, not a loop."""
    server.fail("PutObject", Redirect(307, "eu-central-1", f"{server.url}/bucket/in/a"), times=ALWAYS)
    summary = _upload(server, make_files(tmp_path, {"a": b"1"}))
    assert summary.failed == 1
    assert server.count("PutObject") < 20


def test_odd_keys_go_up_and_down_unchanged(server: FaultServer, tmp_path: Path):
    """Spaces, +, %, emoji, line breaks and 1,024 bytes: as keys and as files, listed, copied, deleted."""
    keys = [key for key in ODD_KEYS if all(len(part.encode()) < 255 for part in key.split("/"))]
    bodies = {key: f"body of {key}".encode() for key in keys}
    for key, body in bodies.items():
        server.s3.put("bucket", key, body)
    found = endpoints(server)
    down = commands.sync("s3://bucket", tmp_path / "out", options=QUICK, endpoints=found)
    assert down.done == len(keys), down.failures
    assert {key: (tmp_path / "out" / key).read_bytes() for key in keys} == bodies
    copied = commands.sync("s3://bucket", "s3://other", options=QUICK, endpoints=found)
    assert copied.done == len(keys), copied.failures
    server.s3.objects["bucket"].clear()
    up = commands.sync(tmp_path / "out", "s3://bucket", options=QUICK, endpoints=found)
    assert up.done == len(keys), up.failures
    assert {key: server.s3.body("bucket", key) for key in keys} == bodies
    again = commands.sync("s3://bucket", "s3://other", options=QUICK, endpoints=found)
    assert (again.done, again.skipped) == (0, len(keys))
    for bucket in ("bucket", "other"):
        gone = commands.remove(f"s3://{bucket}", recursive=True, options=QUICK, endpoints=found)
        assert gone.done == len(keys), gone.failures
        assert server.s3.objects[bucket] == {}


@pytest.mark.parametrize("fault", [SamePage(), NoToken(), HalfDocument()], ids=["same page", "no token", "half"])
def test_listing_that_cannot_be_relied_on_ends_the_command(server: FaultServer, tmp_path: Path, fault: Fault):
    """Half a listing is never taken for a whole one: with --delete that would remove the other half."""
    for number in range(1500):
        server.s3.put("bucket", f"in/{number:04}", b"x")
        if number % 100 == 0:
            server.s3.put("other", f"in/{number:04}", b"x")
    server.s3.put("other", "in/1499", b"x")
    server.fail("ListObjectsV2", fault, key=".*", times=ALWAYS, skip=0)
    with pytest.raises(StorageError):
        commands.sync("s3://bucket/in", "s3://other/in", delete=True, options=QUICK, endpoints=endpoints(server))
    assert server.s3.body("other", "in/1499") == b"x"
    with pytest.raises(StorageError):
        list(commands.ls("s3://bucket/in/", recursive=True, endpoints=endpoints(server)))


def test_listing_is_tried_again(server: FaultServer):
    """500, resets and half answers of a listing pass."""
    for number in range(2500):
        server.s3.put("bucket", f"{number:04}", b"x")
    for fault in (Status(500), Status(503, "SlowDown"), Broken(share=0.5), Broken()):
        server.fail("ListObjectsV2", fault, times=1)
    assert len(list(commands.ls("s3://bucket", recursive=True, endpoints=endpoints(server)))) == 2500


def test_listing_that_fails_midway_deletes_nothing_it_has_not_seen(server: FaultServer, tmp_path: Path):
    """The source's second page is refused: what stands behind it at the target stays."""
    for number in range(1500):
        server.s3.put("bucket", f"in/{number:04}", b"x")
    for number in (5, 1400, 1499):
        server.s3.put("other", f"in/{number:04}", b"x")
    server.s3.put("other", "in/9999", b"only here")
    server.fail("ListObjectsV2", Status(403, "AccessDenied"), times=ALWAYS, skip=2)
    with pytest.raises(MediaplaneError):
        commands.sync("s3://bucket/in", "s3://other/in", delete=True, options=QUICK, endpoints=endpoints(server))
    assert server.s3.body("other", "in/9999") == b"only here"


def test_object_that_changes_while_it_is_fetched_is_no_mixture(server: FaultServer, tmp_path: Path):
    """The second range is of another version: the file is of one version, or a failure."""
    old, new = b"o" * (20 * MIB), b"n" * (20 * MIB)
    server.s3.put("bucket", "in/a", old)

    class Changes(Fault):
        def happen(self, s3, request):
            answer = s3.answer(request)
            s3.put("bucket", "in/a", new)
            return answer

    server.fail("GetObject", Changes(), times=1)
    summary = _download(server, tmp_path / "out", options=replace(QUICK, part_bytes=5 * MIB))
    if summary.done:
        assert (tmp_path / "out" / "a").read_bytes() in (old, new)
    else:
        assert summary.failed == 1
        assert not (tmp_path / "out" / "a").exists()


def test_keys_that_may_only_write_do_write(server: FaultServer, tmp_path: Path):
    """Neither HEAD nor listing of the target is allowed: everything is sent."""
    server.fail("HeadObject|ListObjectsV2", Status(403, "AccessDenied"), times=ALWAYS)
    few = make_files(tmp_path / "few", {f"{number}": b"x" for number in range(3)})
    many = make_files(tmp_path / "many", {f"{number}": b"x" for number in range(60)})
    for root, count in ((few, 3), (many, 60)):
        summary = _upload(server, root)
        assert (summary.done, summary.failed) == (count, 0), summary.failures


def test_retry_after_is_respected(server: FaultServer, tmp_path: Path):
    """The next try comes no sooner than the store asked for."""
    import time

    times: list[float] = []

    class Noted(Status):
        def happen(self, s3, request):
            times.append(time.monotonic())
            return super().happen(s3, request)

    server.fail("PutObject", Noted(503, "SlowDown", retry_after=1), times=2)
    assert not _upload(server, make_files(tmp_path, {"a": b"1"})).failed
    assert times[1] - times[0] >= 1.0


def test_everything_at_once_is_told_truly(server: FaultServer, tmp_path: Path, seed: int):
    """Any sequence of faults: what is reported as done is whole, what is not is listed; healed, a second run ends."""
    dice = random.Random(seed)
    server.dice.seed(seed)
    bodies = some_bodies(dice, 20)
    root = make_files(tmp_path / "in", bodies)
    faults = [*PASSING.values(), *OF_BODIES.values(), WrongEtag(), ErrorIn200(), Status(403, "AccessDenied")]
    for operation in ("PutObject", "GetObject", "UploadPart", "CompleteMultipartUpload", "CreateMultipartUpload"):
        for fault in dice.sample(faults, 4):
            server.fail(operation, fault, times=ALWAYS, chance=dice.uniform(0.02, 0.25))
    options = Options(workers=dice.choice([1, 4, 16]), retries=dice.choice([0, 1, 3]), part_bytes=5 * MIB)

    events: list[Event] = []
    summary = _upload(server, root, options=options, events=events)
    assert_counts(summary, events)
    assert summary.done + summary.failed == len(bodies)
    for event in events:
        if event.done and not event.error:
            name = event.work.key[3:]
            assert server.s3.body("bucket", f"in/{name}") == bodies[name], f"{name} is reported, and is not whole"
    server.heal()
    assert not _upload(server, root, options=replace(options, retries=3)).failed
    stored = {key[3:]: found.body for key, found in server.s3.objects["bucket"].items()}
    assert [name for name in bodies if stored.get(name) != bodies[name]] == []  # whole bodies take minutes to compare
    assert stored.keys() == bodies.keys()

    for fault in dice.sample(faults, 6):
        server.fail("GetObject", fault, times=ALWAYS, chance=dice.uniform(0.02, 0.2))
    events = []
    summary = _download(server, tmp_path / "out", options=options, events=events)
    assert_counts(summary, events)
    assert summary.done + summary.failed == len(bodies)
    failed = {what for what, _ in summary.failures}
    for name, body in bodies.items():
        path = tmp_path / "out" / name
        assert path.exists() or any(name in what for what in failed)
        assert not path.exists() or path.read_bytes() == body, f"{name} is damaged"
    server.heal()
    assert not _download(server, tmp_path / "out", options=replace(options, retries=3)).failed
    assert {name: (tmp_path / "out" / name).read_bytes() for name in bodies} == bodies


@pytest.fixture(params=range(6))
def seed(request: pytest.FixtureRequest) -> int:
    """A seed, printed where a test fails; MEDIAPLANE_TEST_SEED repeats one."""
    import os
    import time

    fixed = os.environ.get("MEDIAPLANE_TEST_SEED")
    chosen = int(fixed) if fixed else time.time_ns() % 1_000_000_007 + int(request.param)
    print(f"MEDIAPLANE_TEST_SEED={chosen}")
    return chosen


def _upload(server: FaultServer, root: Path, options: Options = QUICK, events: list[Event] | None = None):
    return commands.copy(
        root, "s3://bucket/in/", recursive=True, options=options, endpoints=endpoints(server), report=_into(events)
    )


def _download(server: FaultServer, target: Path, options: Options = QUICK, events: list[Event] | None = None):
    return commands.copy(
        "s3://bucket/in/", target, recursive=True, options=options, endpoints=endpoints(server), report=_into(events)
    )


def _copy(server: FaultServer):
    return commands.copy(
        "s3://bucket/in/", "s3://other/out/", recursive=True, options=QUICK, endpoints=endpoints(server)
    )


def _into(events: list[Event] | None):
    return None if events is None else events.append
