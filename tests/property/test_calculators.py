"""What every calculator promises, whatever it is given."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.calculator import INCREMENT_UU, Inputs, benchpump
from appliance.domain.calculators import CALCULATORS

U = 1_000_000
STEP_UU = {"tandem": 10_000, "medtronic": 10_000, "oref0": 10_000, "nightscout": 10_000}


@st.composite
def inputs(draw: st.DrawFn) -> Inputs:
    target = draw(st.integers(60, 250))
    bolus_iob = draw(st.integers(0, 10 * U))
    glucose = draw(st.none() | st.integers(20, 600))
    return Inputs(
        carbs_g=draw(st.integers(0, 200)),
        glucose_mg_dl=glucose,
        trend_mg_dl_per_5_min=0 if glucose is None else draw(st.integers(-50, 50)),
        ratio_mg_per_u=draw(st.integers(1_000, 150_000)),
        sensitivity_mg_dl_per_u=draw(st.integers(1, 400)),
        target_mg_dl=target,
        low_mg_dl=draw(st.none() | st.integers(60, target)),
        high_mg_dl=draw(st.none() | st.integers(target, 250)),
        bolus_iob_uu=bolus_iob,
        meal_iob_uu=draw(st.integers(0, bolus_iob)),
        basal_iob_uu=draw(st.integers(-3 * U, 3 * U)),
        reverse=draw(st.booleans()),
    )


each = pytest.mark.parametrize("name", list(CALCULATORS))
some = settings(max_examples=settings.default.max_examples // 4)


@each
@some
@given(inputs())
def test_a_proposal_is_never_negative_and_its_lines_add_up(name: str, one: Inputs) -> None:
    found = CALCULATORS[name](one)
    assert found.total_uu >= 0
    assert sum(line.amount_uu for line in found.lines) == found.total_uu
    assert found.total_uu % STEP_UU.get(name, INCREMENT_UU) == 0
    assert found.total_uu == 0 or found.carbs_needed_g == 0
    assert not (found.refused and found.lines)


@each
@some
@given(inputs(), st.integers(1, 50))
def test_more_food_never_means_less_insulin(name: str, one: Inputs, more_g: int) -> None:
    less, more = (
        CALCULATORS[name](one),
        CALCULATORS[name](replace(one, carbs_g=one.carbs_g + more_g)),
    )
    assert more.total_uu >= less.total_uu


@each
@some
@given(inputs(), st.integers(1, 5 * U))
def test_more_on_board_never_means_more_insulin(name: str, one: Inputs, more_uu: int) -> None:
    fuller = replace(one, bolus_iob_uu=one.bolus_iob_uu + more_uu)
    assert CALCULATORS[name](fuller).total_uu <= CALCULATORS[name](one).total_uu


@given(inputs())
def test_benchpump_rounds_down_by_less_than_one_increment(one: Inputs) -> None:
    found = benchpump(one)
    rounded = found.of("rounding")
    assert -INCREMENT_UU < rounded <= 0
    if one.iob_uu >= 0:
        raw = found.of("food") + found.of("correction") + found.of("trend") - one.iob_uu
        assert found.total_uu == max(0, raw) // INCREMENT_UU * INCREMENT_UU


@given(inputs(), st.integers(1, 100))
def test_a_higher_glucose_never_means_less_from_benchpump(one: Inputs, more: int) -> None:
    if one.glucose_mg_dl is None:
        return
    higher = replace(one, glucose_mg_dl=min(600, one.glucose_mg_dl + more))
    assert benchpump(higher).total_uu >= benchpump(one).total_uu


@given(inputs())
def test_the_carbs_that_are_needed_bring_the_sum_back_to_0_and_a_gram_less_does_not(
    one: Inputs,
) -> None:
    needed = benchpump(one).carbs_needed_g
    if needed and one.carbs_g + needed <= 250:
        enough = replace(one, carbs_g=one.carbs_g + needed)
        assert benchpump(enough).carbs_needed_g == 0
        assert benchpump(replace(enough, carbs_g=enough.carbs_g - 1)).carbs_needed_g > 0


@given(inputs())
def test_reverse_correction_only_ever_lowers_a_dose(one: Inputs) -> None:
    on, off = (benchpump(replace(one, reverse=reverse)) for reverse in (True, False))
    assert on.total_uu <= off.total_uu
