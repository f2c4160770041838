"""HDR looks as bright as the picture it was made from, wherever it is seen; interlaced frames are whole."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.poster import make_poster
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Chunk, OcrOptions
from mediaplane.pipeline.tools.tone import to_sdr
from tests.services import made_media as media

LIMITS = Limits(seconds=120, address_space_mb=8192, output_mb=1024)
# A page in a lit room: gray walls, a white paper with text, a red and a green mark. White is 203 cd/m² in the HDR.
SCENE = (
    "color=c=0x808080:s=640x360:r=10:d=2,drawbox=x=160:y=60:w=320:h=240:c=white:t=fill,"
    "drawbox=x=200:y=120:w=240:h=12:c=black:t=fill,drawbox=x=20:y=20:w=100:h=100:c=0xC03030:t=fill,"
    "drawbox=x=520:y=220:w=100:h=100:c=0x309040:t=fill,format=yuv444p"
)
TO_HDR = (
    "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited,zscale=transfer=linear:npl=203,"
    "format=gbrpf32le,zscale=primaries=bt2020,zscale=transfer={transfer}:matrix=bt2020nc:range=limited:npl=203,"
    "format=yuv420p10le"
)
TRANSFERS = {"pq": "smpte2084", "hlg": "arib-std-b67"}


def make_scene(path: Path) -> Path:
    media.ffmpeg("-f", "lavfi", "-i", SCENE, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", path)
    return path


def make_hdr(path: Path, hdr: str) -> Path:
    colours = ["-color_primaries", "bt2020", "-color_trc", TRANSFERS[hdr], "-colorspace", "bt2020nc"]
    encode = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "12", "-x265-params", "log-level=none"]
    filters = TO_HDR.format(transfer=TRANSFERS[hdr])
    media.ffmpeg("-f", "lavfi", "-i", SCENE, "-vf", filters, *encode, *colours, "-tag:v", "hvc1", path)
    return path


def first_rgb(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)


async def shown(source: Path, out_dir: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return what a viewer sees of a source: first frame of the playlist, first keyframe, poster."""
    found = await probe(str(source), limits=LIMITS)
    out_dir.mkdir()
    result = await encode_chunk(
        str(source), found, Chunk(0, 0, None, None, None), out_dir=out_dir, short_sides=[360], frames_per_second=1,
        ocr=OcrOptions("rapidocr"), limits=LIMITS, on_progress=lambda _: None,
    )  # fmt: skip
    (rendition,) = result.renditions
    parts = [rendition.init_file, *(segment.file for segment in rendition.segments)]
    joined = out_dir / "joined.mp4"
    joined.write_bytes(b"".join((out_dir / rendition.name / part).read_bytes() for part in parts))
    await make_poster(str(source), found, out_dir / "poster.jpg", limits=LIMITS)
    pictures = {"playlist": joined, "poster": out_dir / "poster.jpg"}
    if result.frames:
        pictures["frame"] = out_dir / "frames" / f"{result.frames[0]}.jpg"
    return {name: first_rgb(path) for name, path in pictures.items()}


@pytest.mark.parametrize("hdr", ["pq", "hlg"])
async def test_hdr_is_as_bright_as_the_scene(tmp_path, hdr):
    """Mean brightness stays within 12% of the picture it was made from, grays stay gray, colours are not washed out."""
    source = make_hdr(tmp_path / "hdr.mp4", hdr)
    found = await probe(str(source), limits=LIMITS)
    assert found.video is not None
    assert (found.video.hdr, found.video.bit_depth) == (hdr, 10)
    wanted = first_rgb(make_scene(tmp_path / "plain.mp4"))
    untouched = first_rgb(source)
    for name, seen in (await shown(source, tmp_path / "out")).items():
        assert seen.shape == wanted.shape
        assert seen.mean() == pytest.approx(wanted.mean(), rel=0.12), name
        wall, red = seen[340, 300], seen[70, 70]
        assert np.ptp(wall) < 8, (name, "gray stays gray")
        assert red[0] - red[1:].max() > 0.75 * (wanted[70, 70][0] - wanted[70, 70][1:].max()), (name, "red stays red")
        washed_out = untouched[70, 70]
        assert red[0] - red[1:].max() > washed_out[0] - washed_out[1:].max(), name


@pytest.mark.parametrize("hdr", ["pq", "hlg"])
async def test_poster_of_hdr_looks_like_the_playlist(tmp_path, hdr):
    """The same mapping, once by ffmpeg and once by numpy."""
    seen = await shown(make_hdr(tmp_path / "hdr.mp4", hdr), tmp_path / "out")
    assert np.abs(seen["poster"] - seen["playlist"]).mean() < 6


def test_tone_mapping_keeps_black_gray_and_order():
    """Black stays black, grays stay gray, brighter light is never darker."""
    ramp = np.repeat(np.linspace(0, 65535, 200).astype(np.uint16)[None, :, None], 3, axis=2)
    for hdr in ("pq", "hlg"):
        mapped = to_sdr(ramp, hdr).astype(int)
        assert mapped[0, 0].tolist() == [0, 0, 0]
        assert np.ptp(mapped, axis=2).max() <= 1
        assert (np.diff(mapped[0, :, 0]) >= 0).all()
        assert mapped.max() >= 235


async def test_interlaced_frames_are_whole(tmp_path):
    """A moving edge has no comb, and every frame keeps its time."""
    moving = "color=black:s=320x240:r=50:d=3[b];color=white:s=40x240:r=50:d=3[w];[b][w]overlay=x='n*4':y=0"
    interlaced = ["-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ildct+ilme", "-field_order", "tt"]
    source = tmp_path / "interlaced.mp4"
    media.ffmpeg("-f", "lavfi", "-i", moving, *interlaced, "-c:v", "mpeg2video", "-q:v", "2", source)
    found = await probe(str(source), limits=LIMITS)
    assert found.video is not None
    assert found.video.interlaced
    seen = await shown(source, tmp_path / "out")
    for name in ("playlist", "poster"):
        luma = seen[name].mean(axis=2)
        combs = np.abs(luma[1:-1:2] - (luma[:-2:2] + luma[2::2]) / 2).max(initial=0)
        assert combs < 60, name
    with av.open(str(source)) as container:
        wanted = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None]
    with av.open(str(tmp_path / "out" / "joined.mp4")) as container:
        times = sorted(
            float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None
        )
    assert np.allclose(np.diff(times), np.diff(sorted(wanted)), atol=0.001)
    assert len(times) == len(wanted)
