"""`make bench`: one JSON line a figure. Each is minutes of processor time, so they can be chosen.

    make bench                                     # the quick ones
    make bench ARGS='--only all'                   # everything, well over an hour on two cores
    make bench ARGS='--only ocr_cpu,plain --runs 1'
    make bench ARGS='--only ingest --runs 1 --seconds 60'      # with shorter recordings than the figure's own

A name chooses every figure that begins with it.
"""

import argparse
from importlib import import_module

from benchmarks.figures import single_threaded

# What prints which figures: module, function, and seconds of its recordings where their length can be chosen. All but
# `main` take the number of runs, and the seconds where there are any. Quick ones first.
BENCHES: tuple[tuple[tuple[str, ...], str, str, int | None], ...] = (
    (("presign_get_us",), "signing", "main", None),
    (("playlist_1000_ms",), "playlist", "main", None),
    (("up_seconds",), "ingest", "run_up", None),
    (("clip_bytes",), "clip", "run", None),
    (("ocr_cpu", "ocr_found"), "ocr", "run_text", 60),
    (("ocr_follows_change",), "ocr", "run_change", 30),
    (("plain_cpu", "plain_found"), "plain", "run_text", 60),
    (("pictures_cpu",), "plain", "run_pictures", 60),
    (("ingest_wall", "ingest_cpu"), "ingest", "run_ingest", 300),
    (("first_minute",), "ingest", "run_first_minute", 600),
    (("two_workers",), "ingest", "run_two_workers", 120),
    (("worker_mb", "api_mb", "children_mb"), "ingest", "run_memory", None),
    (
        ("search_word_p95", "search_two_words_p95", "search_phrase_p95", "search_typo_p95"),
        "search", "run_bench", None,
    ),
)  # fmt: skip
QUICK = "presign,playlist"


def main() -> None:
    """Run the chosen ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join(name for names, *_ in BENCHES for name in names)
    parser.add_argument("--only", default=QUICK, help=f"beginnings of names, or all; there are {known}")
    parser.add_argument("--runs", type=int, default=3, help="how often ours and the peer take turns")
    parser.add_argument("--seconds", type=int, help="length of recordings, where it can be chosen, instead of its own")
    given = parser.parse_args()
    wanted = tuple(given.only.split(","))
    chosen = [entry for entry in BENCHES if given.only == "all" or any(name.startswith(wanted) for name in entry[0])]
    if not chosen:
        parser.error(f"no figure begins with {given.only}: there are {known}")
    single_threaded()
    for _, module, function, seconds in chosen:
        bench = getattr(import_module(f"benchmarks.{module}"), function)
        if function == "main":
            bench()
        elif seconds is None:
            bench(given.runs)
        else:
            bench(given.runs, given.seconds or seconds)


if __name__ == "__main__":
    main()
