"""What the engine is made of, without a network: digests, names, pace, level, parts, answers."""

import hashlib
import os
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.storage.bulk.checks import Check, Damaged, confirm_came
from mediaplane.storage.bulk.digests import (
    Crc32,
    blocks_of,
    composite_md5,
    composite_of_etag,
    decode,
    encode,
    md5_of_etag,
)
from mediaplane.storage.bulk.multipart import MAX_PARTS, part_bytes_of
from mediaplane.storage.bulk.names import content_type_of, lasting_name, mtime_of, mtime_text, temporary_name
from mediaplane.storage.bulk.pace import Level, Pace
from mediaplane.storage.bulk.work import Options, is_unfinished
from mediaplane.storage.connection import ConnectionLost
from mediaplane.storage.exchange import Answer
from mediaplane.storage.providers import find_provider

MIB = 1 << 20
OTHER, MINIO = find_provider("", "other"), find_provider("", "minio")
MD5 = hashlib.md5(b"body").digest()


def answer(*headers: str, status: int = 200) -> Answer:
    return Answer("\r\n".join([f"HTTP/1.1 {status} OK", *headers, ""]).encode())


def test_crc32_in_pieces_is_zlibs():
    """A checksum of pieces is that of the whole, in four bytes as headers have it."""
    digest = Crc32(b"one ")
    digest.update(memoryview(b"two"))
    assert digest.digest() == zlib.crc32(b"one two").to_bytes(4, "big")


def test_etags():
    """An ETag is an MD5 only in its two known forms."""
    assert md5_of_etag(f'"{MD5.hex()}"') == MD5
    assert composite_of_etag(f'"{MD5.hex()}-12"') == (MD5, 12)
    assert composite_md5([MD5, MD5]) == hashlib.md5(MD5 + MD5).digest()
    for other in ("", '"abc"', '"0000000000000001-1"', f'"{MD5.hex().upper()}x"'):
        assert md5_of_etag(other) == b""
    assert decode(encode(MD5), 16) == MD5
    assert decode("not base64!", 4) == decode(encode(MD5), 4) == b""


def test_blocks_of_a_file_that_becomes_shorter(tmp_path):
    """A part is read whole, and a file that ends too early is an error."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * MIB))
    file = os.open(path, os.O_RDONLY)
    try:
        assert b"".join(blocks_of(file, 5, 2 * MIB)) == path.read_bytes()[5 : 5 + 2 * MIB]
        with pytest.raises(EOFError, match="shorter"):
            list(blocks_of(file, 2 * MIB, 2 * MIB))
    finally:
        os.close(file)


@pytest.mark.parametrize("provider", [OTHER, MINIO])
def test_store_that_has_something_else_is_found_out(provider):
    """What the store says it has is compared with what was sent; silence and encryption are no proof."""
    check = Check(provider)
    digest = check.new(b"body").digest()
    header = {**check.headers(digest)}
    good = f'etag: "{MD5.hex()}"' if provider is OTHER else f"x-amz-checksum-crc32: {encode(digest)}"
    bad = f'ETag: "{"0" * 32}"' if provider is OTHER else "x-amz-checksum-crc32: AAAAAA=="
    assert list(header.values()) == [encode(digest)]
    check.confirm_sent("key", digest, answer(good))
    check.confirm_sent("key", digest, answer('etag: "0000000000000001-1"'))
    with pytest.raises(Damaged, match="key"):
        check.confirm_sent("key", digest, answer(bad))
    if provider is OTHER:
        check.confirm_sent("key", digest, answer(bad, "x-amz-server-side-encryption: aws:kms"))


def test_what_comes_is_compared_with_the_best_witness():
    """The checksum header goes before the ETag, and that before our own digest in the metadata."""
    confirm_came("key", b"body", answer(f'etag: "{MD5.hex()}"'))
    confirm_came("key", b"body", answer('etag: "opaque"', f"x-amz-meta-md5chksum: {encode(MD5)}"))
    confirm_came("key", b"body", answer("etag: none"))
    for wrong in (
        [f'etag: "{"0" * 32}"'],
        ["etag: none", f"x-amz-meta-md5chksum: {encode(bytes(16))}"],
        [f'etag: "{MD5.hex()}"', f"x-amz-checksum-crc32: {encode(bytes(4))}"],
    ):
        with pytest.raises(Damaged):
            confirm_came("key", b"body", answer(*wrong))


@given(st.integers(min_value=-(10**18), max_value=4 * 10**18))
def test_time_survives_the_metadata(mtime_ns):
    """A file's time is kept to the nanosecond, also before 1970."""
    assert mtime_of(mtime_text(mtime_ns)) == mtime_ns


@pytest.mark.parametrize("text", ["", "soon", "NaN", "Infinity", "1e999999"])
def test_time_that_is_none(text):
    """What strangers write into metadata is no error."""
    assert mtime_of(text) is None


def test_content_types():
    """Media types are known on every machine, and what is unknown is bytes."""
    assert content_type_of("a/b.m3u8") == "application/vnd.apple.mpegurl"
    assert content_type_of("A.MP4") == "video/mp4"
    assert content_type_of("x.y/none") == content_type_of(".hidden") == "application/octet-stream"


def test_temporary_names_stand_beside_the_target_and_fit():
    """A temporary lies in the same directory, is known as ours, and is short enough for any name."""
    for path in ("/d/file.bin", "file", "/d/" + "é" * 127, "/d/" + "x" * 255):
        for name in (temporary_name(path), lasting_name(path, "etag", 5)):
            folder, _, last = name.rpartition("/")
            assert folder == path.rpartition("/")[0]
            assert is_unfinished(last)
            assert len(last.encode()) <= 255
    assert lasting_name("/d/a", "e", 1) == lasting_name("/d/a", "e", 1) != lasting_name("/d/a", "f", 1)


@given(st.integers(min_value=1, max_value=5 << 40), st.integers(min_value=0, max_value=1 << 30))
def test_parts_fit_the_limits_of_s3(size, wanted):
    """There are never more than 10,000 parts, none is smaller than 5 MiB, none larger than the provider takes."""
    part = part_bytes_of(Options(part_bytes=wanted), OTHER, size)
    assert -(-size // part) <= MAX_PARTS
    assert 5 * MIB <= part <= OTHER.largest_part_bytes


def test_pace_lets_no_more_through_than_it_may():
    """Over any stretch the bytes are at most the rate and one short burst."""
    clock = [0.0]
    pace = Pace(1000, now=lambda: clock[0])
    moved = 0
    while clock[0] < 10:
        clock[0] += pace.delay(100)
        moved += 100
    assert 9_900 <= moved <= 10_200
    clock[0] += 1000  # a pause is not saved up
    assert sum(pace.delay(100) > 0 for _ in range(10)) >= 8


class Simulation:
    """A store whose answers take `latency` seconds, and a client that can do `capacity` a second."""

    def __init__(self, latency: float, capacity: float) -> None:
        self.clock, self.latency, self.capacity = 0.0, latency, capacity
        self.level = Level(now=lambda: self.clock)

    def run(self, seconds: float) -> int:
        """Let time pass in steps of a millisecond."""
        end, due = self.clock + seconds, 0.0
        while self.clock < end:
            self.clock += 0.001
            rate = min(self.capacity, self.level.limit / self.latency)
            due += rate * 0.001
            for _ in range(int(due)):
                self.level.note_done(0)
            due -= int(due)
            self.level.note_idle(0.001 * (1 - rate / self.capacity))
            self.level.adjust()
        return self.level.limit


def test_level_stays_low_where_the_client_is_busy():
    """On a loopback more requests at once would bring nothing."""
    assert Simulation(latency=0.0005, capacity=10_000).run(3) <= 16


def test_level_grows_with_latency():
    """At 10 ms and more the number reaches its most, within half a second."""
    assert Simulation(latency=0.01, capacity=15_000).run(0.5) == Level.MAX
    assert Simulation(latency=0.2, capacity=15_000).run(15) == Level.MAX


def test_level_comes_down_when_asked_and_grows_again_slowly():
    """SlowDown halves it once for all who hear of it at the same time; then it grows one by one."""
    simulation = Simulation(latency=0.01, capacity=15_000)
    simulation.run(1)
    for _ in range(50):
        simulation.level.slow_down()
    assert simulation.level.limit == Level.MAX // 2
    assert simulation.level.is_paused()
    simulation.run(1)
    assert Level.MAX // 2 < simulation.level.limit <= Level.MAX // 2 + 25
    assert not simulation.level.is_paused()


def test_level_that_was_asked_for_stays():
    """A number that the user gave is kept."""
    level = Level(3)
    level.slow_down()
    assert level.limit == 3


def test_answer_headers():
    """Headers are found whatever their case; what is no HTTP is an error."""
    given_answer = answer('ETag: "x"', "X-Amz-Meta-Mtime:  5 ", "x-amz-meta-a: b: c")
    assert given_answer.header("etag") == '"x"'
    assert given_answer.header("missing") == ""
    assert given_answer.headers("x-amz-meta-") == {"mtime": "5", "a": "b: c"}
    with pytest.raises(ConnectionLost):
        Answer(b"HTTP/1.1 abc\r\n")


def test_options_are_values():
    """Options can be changed one by one."""
    assert replace(Options(), verify=False) == Options(verify=False)
