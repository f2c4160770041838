"""Who can read which language: the models of the wheel `rapidocr`, and tesseract's data. Nothing is loaded here."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mediaplane.errors import SettingInvalid
from mediaplane.pipeline.tools.child import child_environment
from mediaplane.pipeline.tools.languages import tesseract_name, two_letters

TESSERACT = "tesseract"
DETECTION_MODEL = "PP-OCRv6_det_small.onnx"
RECOGNITION_MODEL = "PP-OCRv6_rec_small.onnx"

# What the recognition model of the wheel reads. Source: default_models.yaml of rapidocr 3.10.0, `ppocrv6_langs`.
LATIN = frozenset(
    re.findall(
        r"\w+",
        "af az bs ca cs cy da de en es et eu fi fr ga gl hr hu id is it ku la lb lt lv"
        " mi ms mt nl no oc pl pt qu rm ro sk sl sq sv sw tl tr uz vi",
    )
)
EAST_ASIAN = frozenset({"zh", "zh-tw", "ja"})


def check_engine(name: str, languages: Sequence[str], model_dir: Path | None = None) -> None:
    """Check that the engine is there and reads every language, without loading anything.

    Raises:
        SettingInvalid: there is no such engine, or nothing reads one of the languages; it says what to do.
    """
    if name == "tesseract":
        check_tesseract(languages)
    elif name == "rapidocr":
        check_languages(languages, model_dir)
    else:
        raise SettingInvalid("OCR_ENGINE", f"there is no engine {name!r}: use rapidocr or tesseract")


def check_languages(languages: Sequence[str], model_dir: Path | None = None) -> None:
    """Check that rapidocr's models read every language, without loading anything.

    Raises:
        SettingInvalid: no model reads one of them.
    """
    for language in languages:
        recognition_model(language, model_dir)


def language_of(text: str, languages: Sequence[str]) -> str:
    """Return which of `languages` a text is in, as far as its script tells."""
    known = [two_letters(language) for language in languages]
    if any("\u3040" <= char <= "\u30ff" for char in text) and "ja" in known:
        return "ja"
    if any("\u4e00" <= char <= "\u9fff" for char in text):
        return next((language for language in known if language in EAST_ASIAN), "zh")
    return next((language for language in known if language not in EAST_ASIAN), "en")


def recognition_model(language: str, model_dir: Path | None) -> Path:
    """Return the model that reads a language.

    Raises:
        SettingInvalid: none does.
    """
    code = two_letters(language)
    if model_dir is not None and (found := sorted(model_dir.glob(f"{code}_*.onnx"))):
        return found[0]
    if code in LATIN or code in EAST_ASIAN:
        return packaged_model(RECOGNITION_MODEL)
    allowed = ", ".join(sorted(LATIN | EAST_ASIAN))
    place = "" if model_dir is None else f", and {model_dir} has no {code}_….onnx"
    raise SettingInvalid("OCR_LANGUAGES", f"no model reads {language!r}{place}; the package reads {allowed}")


@cache
def packaged_model(name: str) -> Path:
    """Find a model in the wheel without importing it: that would take two seconds.

    Raises:
        SettingInvalid: it is not there.
    """
    spec = find_spec("rapidocr")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise SettingInvalid(
        "OCR_ENGINE", f"the model {name} is not in the installed package rapidocr: install rapidocr 3.10.0"
    )


def check_tesseract(languages: Sequence[str]) -> None:
    """Check that tesseract is there and has data for every language.

    Raises:
        SettingInvalid: one of them is missing; it says how to install it.
    """
    there = installed_languages()
    for language in languages or ("en",):
        name = tesseract_name(language)
        if name not in there:
            package = f"tesseract-ocr-{name.replace('_', '-').lower()}"
            raise SettingInvalid(
                "OCR_LANGUAGES",
                f"tesseract has no data for {language!r} ({name}.traineddata): install it (Debian: apt-get install "
                f"{package}) or point TESSDATA_PREFIX at it; it has {', '.join(sorted(there)) or 'none'}",
            )


def tesseract_path() -> str:
    """Return the path of the program.

    Raises:
        SettingInvalid: it is not installed.
    """
    path = shutil.which(TESSERACT)
    if path is None:
        raise SettingInvalid(
            "OCR_ENGINE",
            "there is no program tesseract on the PATH: install it (Debian: apt-get install tesseract-ocr), "
            "or use rapidocr, which comes with mediaplane",
        )
    return path


@cache
def installed_languages() -> frozenset[str]:
    """Return the names of the data that tesseract finds.

    Raises:
        SettingInvalid: it is not installed, or does not start.
    """
    command = [tesseract_path(), "--list-langs"]
    listed = subprocess.run(command, capture_output=True, text=True, env=child_environment(), check=False)
    if listed.returncode:
        raise SettingInvalid("OCR_ENGINE", f"{command[0]} does not start: {listed.stderr.strip()[-300:]}")
    return frozenset(line.strip() for line in listed.stdout.splitlines()[1:])
