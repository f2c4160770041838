"""Names of languages: written either way, known by one."""

import pytest

from mediaplane.pipeline.tools.languages import tesseract_name, two_letters


@pytest.mark.parametrize(
    ("written", "short", "long"),
    [
        ("en", "en", "eng"),
        ("eng", "en", "eng"),
        (" DEU ", "de", "deu"),
        ("zh-CN", "zh", "chi_sim"),
        ("chi_tra", "zh-tw", "chi_tra"),
        ("jp", "ja", "jpn"),
        ("script/Latin", "script/latin", "script/Latin"),
        ("tlh", "tlh", "tlh"),
    ],
)
def test_language_is_known_by_either_name(written, short, long):
    """Two letters for the models of the package, tesseract's own name for tesseract."""
    assert (two_letters(written), tesseract_name(written)) == (short, long)
