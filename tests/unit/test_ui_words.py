"""The words of the touchscreen: complete in every language, and the same numbers in all (SR-12)."""

import io
import re
import sys
from pathlib import Path

import pytest

from ui.words import DOMAIN, LANGUAGES, LOCALE, Words

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
tool = pytest.importorskip("words", reason="NOT RUN: needs babel, of the extra dev")

OTHERS = [language for language in LANGUAGES if language != "en"]


@pytest.fixture(scope="module")
def wanted():
    return tool.wanted()


def po_of(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


@pytest.mark.parametrize("language", OTHERS)
def test_every_word_is_there(language: str, wanted) -> None:
    assert tool.lacking(po_of(language), wanted) == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_compiled_catalogue_says_what_the_readable_one_says(language: str) -> None:
    po = po_of(language)
    assert po.with_suffix(".mo").read_bytes() == tool.compiled(po), "run tools/words.py"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_of_its_message_and_no_other_digits(language: str) -> None:
    from babel.messages.pofile import read_po

    for message in read_po(io.BytesIO(po_of(language).read_bytes()), locale=language):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if not ids[0]:
            continue
        for text in strings:
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", ids[0]))
            assert not re.search(r"\d,\d", text), "a separator of another language"


def test_sr_12_a_sentence_of_the_pump_keeps_its_numbers_to_the_digit() -> None:
    words = Words()
    words.use("de")
    said = words.of_the_pump(
        "the plunger is pushed with 12022 mN (limit 12000); a release lets about 0.37 U go at once,"
        " and that is no dose"
    )
    assert re.findall(r"\d+(?:\.\d+)?", said) == ["12022", "12000", "0.37"]
    assert said.startswith("der Kolben")


def test_a_sentence_that_no_catalogue_has_stays_as_it_came() -> None:
    words = Words()
    words.use("de")
    assert words.of_the_pump("pin 17 said 3.5 things") == "pin 17 said 3.5 things"


def test_a_language_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="language = 'xx' must be one of en, de"):
        Words().use("xx")
