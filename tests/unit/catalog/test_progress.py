"""How far an asset is, from its runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mediaplane.catalog.assets import Asset
from mediaplane.catalog.progress import measure
from mediaplane.catalog.runs import StageRun

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGAN = NOW - timedelta(seconds=40)


def asset(status: str = "processing") -> Asset:
    whose = {"asset_id": "a", "owner": "o", "team": "t", "title": "", "kind": "video", "status": status}
    empty = dict.fromkeys(
        ("error_code", "error_message", "digest", "duration_ms", "width", "height", "probe", "ready_at")
    )
    return Asset(**whose, **empty, created_at=BEGAN, updated_at=BEGAN)


def run(stage: str, state: str = "done", chunk: int | None = None, progress: float = 0.0) -> StageRun:
    known = {
        "asset_id": "a",
        "owner": "o",
        "team": "t",
        "subject": "",
        "params": {},
        "inputs_digest": "",
        "outputs": None,
    }
    times = {"created_at": BEGAN, "started_at": None, "finished_at": None, "run_after": BEGAN, "lease_until": None}
    rest = {"priority": 0, "attempt": 1, "token": None, "worker": None, "error_code": None, "error_message": None}
    where = {"run_id": f"{stage}{chunk}", "stage": stage, "chunk": chunk, "state": state, "progress": progress}
    return StageRun(**known, **times, **rest, **where)


def test_share_only_grows():
    """From the first stage to the last the share grows, and is never all of it before the asset is ready."""
    chunks = [run("chunk", "running", 0, 0.5), run("chunk", "queued", 1)]
    steps = [
        [],
        [run("probe", "running", progress=0.5)],
        [run("probe"), run("plan", "running")],
        [run("probe"), run("plan"), *chunks],
        [run("probe"), run("plan"), replace(chunks[0], state="done"), chunks[1]],
        [run("probe"), run("plan"), *(replace(one, state="done") for one in chunks), run("assemble", "running")],
        [
            run("probe"),
            run("plan"),
            *(replace(one, state="done") for one in chunks),
            run("assemble"),
            run("highlights"),
        ],
    ]
    shares = [measure(asset(), past, now=NOW).share for past in steps]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] < 1
    assert measure(asset("ready"), steps[-1], now=NOW).share == 1


def test_stages_at_work_are_named():
    """Those that run and those that wait, each once."""
    past = [run("probe"), run("plan"), run("audio", "running"), run("chunk", "running", 0), run("chunk", "queued", 1)]
    assert measure(asset(), past, now=NOW).stages == ("audio", "chunk")


def test_clips_do_not_count():
    """A clip that is being made says nothing of its asset."""
    past = [run("probe"), replace(run("clip", "queued"), subject="c")]
    assert measure(asset(), past, now=NOW).stages == ()


def test_uploads_have_not_begun():
    """While the bytes are on their way nothing is done."""
    found = measure(asset("uploading"), [], now=NOW)
    assert (found.share, found.stages) == (0, ("upload",))


def test_retry_is_sooner_near_the_end():
    """Who is told to come back later is told so by how fast it went so far, within bounds."""
    early = measure(asset(), [run("probe"), run("plan", "running")], now=NOW).retry_seconds
    late = measure(asset(), [run("probe"), run("plan"), run("chunk", "running", 0, 0.9)], now=NOW).retry_seconds
    assert 2 <= late < early <= 60


def test_image_goes_its_own_way():
    """A picture has no chunks that would have to be waited for."""
    assert measure(asset(), [run("probe"), run("picture", "running", progress=0.5)], now=NOW).share > 0.4
