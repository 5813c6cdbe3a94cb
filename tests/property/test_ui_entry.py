"""Number entry, over every sequence of keys: what is shown is what is kept, or it says why not."""

import re

from hypothesis import given
from hypothesis import strategies as st

from appliance.client import BadAmount
from appliance.client.words import UU_PER_U, parse_dose
from ui.presenters.entry import DOSE, GRAMS, Entry
from ui.presenters.numbers import units_bare

KEYS = st.lists(st.sampled_from([*"0123456789", ".", "erase", "clear"]), max_size=40)


@given(KEYS)
def test_sr_01_in_every_state_the_digits_shown_are_a_dose_or_the_beginning_of_one(
    keys: list[str],
) -> None:
    entry = Entry(DOSE)
    for key in keys:
        entry.key(key)
        assert re.fullmatch(r"(0|[1-9][0-9]?)?(\.[0-9]{0,2})?", entry.text)
        assert not entry.text.startswith(".")
        if entry.complete:
            assert parse_dose(entry.text) <= 99_990_000
        else:
            assert entry.text == "" or entry.text.endswith(".")


@given(KEYS)
def test_sr_02_a_key_changes_one_digit_or_nothing_and_then_it_says_why(keys: list[str]) -> None:
    entry = Entry(DOSE)
    for key in keys:
        before = entry.text
        entry.key(key)
        if key in ("erase", "clear"):
            assert before.startswith(entry.text)
        elif entry.said:
            assert entry.text == before
        else:
            grown = {before + key, "0." if key == "." and not before else None}
            grown |= {key} if before == "0" else set()
            assert entry.text in grown


@given(KEYS)
def test_sr_03_a_point_is_kept_or_refused_aloud_and_never_dropped(keys: list[str]) -> None:
    entry = Entry(DOSE)
    for key in keys:
        had = "." in entry.text
        entry.key(key)
        if key == ".":
            assert "." in entry.text
            assert bool(entry.said) == had


@given(st.integers(0, 9_999))
def test_sr_04_what_is_typed_parsed_and_shown_again_is_the_same_amount(hundredths: int) -> None:
    entry = Entry(DOSE)
    for key in f"{hundredths // 100}.{hundredths % 100:02d}":
        entry.key(key)
    amount_uu = parse_dose(entry.text)
    assert amount_uu == hundredths * UU_PER_U // 100
    assert units_bare(amount_uu) == entry.text


@given(KEYS)
def test_a_field_without_decimals_holds_a_whole_number_or_nothing(keys: list[str]) -> None:
    entry = Entry(GRAMS)
    for key in keys:
        entry.key(key)
        assert entry.whole is None if not entry.text else entry.whole == int(entry.text)
        assert "." not in entry.text


@given(st.text(max_size=12))
def test_sr_12_no_other_digit_or_separator_is_a_key(text: str) -> None:
    entry = Entry(DOSE)
    for key in text:
        entry.key(key)
    assert entry.text.isascii()
    try:
        parse_dose(entry.text)
    except BadAmount:
        assert not entry.complete
