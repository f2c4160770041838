"""The engine of bulk transfer on the real S3 servers: bytes, names, times, parts, and what it leaves behind."""

import hashlib
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediaplane.storage.bulk import copies
from mediaplane.storage.bulk.engine import run
from mediaplane.storage.bulk.work import Copy, Delete, Download, Event, Found, Options, Summary, Upload, is_unfinished
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.wire import Client
from tests.services.s3 import S3Server

MIB = 1 << 20
PART = 5 * MIB
ODD_KEYS = [
    "plain.txt",
    "with space and  two",
    "plus+sign",
    "per%20cent%",
    "emoji-😀-日本語-é",
    "line\nbreak\ttab",
    "q?a=b&c=d#e;f,g@h:i$j!k'l(m)n*o[p]q",
    '<xml>&amp;"quoted"\\backslash',
    "deep/er/and//double",
    "~tilde_under-dash.dot",
    "n" * 200 + "/" + "é" * 300 + "/" + "x" * 222,  # 1,024 bytes
]


@pytest.fixture(scope="module")
def buckets(fresh_bucket) -> Callable[[S3Server], str]:
    """One bucket a server: SeaweedFS gives each bucket volumes of its own, and has 200."""
    made: dict[str, str] = {}

    def get(server: S3Server) -> str:
        if server.name not in made:
            made[server.name] = fresh_bucket(server)
        return made[server.name]

    return get


def opened(server: S3Server, bucket: str, scheme: str = "http") -> S3Endpoint:
    ca_file = str(server.ca_file) if scheme == "https" else ""
    url = server.endpoint(scheme=scheme)
    return S3Endpoint(url, bucket, server.access_key, server.secret_key, ca_file=ca_file)


def emptied(endpoint: S3Endpoint) -> S3Endpoint:
    client = Client(endpoint)
    client.delete_many([found.key for found in client.list_all()])
    for upload in client.list_multipart():
        client.abort(upload.key, upload.upload_id)
    return endpoint


@pytest.fixture(params=["http", "https"])
def endpoint(request: pytest.FixtureRequest, s3_server: S3Server, buckets) -> S3Endpoint:
    """An empty bucket on each server."""
    return emptied(opened(s3_server, buckets(s3_server), request.param))


@pytest.fixture
def http_endpoint(s3_server: S3Server, buckets) -> S3Endpoint:
    """The same without TLS only."""
    return emptied(opened(s3_server, buckets(s3_server)))


def made_file(path: Path, size_bytes: int, *, mtime_ns: int = 1_700_000_000_123_456_789) -> Path:
    """A file with its own bytes and a time of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size_bytes))
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def upload_of(path: Path, endpoint: S3Endpoint, key: str) -> Upload:
    status = path.stat()
    return Upload(path, status.st_size, status.st_mtime_ns, endpoint, key)


def done(work, options: Options | None = None, events: list[Event] | None = None) -> Summary:
    summary = run(work, options or Options(), (events if events is not None else []).append)
    assert summary.failures == []
    assert summary.failed == 0
    return summary


def found_in(endpoint: S3Endpoint, prefix: str = "") -> dict[str, Found]:
    return {found.key: found for found in Client(endpoint).list_all(prefix)}


def leftovers(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if is_unfinished(path.name)]


def test_odd_keys_go_up_and_down_and_away(endpoint, tmp_path, s3_server):
    """Every key that S3 allows can be uploaded, listed, copied, downloaded and deleted under exactly its name."""
    keys = [key for key in ODD_KEYS if s3_server.name == "rgw" or fits_seaweed(key)]
    files = {key: made_file(tmp_path / "in" / str(number), 1000 + number) for number, key in enumerate(keys)}
    done(upload_of(path, endpoint, key) for key, path in files.items())
    found = found_in(endpoint)
    assert sorted(found) == sorted(keys)
    done(Copy(endpoint, entry, endpoint, f"copy/{number}") for number, entry in enumerate(found.values()))
    copied = found_in(endpoint, "copy/")
    for number, key in enumerate(found):
        done([Download(endpoint, copied[f"copy/{number}"], tmp_path / "out" / str(number))])
        assert (tmp_path / "out" / str(number)).read_bytes() == files[key].read_bytes()
    done(Download(endpoint, entry, tmp_path / "again" / str(n)) for n, entry in enumerate(found.values()))
    for number, key in enumerate(found):
        assert (tmp_path / "again" / str(number)).read_bytes() == files[key].read_bytes()
        assert (tmp_path / "again" / str(number)).stat().st_mtime_ns == files[key].stat().st_mtime_ns
    done(Delete(endpoint, key) for key in found_in(endpoint))
    assert found_in(endpoint) == {}


def fits_seaweed(key: str) -> bool:
    """SeaweedFS keeps objects as files of a directory: no empty part, none over 255 bytes, and `\\` is `/`."""
    return "\\" not in key and all(0 < len(part.encode()) <= 255 for part in key.split("/"))


@pytest.mark.parametrize("size", [0, 1, 65_536, MIB, MIB + 1, 2 * MIB, PART, PART + 1, 3 * PART + 17])
@pytest.mark.parametrize("verify", [True, False])
def test_sizes_at_every_border(http_endpoint, tmp_path, size, verify):
    """Whole PUTs, parts and ranges meet without a gap, with and without checks; type, time and size are kept."""
    path = made_file(tmp_path / "in.mp4", size)
    options = Options(verify=verify, part_bytes=PART, metadata={"Origin": "test"})
    events: list[Event] = []
    summary = done([upload_of(path, http_endpoint, "dir/in.mp4")], options, events)
    assert (summary.done, summary.bytes_moved) == (1, size)
    assert sum(event.done for event in events) == 1
    head = Client(http_endpoint).head("dir/in.mp4")
    assert (head.size_bytes, head.content_type) == (size, "video/mp4")
    assert head.metadata["mtime"] == "1700000000.123456789"
    assert head.metadata["origin"] == "test"
    summary = done([Download(http_endpoint, found_in(http_endpoint)["dir/in.mp4"], tmp_path / "o/out")], options)
    assert summary.bytes_moved == size
    assert (tmp_path / "o/out").read_bytes() == path.read_bytes()
    assert (tmp_path / "o/out").stat().st_mtime_ns == path.stat().st_mtime_ns
    assert leftovers(tmp_path) == []
    assert list(Client(http_endpoint).list_multipart()) == []


def test_large_object_over_tls(endpoint, tmp_path):
    """Parts and ranges go over TLS too, several at once."""
    path = made_file(tmp_path / "in", 4 * PART + 5)
    options = Options(part_bytes=PART)
    done([upload_of(path, endpoint, "a b/large")], options)
    done([Download(endpoint, found_in(endpoint)["a b/large"], tmp_path / "out")], options)
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


def test_copy_in_parts(http_endpoint, tmp_path, monkeypatch):
    """What is too large for one copy is copied in parts by the server, with its metadata."""
    monkeypatch.setattr(copies, "COPY_LIMIT_BYTES", 2 * PART)
    monkeypatch.setattr(copies, "COPY_PART_BYTES", PART)
    path = made_file(tmp_path / "in.mp4", 2 * PART + 3)
    done([upload_of(path, http_endpoint, "a/in.mp4")], Options(part_bytes=PART))
    done([Copy(http_endpoint, found_in(http_endpoint)["a/in.mp4"], http_endpoint, "b/out")])
    head = Client(http_endpoint).head("b/out")
    assert (head.size_bytes, head.content_type) == (2 * PART + 3, "video/mp4")
    assert head.metadata["mtime"] == "1700000000.123456789"
    done([Download(http_endpoint, found_in(http_endpoint)["b/out"], tmp_path / "out")])
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [100, 2 * MIB, 2 * PART + 3])
def test_copy_between_servers(seaweed, rgw, buckets, tmp_path, size):
    """An object moves between two servers through this process, with type, time and metadata, in bounded memory."""
    there, here = (emptied(opened(server, buckets(server))) for server in (seaweed, rgw))
    path = made_file(tmp_path / "in.mp4", size)
    options = Options(part_bytes=PART, metadata={"who": "me"})
    done([upload_of(path, there, "x y")], replace(options, content_type="video/mp4"))
    done([Copy(there, found_in(there)["x y"], here, "z/é")], Options(part_bytes=PART))
    head = Client(here).head("z/é")
    assert (head.size_bytes, head.content_type, head.metadata["who"]) == (size, "video/mp4", "me")
    done([Download(here, found_in(here)["z/é"], tmp_path / "out")])
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    assert (tmp_path / "out").stat().st_mtime_ns == path.stat().st_mtime_ns


def test_copy_with_new_metadata_keeps_the_rest(http_endpoint, tmp_path):
    """A copy that gets a content type keeps the time and the metadata of its original."""
    path = made_file(tmp_path / "in", 10)
    done([upload_of(path, http_endpoint, "a")], Options(metadata={"who": "me"}))
    done(
        [Copy(http_endpoint, found_in(http_endpoint)["a"], http_endpoint, "b")],
        Options(content_type="image/png", metadata={"more": "1"}),
    )
    head = Client(http_endpoint).head("b")
    assert head.content_type == "image/png"
    assert head.metadata == {**Client(http_endpoint).head("a").metadata, "more": "1"}


def test_many_deletes_in_batches(http_endpoint, tmp_path):
    """More keys than one request takes are deleted; those that are not there are no failure."""
    path = made_file(tmp_path / "in", 1)
    keys = [f"many/{number:04}" for number in range(1203)]
    done(upload_of(path, http_endpoint, key) for key in keys)
    assert len(found_in(http_endpoint)) == 1203
    events: list[Event] = []
    summary = done((Delete(http_endpoint, key) for key in [*keys, "missing"]), events=events)
    assert summary.done == len(events) == 1204
    assert found_in(http_endpoint) == {}


def test_single_deletes_where_the_provider_has_no_batch(http_endpoint, tmp_path):
    """On Google's S3 interface keys are deleted one by one."""
    google = replace(http_endpoint, provider_name="google")
    assert not google.provider.batch_delete
    path = made_file(tmp_path / "in", 1)
    done(upload_of(path, http_endpoint, f"{number}") for number in range(30))
    done(Delete(google, f"{number}") for number in range(30))
    assert found_in(http_endpoint) == {}


def test_what_fails_is_listed_and_the_rest_is_done(http_endpoint, tmp_path):
    """A missing file, a missing object, a changed object: each has its sentence, and the others go on."""
    good = made_file(tmp_path / "good", 10)
    done([upload_of(good, http_endpoint, "here")])
    here = found_in(http_endpoint)["here"]
    work = [
        Upload(tmp_path / "none", 1, 1, http_endpoint, "none"),
        upload_of(good, http_endpoint, "there"),
        Download(http_endpoint, here._replace(key="gone", etag=""), tmp_path / "gone"),
        Download(http_endpoint, here._replace(etag=f'"{"0" * 32}"'), tmp_path / "changed"),
        Download(http_endpoint, here._replace(size_bytes=11, etag=""), tmp_path / "short"),
        Download(http_endpoint, here, tmp_path / "ok"),
    ]
    summary = run(work, Options(retries=1))
    assert (summary.done, summary.failed) == (2, 4)
    sentences = dict(summary.failures)
    assert "No such file" in sentences[str(tmp_path / "none")]
    bucket = f"s3://{http_endpoint.bucket}"
    assert "nothing is stored" in sentences[f"{bucket}/gone"]
    assert "changed" in " ".join(reason for _, reason in summary.failures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "ok"]


def test_wrong_bytes_are_found_on_download(http_endpoint, tmp_path):
    """An object whose own digest says something else is not saved under its name."""
    body = b"not what was meant"
    client = Client(http_endpoint)
    wrong = "AAAAAAAAAAAAAAAAAAAAAA=="
    client.request("PUT", "bad", headers={"x-amz-meta-md5chksum": wrong}, body=body)
    entry = found_in(http_endpoint)["bad"]
    summary = run([Download(http_endpoint, entry, tmp_path / "bad")], Options(retries=1))
    if summary.failed:
        assert "other bytes" in summary.failures[0][1]
        assert not (tmp_path / "bad").exists()
    else:  # the server's own MD5 is the better witness
        assert entry.etag.strip('"') == hashlib.md5(body).hexdigest()


def test_unfinished_upload_is_continued(http_endpoint, tmp_path):
    """The parts that the store has are not sent again; an upload whose parts differ is not taken over."""
    path = made_file(tmp_path / "in", 4 * PART + 3)
    client = Client(http_endpoint)
    body = path.read_bytes()
    started = client.request("POST", "big", {"uploads": ""}).body
    upload_id = started.split(b"<UploadId>")[1].split(b"<")[0].decode()
    for number, part in ((1, body[:PART]), (2, os.urandom(PART)), (3, body[2 * PART : 3 * PART])):
        client.request("PUT", "big", {"partNumber": str(number), "uploadId": upload_id}, body=part)
    summary = done([upload_of(path, http_endpoint, "big")], Options(part_bytes=PART))
    assert summary.bytes_moved == 2 * PART + 3
    assert list(client.list_multipart()) == []
    done([Download(http_endpoint, found_in(http_endpoint)["big"], tmp_path / "out")])
    assert (tmp_path / "out").read_bytes() == body


def test_unfinished_upload_of_an_older_file_is_not_continued(http_endpoint, tmp_path):
    """A file that was changed after the upload began is uploaded anew: its time would be the old one."""
    path = made_file(tmp_path / "in", 2 * PART, mtime_ns=int(4e18))
    client = Client(http_endpoint)
    started = client.request("POST", "big", {"uploads": ""}).body
    upload_id = started.split(b"<UploadId>")[1].split(b"<")[0].decode()
    client.request("PUT", "big", {"partNumber": "1", "uploadId": upload_id}, body=path.read_bytes()[:PART])
    summary = done([upload_of(path, http_endpoint, "big")], Options(part_bytes=PART))
    assert summary.bytes_moved == 2 * PART
    assert [entry.upload_id for entry in client.list_multipart()] == [upload_id]


def test_interrupted_download_is_continued(http_endpoint, tmp_path):
    """Ranges that are on the disk are not fetched again."""
    path = made_file(tmp_path / "in", 6 * PART)
    done([upload_of(path, http_endpoint, "big")], Options(part_bytes=PART))
    work = Download(http_endpoint, found_in(http_endpoint)["big"], tmp_path / "out" / "big")
    with pytest.raises(KeyboardInterrupt):
        run([work], Options(part_bytes=PART, workers=1, bytes_per_second=40 * MIB), interrupt_at(2))
    assert not work.path.exists()
    assert len(leftovers(tmp_path)) == 1
    summary = done([work], Options(part_bytes=PART))
    assert 0 < summary.bytes_moved < 6 * PART
    assert work.path.read_bytes() == path.read_bytes()
    assert leftovers(tmp_path) == []


def test_interrupted_upload_leaves_nothing(http_endpoint, tmp_path):
    """Ctrl-C aborts the multipart uploads that are under way, and no object appears."""
    path = made_file(tmp_path / "in", 6 * PART)
    with pytest.raises(KeyboardInterrupt):
        run(
            [upload_of(path, http_endpoint, "big")],
            Options(part_bytes=PART, workers=1, bytes_per_second=40 * MIB),
            interrupt_at(2),
        )
    assert list(Client(http_endpoint).list_multipart()) == []
    assert found_in(http_endpoint) == {}


def interrupt_at(number: int):
    """A report that does what Ctrl-C does, at the n-th event."""
    seen = []

    def report(event: Event) -> None:
        seen.append(event)
        if len(seen) == number:
            raise KeyboardInterrupt

    return report


def test_file_that_changes_meanwhile_is_not_reported_as_done(http_endpoint, tmp_path):
    """A file that grows while its parts are sent fails, and nothing is left behind."""
    path = made_file(tmp_path / "in", 3 * PART)

    def grow(event: Event) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    slow = Options(part_bytes=PART, workers=1, bytes_per_second=20 * MIB)
    summary = run([upload_of(path, http_endpoint, "big")], slow, grow)
    assert summary.failed == 1
    assert "changed while it was read" in summary.failures[0][1]
    assert list(Client(http_endpoint).list_multipart()) == []
    assert found_in(http_endpoint) == {}


def test_work_that_raises_ends_in_order(http_endpoint, tmp_path):
    """An error of the work itself is raised when what came before it is done."""
    path = made_file(tmp_path / "in", 10)

    def work():
        for number in range(20):
            yield upload_of(path, http_endpoint, f"{number}")
        raise LookupError("no more")

    events: list[Event] = []
    with pytest.raises(LookupError, match="no more"):
        run(work(), Options(), events.append)
    assert len(events) == len(found_in(http_endpoint)) == 20


def test_wrong_keys_fail_each_piece(http_endpoint, tmp_path):
    """A refused signature says which setting to look at."""
    wrong = replace(http_endpoint, secret_access_key=uuid.uuid4().hex)
    summary = run([upload_of(made_file(tmp_path / "in", 10), wrong, "a")], Options())
    assert summary.failed == 1
    assert "S3_SECRET_ACCESS_KEY" in summary.failures[0][1]
