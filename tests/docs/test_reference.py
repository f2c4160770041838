"""The reference page says what the code is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_reference_is_what_the_code_says():
    """Every setting, error code, stage and command has its line on the page; `make reference` writes it."""
    finished = subprocess.run([sys.executable, "scripts/reference.py", "--check"], cwd=ROOT, check=False)
    assert finished.returncode == 0, "run `make reference`"
