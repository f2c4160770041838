"""`make bench`: the quick benchmarks, one JSON line a figure; `benchmarks/search.py` and `ocr_demo.py` take options."""

from benchmarks import playlist, signing

if __name__ == "__main__":
    signing.main()
    playlist.main()
