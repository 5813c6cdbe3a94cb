"""Text to insulin and back: exactly what was typed, or nothing at all."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.domain.units import (
    MicroUnits,
    format_dose,
    format_exact,
    format_rate,
    parse_dose,
    parse_rate,
    parse_reservoir,
)
from appliance.errors import BadAmount

# The shape of SR-01, told without a regular expression: the oracle shares nothing with the parser.
ASCII_DIGITS = "0123456789"

TRAPS = [
    *("1_0", "1__0", "_1", "1_", "0_1.5"),
    *("１２", "１", "1２", "٣", "٠٫٥", "१", "१.५", "𝟙", "①", "²", "½", "Ⅴ", "一", "𝟎.𝟓"),  # noqa: RUF001
    *(" 1.5 ", " 1", "1 ", "1.5\n", "\n1.5", "1\t", "1\r\n", "1\v", "1\x0c", "1\x1f", "\u00a01"),
    *("1\u2003", "1\u2028", "1\u2029", "1\x85", "\ufeff1", "1\u200b", "\u200b1", "1\u200d5"),
    *("\u200f1.5", "1.5\u200e", "\u202e1.5", "\u20661.5\u2069", "1\u061c5"),
    *("1\x00", "\x001", "1\x005", "\x00"),
    *(".5", "5.", ".", "", " ", "..", "1..5", "1.5.0", "0.", "00.", "1.2.3"),
    *("+1", "-1", "-0", "+0", "-0.0", "--1", "1-", "1+1", "\u22121", "\u20131"),
    *("1e1", "1E1", "1e400", "1e-400", "1e", "0x10", "0b1", "0o7", "1f", "1L", "1j", "1.5U"),
    *("nan", "NaN", "inf", "-inf", "Infinity", "sNaN", "None", "True", "null", "1.#INF"),
    *("1,5", "1,50", "1'5", "1;5", "1:5", "1/2", "1·5", "1\u066b5", "1\u20245", "1 5", "5 U", "5U"),
    *("1.234", "0.001", "1.0000", "1.005", "2.675", "0.123456", "1.000", "12.345"),
    *("100", "100.0", "999", "000", "001", "0100", "1000000", "9" * 5_000, "1." + "0" * 99),
    *("1.5\ud800", "\U0001f489", "ten", "a", "1a", "a1", "$1", "%1", "1%", "{1}", "[1]", "(1)"),
]  # fmt: skip


def is_a_dose(text: str, whole_digits: int, decimals: int) -> bool:
    """Say what SR-01 says, character by character."""
    whole, point, part = text.partition(".")
    return (
        1 <= len(whole) <= whole_digits
        and all(one in ASCII_DIGITS for one in text.replace(".", "", 1))
        and (not point or 1 <= len(part) <= decimals)
    )


def in_millionths(text: str) -> int:
    """Read a text of that shape by its digits alone."""
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(6, "0"))


@pytest.mark.parametrize("text", TRAPS, ids=lambda text: ascii(text)[:24])
def test_sr_01_an_input_trap_is_refused_as_a_dose(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_dose(text)


def test_sr_01_there_are_more_than_sixty_traps_and_none_stands_there_twice() -> None:
    assert len(TRAPS) == len(set(TRAPS)) > 60


RATES_ALL_THE_SAME = {"1.234", "0.001", "1.005", "2.675", "1.000", "12.345"}


@pytest.mark.parametrize("text", TRAPS, ids=lambda text: ascii(text)[:24])
def test_sr_01_the_traps_are_traps_for_rates_too_but_for_a_third_decimal(text: str) -> None:
    if text in RATES_ALL_THE_SAME:
        assert parse_rate(text) == in_millionths(text)
    else:
        with pytest.raises(BadAmount):
            parse_rate(text)


@pytest.mark.parametrize(
    "text", [t for t in TRAPS if t not in {"100", "100.0", "999", "000", "001"}],
    ids=lambda text: ascii(text)[:24],
)  # fmt: skip
def test_sr_01_the_traps_are_traps_for_a_reservoir_too_but_for_a_third_digit(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_reservoir(text)


@given(st.text() | st.text(alphabet="0123456789.,_+-eE \n٣１", max_size=8))  # noqa: RUF001
@example("0.29")
@example("2.05")
@example("99.99")
def test_sr_01_a_text_is_read_digit_by_digit_or_refused(text: str) -> None:
    for parse, whole_digits, decimals in (
        (parse_dose, 2, 2),
        (parse_reservoir, 3, 2),
        (parse_rate, 2, 3),
    ):
        if is_a_dose(text, whole_digits, decimals):
            assert parse(text) == in_millionths(text)
        else:
            with pytest.raises(BadAmount):
                parse(text)


def test_sr_04_every_dose_of_the_grid_comes_back_as_it_was_shown() -> None:
    for hundredths in range(10_000):
        shown = f"{hundredths // 100}.{hundredths % 100:02d}"
        amount_uu = parse_dose(shown)
        assert amount_uu == hundredths * 10_000
        assert format_dose(amount_uu) == f"{shown} U"
        assert format_exact(amount_uu) == f"{shown}0000 U"


def test_sr_04_every_rate_of_the_grid_comes_back_as_it_was_shown() -> None:
    for thousandths in range(36_000):
        shown = f"{thousandths // 1000}.{thousandths % 1000:03d}"
        assert parse_rate(shown) == thousandths * 1_000
        assert format_rate(parse_rate(shown)) == f"{shown} U/h"


@pytest.mark.parametrize(
    ("text", "amount_uu"),
    [
        ("0", 0),
        ("1", 1_000_000),
        ("0.1", 100_000),
        ("0.29", 290_000),  # int(0.29 * 100) is 28
        ("2.05", 2_050_000),  # 2.05 / 0.05 is 40.99
        ("01.5", 1_500_000),
        ("00.05", 50_000),
        ("25", 25_000_000),
        ("99.99", 99_990_000),
    ],
)
def test_sr_18_what_floats_get_wrong_is_exact(text: str, amount_uu: int) -> None:
    assert parse_dose(text) == amount_uu


@given(st.integers(-(10**12), 10**12))
def test_what_is_shown_is_never_more_than_there_is(amount_uu: int) -> None:
    shown = format_dose(amount_uu)
    assert re.fullmatch(r"-?[0-9]+\.[0-9]{2} U", shown)
    assert 0 <= abs(amount_uu) - abs(int(shown[:-2].replace(".", ""))) * 10_000 < 10_000


@given(st.integers(-(10**15), 10**15))
def test_the_exact_form_loses_nothing(amount_uu: int) -> None:
    shown = format_exact(amount_uu)
    assert re.fullmatch(r"-?[0-9]+\.[0-9]{6} U", shown)
    assert int(shown[:-2].replace(".", "")) == amount_uu


@pytest.mark.parametrize(
    ("parse", "lowest_to_highest", "what"),
    [
        (parse_dose, "0 to 99.99", "a dose in units"),
        (parse_reservoir, "0 to 999.99", "an amount in units"),
        (parse_rate, "0 to 99.999", "a rate in U/h"),
    ],
)
def test_sr_04_a_refusal_names_the_field_the_value_and_the_range(
    parse: object, lowest_to_highest: str, what: str
) -> None:
    assert callable(parse)
    with pytest.raises(BadAmount) as caught:
        parse("1,5")
    assert "'1,5'" in str(caught.value)
    assert what in str(caught.value)
    assert lowest_to_highest in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 1_000_000, "\u202e" * 1_000_000, "\x00" * 1_000_000])
def test_f40_a_text_of_a_megabyte_is_refused_in_one_short_safe_line(text: str) -> None:
    for parse in (parse_dose, parse_reservoir, parse_rate):
        with pytest.raises(BadAmount) as caught:
            parse(text)
        said = str(caught.value)
        assert len(said) < 400
        assert said.isprintable()


@given(st.text(max_size=60))
def test_f40_whatever_was_typed_the_refusal_can_be_shown(text: str) -> None:
    if is_a_dose(text, 2, 2):
        return
    with pytest.raises(BadAmount) as caught:
        parse_dose(text)
    assert str(caught.value).isprintable()
    str(caught.value).encode("utf-8")


def test_amounts_are_plain_integers() -> None:
    amount_uu: MicroUnits = parse_dose("1.5")
    assert type(amount_uu) is int
    assert type(parse_rate("1.5")) is int
    assert type(parse_reservoir("1.5")) is int
