"""A private video plays from the printed URL: in ffmpeg, and in a real browser with hls.js, to the end without a gap.

The bucket is private, the playlists come from the gateway, the segments straight from the store, and the page that
plays them is of another origin than both, as a product's own web page would be.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import imageio_ffmpeg
import pytest
import pytest_asyncio

from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.servers import prepare_buckets
from tests.services.browser import DIRECTORY, MODULES, require_modules, running_browser, served_page
from tests.services.gateway import Gateway, running_gateway
from tests.services.rgw import end_with_parent

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 12
FRAMES = SECONDS * 30
LIMITS = Limits(seconds=120, address_space_mb=8192, output_mb=1024)
HLS_JS = MODULES / "hls.js" / "dist" / "hls.min.js"
FILES = {"/": (DIRECTORY / "player.html", "text/html"), "/hls.js": (HLS_JS, "text/javascript")}
# Source: hls.js API, ErrorDetails
GAPS = ("bufferSeekOverHole", "bufferNudgeOnStall", "bufferAppendError", "fragParsingError", "fragGap")


@dataclass(frozen=True)
class Recording:
    """A private video in a bucket, ready to be played."""

    gateway: Gateway
    asset_id: str

    def url(self, start_ms: int = 0) -> str:
        return self.gateway.plane.playback_url(self.asset_id, start_ms=start_ms)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def recording(module_dsn, tmp_path_factory, seaweed, fresh_bucket) -> AsyncIterator[Recording]:
    """Twelve seconds in two chunks with sound, encoded by the pipeline's own tools, in a private bucket."""
    environ = {
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": seaweed.http_endpoint,
        "S3_BUCKET": fresh_bucket(seaweed),
        "S3_ACCESS_KEY_ID": seaweed.access_key,
        "S3_SECRET_ACCESS_KEY": seaweed.secret_key,
    }
    work = tmp_path_factory.mktemp("recording")
    async with running_gateway(module_dsn, work, environ) as gateway:
        await asyncio.to_thread(prepare_buckets, gateway.plane.settings)
        yield await _record(gateway, "film", work)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def local_recording(module_dsn, tmp_path_factory) -> AsyncIterator[Recording]:
    """The same in a directory, whose bytes the gateway serves itself."""
    work = tmp_path_factory.mktemp("recording")
    async with running_gateway(module_dsn, work, {"STORAGE_MODE": "local"}) as gateway:
        yield await _record(gateway, "local-film", work)


async def _record(gateway: Gateway, asset_id: str, work: Path) -> Recording:
    await gateway.add_asset(asset_id)
    await _encode(gateway, asset_id, await _film(work), work)
    return Recording(gateway, asset_id)


async def _film(directory: Path) -> Path:
    path = directory / "film.mp4"
    await _ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=s=640x360:r=30:d={SECONDS}", "-f", "lavfi", "-i", f"sine=440:d={SECONDS}",
        "-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path),
    )  # fmt: skip
    return path


async def _encode(gateway: Gateway, asset_id: str, film: Path, work: Path) -> None:
    source = str(film)
    found = await probe(source, limits=LIMITS)
    chunks = await plan_chunks(source, found, chunk_seconds=6, limits=LIMITS)
    assert len(chunks) == 2
    for chunk in chunks:
        out = work / f"chunk-{chunk.index}"
        made = await encode_chunk(
            source, found, chunk, out_dir=out, short_sides=[1080, 720, 360], frames_per_second=1, ocr=None,
            limits=LIMITS, on_progress=_ignore,
        )  # fmt: skip
        for encoded in made.renditions:
            await gateway.add_encoded(asset_id, encoded, out / encoded.name, chunk=chunk.index)
    sound = await encode_sound(source, found, out_dir=work, limits=LIMITS, on_progress=_ignore)
    await gateway.add_encoded(asset_id, sound.renditions[0], work / "audio")


def _ignore(_fraction: float) -> None:
    """Progress that nobody watches."""


async def test_ffmpeg_plays_to_the_end(recording):
    """ffmpeg decodes every frame of picture and all of the sound from the URL as it is printed, also with a start."""
    for url in (recording.url(), recording.url(start_ms=7000)):
        listed = await _ffmpeg("-i", url, "-map", "0:v:0", "-map", "0:a:0", "-ar", "48000", "-f", "framemd5", "-")
        rows = [line.split(",") for line in listed.splitlines() if not line.startswith("#")]
        times = [int(pts) for stream, _, pts, *_ in rows if int(stream) == 0]
        assert [time - times[0] for time in times] == list(range(FRAMES))  # in thirtieths: no frame lost or doubled
        sound_s = sum(int(duration) for stream, _, _, duration, *_ in rows if int(stream) == 1) / 48_000
        assert abs(sound_s - SECONDS) < 0.1


async def test_browser_plays_to_the_end(recording, tmp_path):
    """hls.js plays it from the first to the last frame: no error, one unbroken buffer, nothing skipped."""
    seen = await _play(recording.url(), tmp_path)
    assert seen["outcome"] == "ended", seen
    assert [error for error in seen["errors"] if error["fatal"] or _is_gap(error)] == []
    (buffered,) = seen["buffered"]  # one range: no gap where the chunks meet
    assert buffered[0] < 0.1
    assert abs(buffered[1] - SECONDS) < 0.2
    assert abs(seen["current_time"] - SECONDS) < 0.2
    assert (seen["width"], seen["height"]) == (640, 360)
    assert seen["total_frames"] >= FRAMES * 0.95, seen
    assert seen["dropped_frames"] <= FRAMES * 0.3, seen  # a busy machine drops some; a gap would stop it instead
    print({name: seen[name] for name in ("total_frames", "dropped_frames", "stalls", "errors", "buffered")})


async def test_browser_plays_from_a_moment(recording, tmp_path):
    """The URL of a search hit begins at its moment, not at the beginning."""
    seen = await _play(recording.url(start_ms=8500), tmp_path)
    assert seen["outcome"] == "ended", seen
    assert 8.4 <= seen["started_at"] <= 8.8
    assert min(seen["frame_times"]) >= 8.4


async def test_browser_plays_from_a_directory(local_recording, tmp_path):
    """In local mode the gateway's own byte server plays as the bucket does."""
    seen = await _play(local_recording.url(start_ms=5000), tmp_path)
    assert seen["outcome"] == "ended", seen
    assert 4.9 <= seen["started_at"] <= 5.3
    assert [error for error in seen["errors"] if error["fatal"] or _is_gap(error)] == []
    assert len(seen["buffered"]) == 1


def _is_gap(error: dict[str, Any]) -> bool:
    return error["details"] in (
        "bufferSeekOverHole",
        "bufferNudgeOnStall",
        "bufferAppendError",
        "fragParsingError",
        "fragGap",
    )


async def _play(url: str, directory: Path) -> dict[str, Any]:
    require_modules("hls.js")
    with served_page(FILES) as page:
        async with running_browser(directory, f"{page.url}/?src={quote(url, safe='')}"):
            return await page.next_report()


async def _ffmpeg(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, preexec_fn=end_with_parent,
    )  # fmt: skip
    out, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    assert not problems, problems.decode()
    return out.decode()
