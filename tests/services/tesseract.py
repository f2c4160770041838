"""The program tesseract, as tests need it; `make services` installs it."""

import os
import shutil

import pytest


def need_tesseract() -> None:
    """Skip where tesseract is not installed; with CI=true that fails."""
    if shutil.which("tesseract"):
        return
    if os.environ.get("CI") == "true":
        pytest.fail("tesseract is not installed: make services")
    pytest.skip("tesseract is not installed: make services")
