"""A picture goes in; its words are found and it is seen: the main job for still images."""

import urllib.request

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.acceptance.plane import running_plane


@pytest.fixture
def notes(tmp_path):
    """Write a photograph of a note, held upright by a phone that stores it lying."""
    page = Image.new("RGB", (900, 500), "white")
    font = ImageFont.load_default(size=40)
    ImageDraw.Draw(page).text((60, 100), "Harbour office closes at noon", fill="black", font=font)
    ImageDraw.Draw(page).text((60, 200), "ask @marina_ops #harbour", fill="black", font=font)
    exif = Image.Exif()
    exif[274] = 6
    page.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "IMG_0001.jpg", quality=92, exif=exif)
    return tmp_path / "IMG_0001.jpg"


def test_picture_goes_in_and_its_words_are_found(notes, tmp_path):
    """It is ready, upright and searchable; its URL shows it; deleting it leaves nothing."""
    media = tmp_path / "media"
    with running_plane(tmp_path / "state", STORAGE_MODE="local", MEDIAPLANE_LOCAL_DIR=str(media)) as plane:
        (ingested,) = plane.json("ingest", str(notes))["assets"]
        assert ingested["status"] == "ready", ingested["error"]
        shown = plane.json("show", ingested["asset_id"])
        assert (shown["kind"], shown["width"], shown["height"], shown["duration_ms"]) == ("image", 900, 500, None)
        by_command = plane.json("url", ingested["asset_id"])["url"]
        for query in ('"office closes"', "harbuor", "#harbour", "@marina_ops", "noon ask"):
            (hit, *_) = plane.json("search", query)["hits"]
            assert hit["asset_id"] == ingested["asset_id"], query
            for url in (hit["frame_url"], hit["playback_url"], by_command):
                with urllib.request.urlopen(url, timeout=10) as answer, Image.open(answer) as picture:
                    assert (picture.format, picture.size) == ("JPEG", (900, 500))
        assert plane.json("ingest", str(notes))["assets"][0]["reused"]
        plane.run("rm", ingested["asset_id"])
        plane.run("doctor")
    assert plane.process.returncode == 0
