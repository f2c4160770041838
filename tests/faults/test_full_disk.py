"""A full disk is a clear error, and what waited for room goes on once there is some."""

import subprocess
import time

from tests.acceptance.plane import Plane, running_plane
from tests.services.disks import small_disk
from tests.services.recordings import make_recording

QUICK = {"STORAGE_MODE": "local", "OCR_ENGINE": "off", "MEDIAPLANE_RETRY_MINUTES": "0.02,0.05,0.1,0.2,0.5,1"}
WAIT_SECONDS = 240


def test_work_waits_for_room_in_the_store_and_goes_on(tmp_path):
    """Sending a file that has no room says so and leaves nothing; a stage that has none is tried again until it has."""
    recording = make_recording(tmp_path / "page.mp4", [(2.0, ("There is room at last",))])
    large = tmp_path / "large.mp4"
    large.write_bytes(recording.read_bytes() + bytes(1 << 20))
    room = recording.stat().st_size + 12_000  # for the original, and little else
    with (
        small_disk(tmp_path / "disk", str(room)) as disk,
        running_plane(tmp_path / "state", **QUICK, MEDIAPLANE_LOCAL_DIR=str(disk / "media")) as plane,
    ):
        refused = plane.run("ingest", str(large), check=False)
        assert refused.returncode == 1
        assert "disk is full" in refused.stdout + refused.stderr
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        asset_id = plane.json("ingest", str(recording), "--no-wait")["assets"][0]["asset_id"]
        wait_for_complaint(plane, asset_id)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        shown = plane.wait_until_ready(asset_id)
        assert shown["status"] == "ready", shown["error"]


def wait_for_complaint(plane: Plane, asset_id: str) -> None:
    """Wait until a stage has been put back because the disk is full."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        shown = plane.json("show", asset_id)
        assert shown["status"] == "processing", shown
        if any("disk is full" in (stage["error"] or "") for stage in shown["stages"]):
            return
        time.sleep(0.3)
    raise AssertionError(f"no stage says that the disk is full:\n{plane.logs()}")
