"""Still images: what one is, an upright JPEG of it that any browser shows, a small one, and its text; in a child.

Pillow decodes: it knows EXIF orientation with its mirrored forms, colour profiles, palettes and 16 bits, which ffmpeg's
image demuxers leave aside, and HEIC where the package `pillow-heif` is installed.
"""

import io
import urllib.error
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from mediaplane.errors import MediaTooLarge, MediaTruncated, MediaUnreadable, MediaUnsupported
from mediaplane.pipeline.tools.answer import Report, answer
from mediaplane.pipeline.tools.child import Limits, ask
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.results import ImageResult, OcrOptions, Picture, Probe, VideoStream
from mediaplane.pipeline.tools.source import Head, read_head, shown

MAX_BYTES = 512_000_000
MAX_PIXELS = 200_000_000
MAX_SIDE = 65_000  # what a JPEG can hold is 65,535
POSTER_WIDTH = 1280
JPEG_QUALITY = 88
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "GIF")
PAPER = (255, 255, 255)  # behind what is transparent


async def make_pictures(
    source: str, *, out_dir: Path, ocr: OcrOptions | None, limits: Limits, ca_file: str | None = None
) -> ImageResult:
    """Write `picture.jpg` (upright, full size) and `poster.jpg` into `out_dir`, and read the text.

    `debug.jpg` with what was read is written where `ocr` asks for it.

    Raises:
        MediaError: it cannot be decoded.
        StorageError, ToolFailed: for a reason that may pass.
    """
    request = {
        "source": source,
        "out_dir": str(out_dir),
        "ocr": ocr.to_json() if ocr else None,
        "ca_file": ca_file,
    }
    return ImageResult.from_json(await ask("image", request, limits=limits))


def describe_image(source: str, ca_file: str | None, head: Head) -> Probe:
    """Return what the image is, by its header; width and height are those of the upright picture.

    Raises:
        MediaUnreadable, MediaUnsupported, MediaTooLarge: it is none, of no known kind, or too large.
    """
    with _opened(source, ca_file, head) as image:
        width, height = upright_size(image)
        return Probe(
            kind="image",
            container=(image.format or "").lower(),
            duration_ms=None,
            size_bytes=head.size_bytes,
            seekable=False,
            video=VideoStream(
                index=0,
                codec=(image.format or "").lower(),
                width=width,
                height=height,
                rotation=0,
                pixel_format=image.mode.lower(),
                bit_depth=16 if "16" in image.mode else 8,
                hdr="",
                color_matrix=2,
                full_range=True,
                frame_rate=Fraction(1),
                variable_frame_rate=False,
                sample_aspect=Fraction(1),
                time_base=Fraction(1, 1000),
                start_pts=0,
                frame_count=1,
                has_b_frames=False,
            ),
        )


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height as they are shown. Source: Exif 2.32, tag 274: 5 to 8 lie on their side."""
    lies = image.getexif().get(274, 1) in (5, 6, 7, 8) and image.format != "HEIF"
    return image.size[::-1] if lies else image.size


def _work(request: dict[str, Any], _report: Report) -> dict[str, Any]:
    out_dir = Path(request["out_dir"])
    head = read_head(request["source"], request["ca_file"])
    with _opened(request["source"], request["ca_file"], head) as image:
        picture = flatten(image)
    written = [_write(picture, out_dir / "picture.jpg")]
    small = picture.copy()
    small.thumbnail((POSTER_WIDTH, POSTER_WIDTH))
    written.append(_write(small, out_dir / "poster.jpg"))
    lines = _read_text(picture, OcrOptions.from_json(request["ocr"]), out_dir) if request["ocr"] else []
    return ImageResult(picture=written[0], poster=written[1], lines=lines).to_json()


@contextmanager
def _opened(source: str, ca_file: str | None, head: Head) -> Iterator[Image.Image]:
    if head.size_bytes > MAX_BYTES:
        raise MediaTooLarge(f"the image has {head.size_bytes:,} bytes; at most {MAX_BYTES:,} are taken")
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked below, before anything is decoded
    data = read_head(source, ca_file, length=max(1, head.size_bytes)).data
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_known_formats()) as image:
            _check_size(image)
            yield image
    except UnidentifiedImageError as error:
        raise MediaUnsupported(_no_decoder(head)) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, urllib.error.URLError):
            raise
        if "truncated" in str(error) or isinstance(error, EOFError):
            raise MediaTruncated("the image ends too early: send it again") from error
        raise MediaUnreadable(f"{shown(source)} is a broken image: {error}") from error


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _no_decoder(head: Head) -> str:
    if head.data[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
        return "HEIC images need the package pillow-heif: pip install 'mediaplane[heic]'"
    return "this looks like an image, but no decoder knows its kind"


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise MediaTooLarge(
            f"the image has {width} x {height} pixels; at most {MAX_PIXELS:,} and {MAX_SIDE:,} a side are taken"
        )


def flatten(image: Image.Image) -> Image.Image:
    """Return the picture as it is meant to be seen: upright, in sRGB, without transparency, 8 bits a colour."""
    picture = ImageOps.exif_transpose(_in_srgb(_in_8_bits(image)))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, (*PAPER, 255))
        paper.alpha_composite(picture.convert("RGBA"))
        picture = paper
    return picture.convert("RGB")


def _in_8_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image, dtype=np.float64)
    top = 65535.0 if levels.max(initial=0.0) > 255 else 255.0
    scaled = Image.fromarray((np.clip(levels, 0, top) * (255.0 / top)).astype(np.uint8))
    scaled.info = dict(image.info)
    return scaled


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError):
        return image  # a profile that is broken says nothing
    return converted or image


def _write(picture: Image.Image, path: Path) -> Picture:
    picture.save(path, "JPEG", quality=JPEG_QUALITY)
    return Picture(picture.width, picture.height, path.stat().st_size)


def _read_text(picture: Image.Image, options: OcrOptions, out_dir: Path) -> list[Line]:
    from mediaplane.pipeline.tools.debug import draw_lines
    from mediaplane.pipeline.tools.photo import read_photo

    pixels = np.asarray(picture)
    lines = read_photo(pixels, options)
    if options.debug_pictures:
        _write(Image.fromarray(draw_lines(pixels, lines)), out_dir / "debug.jpg")
    return lines


if __name__ == "__main__":
    answer(_work)
