"""Originals are read by ranges: a chunk or a clip reads little more than its own bytes, and no break goes unseen."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mediaplane.errors import AccessDenied, MediaEmpty, ObjectNotFound, StorageError, ToolFailed
from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.cut import cut_fast
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import ChunkResult, Probe
from tests.services import made_media as media
from tests.services.range_server import RangeServer, serve_ranges

LIMITS = Limits(seconds=90, address_space_mb=8192, output_mb=1024)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s of noise, about 16 MB, its index in front."""
    noisy = ["-vf", "noise=alls=30:allf=t", "-b:v", "5M", "-movflags", "+faststart"]
    return media.make_pattern(tmp_path_factory.mktemp("ranges") / "noisy.mp4", seconds=24, size="320x240", encode=noisy)


@pytest.fixture
def server(recording: Path) -> Iterator[RangeServer]:
    with serve_ranges(recording.parent) as running:
        yield running


def ignore(_fraction: float) -> None:
    """Progress that nobody watches."""


async def encode_middle(url: str, out: Path) -> tuple[Probe, ChunkResult]:
    """Encode the third of four chunks."""
    found = await probe(url, limits=LIMITS)
    chunks = await plan_chunks(url, found, chunk_seconds=6, limits=LIMITS)
    assert len(chunks) == 4
    result = await encode_chunk(
        url, found, chunks[2], out_dir=out, short_sides=[360], frames_per_second=10, ocr=None, limits=LIMITS,
        on_progress=ignore,
    )  # fmt: skip
    return found, result


async def test_a_chunk_reads_its_own_bytes(tmp_path: Path, server: RangeServer, recording: Path) -> None:
    """Probing, planning and encoding a quarter of a recording read far less than all of it, by ranges only."""
    size = recording.stat().st_size
    url = server.address(recording)
    found = await probe(url, limits=LIMITS)
    assert server.sent_bytes < size / 3
    server.forget()
    chunks = await plan_chunks(url, found, chunk_seconds=6, limits=LIMITS)
    assert server.sent_bytes < size * 0.75
    server.forget()
    await encode_chunk(
        url, found, chunks[1], out_dir=tmp_path, short_sides=[360], frames_per_second=10, ocr=None, limits=LIMITS,
        on_progress=ignore,
    )  # fmt: skip
    assert server.sent_bytes < size * 0.6
    assert all(wanted.startswith("bytes=") for _, _, wanted in server.requests)


async def test_a_clip_reads_its_own_bytes(tmp_path: Path, server: RangeServer, recording: Path) -> None:
    """A clip of three seconds of twenty-four reads less than half of the recording."""
    url = server.address(recording)
    found = await probe(url, limits=LIMITS)
    server.forget()
    made = await cut_fast(url, found, tmp_path / "clip.mp4", 12_000, 15_000, limits=LIMITS)
    assert made.mode == "fast"
    assert server.sent_bytes < recording.stat().st_size / 2


async def test_a_connection_that_breaks_once_is_taken_up_again(
    tmp_path: Path, server: RangeServer, recording: Path
) -> None:
    """A break in the middle of a chunk costs a new request, and no frame."""
    url = server.address(recording)
    found = await probe(url, limits=LIMITS)
    chunk = (await plan_chunks(url, found, chunk_seconds=6, limits=LIMITS))[2]
    server.broken_from, server.breaks_left = recording.stat().st_size * 55 // 100, 1
    result = await encode_chunk(
        url, found, chunk, out_dir=tmp_path / "0", short_sides=[360], frames_per_second=10, ocr=None, limits=LIMITS,
        on_progress=ignore,
    )  # fmt: skip
    assert server.breaks_left == 0
    played = media.times(media.write_playlist(tmp_path / "all.m3u8", [(chunk, result)], "240p", "0"))
    assert chunk.end_us is not None
    assert len(played) == round((chunk.end_us - chunk.start_us) * 30 / 1e6)


async def test_a_source_that_stays_broken_is_tried_again_later(
    tmp_path: Path, server: RangeServer, recording: Path
) -> None:
    """Reading that breaks off for good is an error that may pass, never a result that ends too early."""
    url = server.address(recording)
    found = await probe(url, limits=LIMITS)
    server.broken_from = recording.stat().st_size * 6 // 10
    with pytest.raises(ToolFailed) as caught:
        await encode_sound(url, found, out_dir=tmp_path, limits=LIMITS, on_progress=ignore)
    assert caught.value.retryable
    assert "signature" not in caught.value.message


async def test_what_the_store_says_is_passed_on(tmp_path: Path, server: RangeServer, recording: Path) -> None:
    """A missing, refused, empty or failing object is named as such."""
    (recording.parent / "empty.mp4").touch()
    with pytest.raises(MediaEmpty):
        await probe(server.address("empty.mp4"), limits=LIMITS)
    with pytest.raises(ObjectNotFound):
        await probe(server.address("missing.mp4"), limits=LIMITS)
    for status, kind in ((403, AccessDenied), (503, StorageError)):
        server.status = status
        with pytest.raises(kind) as caught:
            await probe(server.address(recording), limits=LIMITS)
        assert "secret" not in caught.value.message
    assert caught.value.retryable


def make_authority(folder: Path) -> ssl.SSLContext:
    """Write `ca.pem`, a certificate for 127.0.0.1 that only who knows it trusts, and return a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    builder = builder.add_extension(address, critical=False)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    (folder / "ca.pem").write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def test_a_private_authority_is_trusted_by_name_only(tmp_path: Path, recording: Path) -> None:
    """With the store's CA file probe, plan and ffmpeg read over HTTPS; without it each of them refuses."""
    ca_file = str(tmp_path / "ca.pem")
    with serve_ranges(recording.parent, make_authority(tmp_path)) as server:
        url = server.address(recording)
        found = await probe(url, limits=LIMITS, ca_file=ca_file)
        await plan_chunks(url, found, chunk_seconds=6, limits=LIMITS, ca_file=ca_file)
        await encode_sound(url, found, out_dir=tmp_path, limits=LIMITS, on_progress=ignore, ca_file=ca_file)
        with pytest.raises(StorageError):
            await probe(url, limits=LIMITS)
        with pytest.raises(StorageError):
            await plan_chunks(url, found, chunk_seconds=6, limits=LIMITS)
        with pytest.raises(ToolFailed):
            await encode_sound(url, found, out_dir=tmp_path, limits=LIMITS, on_progress=ignore)
