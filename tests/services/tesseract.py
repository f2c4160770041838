"""The program tesseract, as tests need it; `make services` installs it."""

import shutil

from tests.services.missing import give_up


def need_tesseract() -> None:
    """Skip where tesseract is not installed; with CI=true that fails."""
    if not shutil.which("tesseract"):
        give_up("tesseract is not installed: make services")
