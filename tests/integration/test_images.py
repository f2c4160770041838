"""Still images of every kind become an upright JPEG, a small one, and their text; broken ones say what is wrong."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mediaplane import errors
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.image import make_pictures
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import OcrOptions

LIMITS = Limits(seconds=120, address_space_mb=8192, output_mb=1024)
CORNERS = ((200, 30, 30), (30, 160, 30), (30, 30, 200), (220, 200, 40))  # top left, top right, bottom left, right


def corners() -> Image.Image:
    """Return a picture of 96 x 64 with a colour in each quarter."""
    picture = Image.new("RGB", (96, 64))
    draw = ImageDraw.Draw(picture)
    for number, colour in enumerate(CORNERS):
        x, y = number % 2 * 48, number // 2 * 32
        draw.rectangle((x, y, x + 47, y + 31), fill=colour)
    return picture


def seen(path: Path) -> list[tuple[int, ...]]:
    """Return the colours in the middle of the four quarters."""
    with Image.open(path) as picture:
        width, height = picture.size
        places = [(x, y) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
        return [picture.getpixel(place) for place in places]


async def assert_whole(source: Path, tmp_path: Path) -> None:
    """The four colours are where they belong, in the picture and in the poster."""
    found = await probe(str(source), limits=LIMITS)
    assert (found.kind, found.duration_ms) == ("image", None)
    assert found.video is not None
    assert (found.video.width, found.video.height) == (96, 64)
    made = await make_pictures(str(source), out_dir=tmp_path, ocr=None, limits=LIMITS)
    assert (made.picture.width, made.picture.height, made.lines) == (96, 64, [])
    for name in ("picture.jpg", "poster.jpg"):
        assert np.allclose(seen(tmp_path / name), CORNERS, atol=12), name


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "HEIF"])
async def test_image_of_every_kind_whatever_its_name(tmp_path, kind):
    """The first bytes tell what it is."""
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    corners().save(tmp_path / "video.mp4", kind, quality=95)
    await assert_whole(tmp_path / "video.mp4", tmp_path)


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "I;16", "L", "1", "LA"])
async def test_image_of_every_mode(tmp_path, mode):
    """Palettes, print colours, 16 bits and transparency come out as they are meant to be seen."""
    picture = corners()
    kind = "TIFF" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        levels = np.asarray(picture.convert("L"), np.uint16) * 257
        Image.fromarray(levels).save(tmp_path / "a", kind)
    else:
        picture.convert(mode).save(tmp_path / "a", kind)
    made = await make_pictures(str(tmp_path / "a"), out_dir=tmp_path, ocr=None, limits=LIMITS)
    assert (made.picture.width, made.picture.height) == (96, 64)
    wanted = picture.convert("1" if mode == "1" else "RGB" if mode in ("P", "CMYK", "RGBA") else "L").convert("RGB")
    wanted.save(tmp_path / "wanted.png")
    tolerance = 255 if mode == "1" else 30
    assert np.allclose(seen(tmp_path / "picture.jpg"), seen(tmp_path / "wanted.png"), atol=tolerance)


async def test_transparent_parts_are_white(tmp_path):
    """Black text on nothing can be read."""
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "a.png")
    await make_pictures(str(tmp_path / "a.png"), out_dir=tmp_path, ocr=None, limits=LIMITS)
    assert seen(tmp_path / "picture.jpg") == [(255, 255, 255)] * 4


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_photograph_held_in_any_way_is_upright(tmp_path, orientation):
    """All eight orientations of Exif, the mirrored ones too."""
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = corners()
    for turn in turns.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "photo.jpg", quality=95, exif=exif)
    await assert_whole(tmp_path / "photo.jpg", tmp_path)


def linear_profile() -> bytes:
    """Return a colour profile with the primaries of sRGB and values linear in light. Source: ICC.1:2010, clause 7."""

    def xyz(*numbers: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(number * 65536) for number in numbers))

    tags = {
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + bytes(8)),
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    rest = bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + rest + table + body


async def test_colours_of_another_profile_are_those_of_srgb(tmp_path):
    """Values linear in light are brightened; a profile that is broken says nothing."""
    middle = Image.new("RGB", (64, 64), (55, 55, 55))  # a fifth of the light
    for profile, wanted in ((linear_profile(), 128), (b"no profile", 55), (None, 55)):
        middle.save(tmp_path / "a.png", icc_profile=profile)
        await make_pictures(str(tmp_path / "a.png"), out_dir=tmp_path, ocr=None, limits=LIMITS)
        assert np.allclose(seen(tmp_path / "picture.jpg"), [(wanted,) * 3] * 4, atol=4)


async def test_rows_of_a_long_screenshot_are_read_once_each(tmp_path):
    """It is read in pieces that share a strip; no row is lost, doubled or cut where they meet."""
    picture = Image.new("RGB", (640, 2900), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=26)
    wanted = [f"Row {number:02} costs {number * 7}.50 EUR" for number in range(28)]
    for number, row in enumerate(wanted):
        draw.text((30, 2000 + number * 32), row, fill="black", font=font)
    picture.save(tmp_path / "shot.png")
    made = await make_pictures(str(tmp_path / "shot.png"), out_dir=tmp_path, ocr=OcrOptions("rapidocr"), limits=LIMITS)
    assert [line.text for line in made.lines] == wanted
    assert all((line.t_start_ms, line.frame_ms) == (0, 0) for line in made.lines)
    assert all(abs(line.box[1] - 2000 - number * 32) < 24 for number, line in enumerate(made.lines))


async def test_text_on_a_page_that_lies_askew_is_read(tmp_path):
    """As photographs of notes are; what was seen is drawn where it is asked for."""
    page = Image.new("RGB", (1000, 600), (240, 236, 225))
    font = ImageFont.load_default(size=40)
    ImageDraw.Draw(page).text((120, 200), "Harbour office closes early", fill=(30, 30, 40), font=font)
    page.rotate(9, fillcolor=(200, 200, 200), expand=True).save(tmp_path / "notes.jpg")
    options = OcrOptions("rapidocr", debug_pictures=True)
    made = await make_pictures(str(tmp_path / "notes.jpg"), out_dir=tmp_path, ocr=options, limits=LIMITS)
    assert [line.text for line in made.lines] == ["Harbour office closes early"]
    assert (tmp_path / "debug.jpg").read_bytes() != (tmp_path / "picture.jpg").read_bytes()


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG of gray pixels whose data may be anything."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (png(20_000, 20_000, zlib.compress(bytes(1000))), errors.MediaTooLarge),
        (png(100_000, 10, zlib.compress(bytes(1000))), errors.MediaTooLarge),
        (png(64, 64, b"no deflate"), errors.MediaUnreadable),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish" * 20, errors.MediaError),
        (b"\xff\xd8\xff" + b"rubbish" * 20, errors.MediaError),
        (b"\0\0\0\x18ftypheic" + b"rubbish" * 20, errors.MediaError),
    ],
)
async def test_broken_image_says_what_is_wrong(tmp_path, data, error):
    """An error of the media, which is not tried again."""
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(error) as caught:
        await make_pictures(str(tmp_path / "a.png"), out_dir=tmp_path, ocr=None, limits=LIMITS)
    assert not caught.value.retryable
    assert len(caught.value.message.split()) > 3


async def test_image_that_was_cut_off_is_truncated(tmp_path):
    """Half a JPEG is no picture."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(errors.MediaTruncated):
        await make_pictures(str(tmp_path / "half.jpg"), out_dir=tmp_path, ocr=None, limits=LIMITS)
