"""`mediaplane highlights` as it is called."""

import pytest
from typer.testing import CliRunner

from mediaplane.cli.app import app


@pytest.mark.parametrize("words", [("--number", "1"), ("--style", "vertical")])
def test_what_says_what_is_cut_needs_something_to_be_cut(words: tuple[str, str]):
    """Without `--cut` it would be left aside without a word."""
    told = CliRunner().invoke(app, ["highlights", "a1", *words])
    assert told.exit_code == 2
    assert "give --cut too" in " ".join(told.stderr.split())
