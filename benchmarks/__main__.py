"""`make bench`: one JSON line a figure. Each is minutes of processor time, so they can be chosen.

    make bench                                     # the quick ones
    make bench ARGS='--only all'                   # everything, well over an hour on two cores
    make bench ARGS='--only ocr_cpu,plain --runs 1'

A name chooses every figure that begins with it.
"""

import argparse
from importlib import import_module

from benchmarks.figures import single_threaded

# What prints which figures: module and function; all but `main` take the number of runs. Quick ones first.
BENCHES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("presign_get_us",), "signing", "main"),
    (("playlist_1000_ms",), "playlist", "main"),
    (("up_seconds",), "ingest", "run_up"),
    (("clip_bytes",), "clip", "run"),
    (("ocr_cpu", "ocr_found"), "ocr", "run_text"),
    (("ocr_follows_change",), "ocr", "run_change"),
    (("plain_cpu", "plain_found"), "plain", "run_text"),
    (("pictures_cpu",), "plain", "run_pictures"),
    (("ingest_wall", "ingest_cpu"), "ingest", "run_ingest"),
    (("first_minute",), "ingest", "run_first_minute"),
    (("two_workers",), "ingest", "run_two_workers"),
    (("worker_mb", "api_mb", "children_mb"), "ingest", "run_memory"),
    (("search_word_p95", "search_two_words_p95", "search_phrase_p95", "search_typo_p95"), "search", "run_bench"),
)
QUICK = "presign,playlist"


def main() -> None:
    """Run the chosen ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join(name for names, _, _ in BENCHES for name in names)
    parser.add_argument("--only", default=QUICK, help=f"beginnings of names, or all; there are {known}")
    parser.add_argument("--runs", type=int, default=3, help="how often ours and the peer take turns")
    given = parser.parse_args()
    wanted = tuple(given.only.split(","))
    chosen = [entry for entry in BENCHES if given.only == "all" or any(name.startswith(wanted) for name in entry[0])]
    if not chosen:
        parser.error(f"no figure begins with {given.only}: there are {known}")
    single_threaded()
    for _, module, function in chosen:
        bench = getattr(import_module(f"benchmarks.{module}"), function)
        bench() if function == "main" else bench(given.runs)


if __name__ == "__main__":
    main()
