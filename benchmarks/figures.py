"""How figures are told and how ours and a peer take turns, for every benchmark."""

import json
import os
import resource
import statistics
from collections.abc import Callable


def report(
    name: str,
    *,
    ours: float | None,
    unit: str,
    runs: int,
    peer: float | None = None,
    peer_name: str | None = None,
    value: float | None = None,
) -> None:
    """Print one figure; where it is not said, the value is ours ÷ the peer's, or ours alone."""
    if value is None and ours is not None:
        value = ours / peer if peer else ours
    figure = {"name": name, "value": _short(value), "ours": _short(ours), "peer": _short(peer), "peer_name": peer_name}
    print(json.dumps({**figure, "unit": unit, "runs": runs}), flush=True)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def alternate(runs: int, ours: Callable[[], float], peer: Callable[[], float]) -> tuple[float, float]:
    """Return the medians of both, measured in turns, so that what disturbs disturbs both."""
    pairs = [(ours(), peer()) for _ in range(runs)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def spent_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def tree_seconds(pid: int) -> float:
    """Return the processor seconds of a process, its living descendants, and all of theirs that have ended."""
    import psutil

    total = 0.0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return total
    for member in members:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def single_threaded() -> None:
    """Have numeric libraries use one thread, as the pipeline's children do."""
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    import cv2

    cv2.setNumThreads(1)
