"""The calculators, on cases worked by hand. Unless said: 10 g/U, 50 mg/dL per U, target 100."""

from fractions import Fraction

import pytest

from appliance.domain.calculator import (
    FLOOR,
    FORECAST,
    IOB,
    LIMIT,
    ROUNDING,
    Inputs,
    Line,
    Sum,
    benchpump,
    ratio_words,
)
from appliance.domain.calculators import CALCULATORS
from appliance.domain.calculators.aaps import aaps
from appliance.domain.calculators.loop import CURVE, loop, recommended_u
from appliance.domain.calculators.medtronic import medtronic
from appliance.domain.calculators.nightscout import nightscout
from appliance.domain.calculators.omnipod import omnipod
from appliance.domain.calculators.oref0 import oref0, temporary_uu_per_h
from appliance.domain.calculators.tandem import tandem
from appliance.domain.forecast import forecast
from appliance.domain.insulin import Exponential, Linear
from appliance.errors import BadInputs

U = 1_000_000


def inputs(**given: object) -> Inputs:
    usual = {"ratio_mg_per_u": 10_000, "sensitivity_mg_dl_per_u": 50, "target_mg_dl": 100}
    return Inputs(**usual | {"bolus_iob_uu": 0} | given)


def told(found: Sum) -> list[tuple[str, int]]:
    assert found.refused == ""
    assert all(line.amount_uu.denominator == 1 for line in found.lines)
    return [(line.name, int(line.amount_uu)) for line in found.lines]


# --- Benchpump's own ------------------------------------------------------------------------------


def test_food_and_a_correction_less_what_is_on_board() -> None:
    # 45/10 = 4.5; (180 - 100)/50 = 1.6; 4.5 + 1.6 - 1.2 = 4.9
    found = benchpump(inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=1_200_000))
    assert told(found) == [("food", 4_500_000), ("correction", 1_600_000), ("on board", -1_200_000)]
    assert (found.total_uu, found.carbs_needed_g) == (4_900_000, 0)


def test_a_trend_counts_for_a_quarter_of_an_hour() -> None:
    # 6 mg/dL in 5 min is 18 in 15 min: 18/50 = 0.36; 1.6 + 0.36 = 1.96, down to 1.95
    found = benchpump(inputs(glucose_mg_dl=180, trend_mg_dl_per_5_min=6))
    assert told(found) == [
        *(("food", 0), ("correction", 1_600_000), ("trend", 360_000), ("on board", 0)),
        (ROUNDING, -10_000),
    ]
    assert found.total_uu == 1_950_000


def test_thirds_add_up_before_anything_is_rounded() -> None:
    # 10 g / 3 g/U = 3 1/3; (102 - 100)/3 = 2/3; 4 exactly, and not 3.95
    found = benchpump(
        inputs(carbs_g=10, glucose_mg_dl=102, ratio_mg_per_u=3_000, sensitivity_mg_dl_per_u=3)
    )
    assert [line.amount_uu for line in found.lines] == [Fraction(10 * U, 3), Fraction(2 * U, 3), 0]
    assert found.total_uu == 4 * U


def test_a_dose_is_rounded_down_to_the_pumps_increment() -> None:
    # 14/10 = 1.4; 19/10 = 1.9; 9 g / 7.5 g/U = 1.2; 44 g / 45 g/U = 0.977.., down to 0.95
    cases = {(14, 10_000): 1.4, (19, 10_000): 1.9, (9, 7_500): 1.2, (44, 45_000): 0.95}
    for (carbs_g, ratio_mg_per_u), total_u in cases.items():
        found = benchpump(inputs(carbs_g=carbs_g, ratio_mg_per_u=ratio_mg_per_u))
        assert found.total_uu == round(total_u * U)


def test_a_low_glucose_takes_off_from_food_unless_reverse_correction_is_off() -> None:
    # 30/10 = 3; (60 - 100)/50 = -0.8; trend -10: -30/50 = -0.6; 3 - 0.8 - 0.6 = 1.6
    low = {"carbs_g": 30, "glucose_mg_dl": 60, "trend_mg_dl_per_5_min": -10}
    found = benchpump(inputs(**low))
    assert told(found)[1:3] == [("correction", -800_000), ("trend", -600_000)]
    assert found.total_uu == 1_600_000
    off = benchpump(inputs(**low, reverse=False))
    assert told(off) == [("food", 3 * U), ("correction", 0), ("trend", 0), ("on board", 0)]
    assert off.notes == ("reverse correction is off: glucose takes nothing off",)


def test_without_reverse_a_falling_trend_takes_off_from_a_correction_and_not_from_food() -> None:
    # (120 - 100)/50 = 0.4; trend -10: -0.6, of which 0.4 counts; food 3
    found = benchpump(
        inputs(carbs_g=30, glucose_mg_dl=120, trend_mg_dl_per_5_min=-10, reverse=False)
    )
    assert told(found)[1:3] == [("correction", 400_000), ("trend", -400_000)]
    assert found.total_uu == 3 * U


def test_below_nothing_there_is_no_dose_but_carbs_that_are_needed() -> None:
    # (60 - 100)/50 = -0.8; -0.8 - 0.55 = -1.35; 1.35 * 10 = 13.5 g, up to 14
    found = benchpump(inputs(glucose_mg_dl=60, bolus_iob_uu=550_000))
    assert told(found)[-1] == (FLOOR, 1_350_000)
    assert (found.total_uu, found.carbs_needed_g) == (0, 14)


def test_withheld_basal_takes_off_less_and_never_adds() -> None:
    # on board: 1.2 - 0.5 = 0.7; and 0.3 - 0.5 is nothing, not a reason for more
    some = benchpump(inputs(carbs_g=20, bolus_iob_uu=1_200_000, basal_iob_uu=-500_000))
    none = benchpump(inputs(carbs_g=20, bolus_iob_uu=300_000, basal_iob_uu=-500_000))
    assert (some.of(IOB), some.total_uu) == (-700_000, 1_300_000)
    assert (none.of(IOB), none.total_uu) == (0, 2 * U)


def test_a_temporary_rate_on_board_counts_like_a_bolus() -> None:
    # 2 - (0.4 + 0.3) = 1.3
    found = benchpump(inputs(carbs_g=20, bolus_iob_uu=400_000, basal_iob_uu=300_000))
    assert found.total_uu == 1_300_000


def test_an_old_glucose_is_refused_with_its_age_and_what_is_allowed() -> None:
    fresh = benchpump(inputs(glucose_mg_dl=180, glucose_age_s=900))
    old = benchpump(inputs(glucose_mg_dl=180, glucose_age_s=901, carbs_g=45))
    assert fresh.total_uu == 1_600_000
    assert old == Sum(
        "benchpump",
        refused="glucose_age_s = 901: the glucose is 15 min old, at most 15 min is taken",
    )


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"carbs_g": 251}, "carbs_g = 251: 0 to 250"),
        ({"carbs_g": -1}, "carbs_g = -1: 0 to 250"),
        ({"carbs_g": 4.5}, "carbs_g = 4.5: a whole number"),
        ({"carbs_g": True}, "carbs_g = True: a whole number"),
        ({"glucose_mg_dl": 19}, "glucose_mg_dl = 19: 20 to 600"),
        ({"glucose_mg_dl": 601}, "glucose_mg_dl = 601: 20 to 600"),
        ({"glucose_mg_dl": 99, "glucose_age_s": -1}, "glucose_age_s = -1: 0 to 86400"),
        ({"glucose_mg_dl": 99, "trend_mg_dl_per_5_min": 51}, "min = 51: -50 to 50"),
        ({"ratio_mg_per_u": 999}, "ratio_mg_per_u = 999: 1000 to 150000"),
        ({"ratio_mg_per_u": 0}, "ratio_mg_per_u = 0: 1000 to 150000"),
        ({"sensitivity_mg_dl_per_u": 0}, "sensitivity_mg_dl_per_u = 0: 1 to 400"),
        ({"target_mg_dl": 59}, "target_mg_dl = 59: 60 to 250"),
        ({"bolus_iob_uu": -1}, "bolus_iob_uu = -1: 0 to 100000000"),
        ({"basal_iob_uu": -50_000_001}, "basal_iob_uu = -50000001: -50000000 to 100000000"),
        ({"meal_iob_uu": 5}, "meal_iob_uu = 5: up to bolus_iob_uu = 0"),
        ({"low_mg_dl": 120}, "low_mg_dl = 120: up to high_mg_dl = 100"),
        ({"trend_mg_dl_per_5_min": 5}, "glucose_mg_dl is missing"),
        ({"max_bolus_uu": -1}, "max_bolus_uu = -1: 0 to 100000000"),
    ],
)
def test_an_input_out_of_range_is_refused_with_field_value_and_range(
    given: dict[str, object], fault: str
) -> None:
    with pytest.raises(BadInputs) as refused:
        inputs(**given)
    assert len(refused.value.faults) == 1
    assert fault in refused.value.faults[0]


def test_every_wrong_input_is_named_at_once() -> None:
    with pytest.raises(BadInputs) as refused:
        inputs(carbs_g=999, glucose_mg_dl=5, target_mg_dl=300)
    assert len(refused.value.faults) == 3


def test_lines_that_do_not_add_up_to_the_total_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        Sum("x", (Line("food", Fraction(3)),), 2)
    with pytest.raises(ValueError, match="do not add up"):
        Sum("x", (Line("food", Fraction(-3)),), -3)


def test_a_ratio_is_written_as_it_is() -> None:
    assert [ratio_words(one) for one in (10_000, 7_500, 12_345, 1_050)] == [
        *("10 g/U", "7.5 g/U", "12.345 g/U", "1.05 g/U")
    ]


# --- Tandem ---------------------------------------------------------------------------------------


def test_tandem_takes_what_is_on_board_off_the_correction_alone() -> None:
    # 45/10 = 4.5; (180 - 100)/50 = 1.6; max(0, 1.6 - 2) = 0; 4.5
    found = tandem(inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=2 * U))
    assert told(found) == [("food", 4_500_000), ("correction", 1_600_000), (IOB, -1_600_000)]
    assert found.total_uu == 4_500_000


def test_tandem_takes_all_of_it_off_below_the_target() -> None:
    # 3 - 0.8 - 0.5 = 1.7; and 0.5 - 0.8 - 0.5 is 0
    low = {"glucose_mg_dl": 60, "bolus_iob_uu": 500_000}
    assert tandem(inputs(carbs_g=30, **low)).total_uu == 1_700_000
    assert tandem(inputs(carbs_g=5, **low)).total_uu == 0


def test_tandem_rounds_each_part_to_a_hundredth_half_up() -> None:
    # 10/7 = 1.4285.. -> 1.43; (131 - 100)/40 = 0.775 -> 0.78; on board 0.125 -> 0.13; 2.08
    found = tandem(
        inputs(
            carbs_g=10,
            glucose_mg_dl=131,
            ratio_mg_per_u=7_000,
            sensitivity_mg_dl_per_u=40,
            bolus_iob_uu=125_000,
        )
    )
    assert told(found) == [("food", 1_430_000), ("correction", 780_000), (IOB, -130_000)]


def test_tandem_ignores_a_glucose_that_is_old_or_out_of_its_range_and_then_what_is_on_board() -> (
    None
):
    for glucose in ({"glucose_mg_dl": 401}, {"glucose_mg_dl": 39}, {}):
        assert tandem(inputs(carbs_g=45, bolus_iob_uu=U, **glucose)).total_uu == 4_500_000
    old = tandem(inputs(carbs_g=45, bolus_iob_uu=U, glucose_mg_dl=180, glucose_age_s=901))
    assert old.total_uu == 4_500_000
    assert "glucose ignored: beyond 40 to 400 mg/dL, or older than 15 min" in old.notes


# --- Omnipod --------------------------------------------------------------------------------------


def test_omnipod_uses_up_what_was_given_for_food_before_what_corrected() -> None:
    # 4.5; 1.6; meal IOB 1 -> 0.6 left to correct; correction IOB 1.2 -> 0, 0.6 of it over;
    # 4.5 - 0.6 = 3.9
    found = omnipod(
        inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=2_200_000, meal_iob_uu=1_000_000)
    )
    assert told(found) == [
        *(("food", 4_500_000), ("correction", 1_600_000)),
        *((IOB, -1_000_000), (IOB, -600_000), (IOB, -600_000)),
    ]
    assert found.total_uu == 3_900_000


def test_omnipod_never_takes_what_was_given_for_food_off_food() -> None:
    # 1.6 - 2 is 0; 4.5
    found = omnipod(inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=2 * U, meal_iob_uu=2 * U))
    assert found.total_uu == 4_500_000


def test_omnipod_rounds_what_is_on_board_up_and_the_dose_down() -> None:
    # on board 1.01 -> 1.05; 1.6 - 1.05 = 0.55; food 1.29; 1.84 -> 1.80
    found = omnipod(
        inputs(carbs_g=129, ratio_mg_per_u=100_000, glucose_mg_dl=180, bolus_iob_uu=1_010_000)
    )
    assert found.of(IOB) == -1_050_000
    assert found.total_uu == 1_800_000


def test_omnipod_corrects_above_its_threshold_down_to_the_target() -> None:
    # correct above 140: at 140 nothing, at 141 (141 - 100)/50 = 0.82 -> 0.80
    assert omnipod(inputs(glucose_mg_dl=140, high_mg_dl=140)).total_uu == 0
    assert omnipod(inputs(glucose_mg_dl=141, high_mg_dl=140)).total_uu == 800_000


def test_omnipod_takes_a_low_glucose_off_food_where_reverse_correction_is_on() -> None:
    # 3 + (60 - 100)/50 = 2.2; 0.5 - 0.8 is 0
    assert omnipod(inputs(carbs_g=30, glucose_mg_dl=60, bolus_iob_uu=U)).total_uu == 2_200_000
    assert omnipod(inputs(carbs_g=5, glucose_mg_dl=60)).total_uu == 0
    assert omnipod(inputs(carbs_g=30, glucose_mg_dl=60, reverse=False)).total_uu == 3 * U


def test_omnipod_ignores_what_is_on_board_without_a_glucose_and_refuses_a_very_low_one() -> None:
    assert omnipod(inputs(carbs_g=45, bolus_iob_uu=U)).total_uu == 4_500_000
    assert omnipod(inputs(carbs_g=45, glucose_mg_dl=49)).refused.startswith("glucose_mg_dl = 49")


# --- Medtronic ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glucose_mg_dl", "total_uu"),
    [
        (180, 4_500_000 + 800_000 - 500_000),  # (180 - 140)/50 = 0.8, less 0.5
        (150, 4_500_000),  # (150 - 140)/50 = 0.2 - 0.5 is 0
        (140, 4_500_000),
        (90, 4_500_000),
        (60, 4_500_000 - 600_000),  # (60 - 90)/50 = -0.6; what is on board is not subtracted
    ],
)
def test_medtronic_corrects_to_the_nearer_end_of_its_range(
    glucose_mg_dl: int, total_uu: int
) -> None:
    found = medtronic(
        inputs(
            carbs_g=45,
            glucose_mg_dl=glucose_mg_dl,
            low_mg_dl=90,
            high_mg_dl=140,
            bolus_iob_uu=U // 2,
        )
    )
    assert found.total_uu == total_uu


def test_medtronic_uses_a_glucose_for_12_min() -> None:
    ages = {age: medtronic(inputs(glucose_mg_dl=200, glucose_age_s=age)) for age in (720, 721)}
    assert [one.total_uu for one in ages.values()] == [2 * U, 0]
    assert "glucose ignored: older than 12 min" in ages[721].notes


# --- AAPS -----------------------------------------------------------------------------------------


def test_aaps_adds_every_part_and_rounds_to_the_nearest_step() -> None:
    # (180 - 120)/50 = 1.2; trend 5: 15/50 = 0.3; 43/10 = 4.3; on board 1.1 - 0.27 = 0.83; 4.97
    found = aaps(
        inputs(
            carbs_g=43,
            glucose_mg_dl=180,
            trend_mg_dl_per_5_min=5,
            low_mg_dl=90,
            high_mg_dl=120,
            bolus_iob_uu=1_100_000,
            basal_iob_uu=-270_000,
        )
    )
    assert told(found) == [
        *(("food", 4_300_000), ("correction", 1_200_000), ("trend", 300_000), (IOB, -830_000)),
        (ROUNDING, -20_000),
    ]
    # 0.025 is half a step: up; 0.02 is less: down
    halves = [aaps(inputs(carbs_g=1, ratio_mg_per_u=one)).total_uu for one in (40_000, 50_000)]
    assert halves == [50_000, 0]


def test_aaps_corrects_nothing_within_its_range_and_up_from_below() -> None:
    one = {"low_mg_dl": 90, "high_mg_dl": 120, "carbs_g": 30}
    totals = [aaps(inputs(glucose_mg_dl=bg, **one)).total_uu for bg in (90, 120, 70)]
    assert totals == [3 * U, 3 * U, 2_600_000]  # (70 - 90)/50 = -0.4


def test_aaps_lets_withheld_basal_add() -> None:
    # 3 + 0.5
    assert aaps(inputs(carbs_g=30, basal_iob_uu=-500_000)).total_uu == 3_500_000


def test_aaps_tells_the_carbs_that_are_needed() -> None:
    # (100 - 100)/50 - 2 = -2; 2 * 10 = 20 g
    found = aaps(inputs(glucose_mg_dl=100, bolus_iob_uu=2 * U))
    assert (found.total_uu, found.carbs_needed_g) == (0, 20)


# --- Loop -----------------------------------------------------------------------------------------

LINEAR = Linear(240)


def loops(predicted: list[tuple[int, float]]) -> tuple[float, str]:
    return recommended_u(
        predicted,
        LINEAR,
        threshold_mg_dl=80,
        range_mg_dl=(90, 110),
        sensitivity_mg_dl_per_u=50,
    )


def test_loop_takes_the_smallest_dose_that_any_point_of_the_forecast_allows() -> None:
    # at 240 min: (200 - 100)/50 = 2. At 120 min half has acted, the target is still 80:
    # (120 - 80)/25 = 1.6. At 180 min 3/4 has acted, the target is 80 + 20 * 0.5 = 90:
    # (150 - 90)/37.5 = 1.6. At 60 min: (150 - 80)/12.5 = 5.6
    units, why = loops([(0, 150), (60, 150), (120, 120), (180, 150), (240, 200)])
    assert units == pytest.approx(1.6, abs=1e-9)
    assert why == "above the range"
    assert loops([(0, 150), (60, 150), (120, 150), (180, 200), (240, 200)])[0] == pytest.approx(2)


def test_loop_gives_nothing_where_the_forecast_is_low_or_ends_in_range() -> None:
    assert loops([(0, 150), (120, 79), (240, 300)]) == (
        0,
        "79 mg/dL is below the suspend threshold",
    )
    assert loops([(0, 100), (120, 85), (240, 85)]) == (0, "below the range")
    assert loops([(0, 300), (120, 200), (240, 110)]) == (0, "in the range")


def test_loop_meets_the_plain_sum_where_the_end_of_the_forecast_decides() -> None:
    # ends at 180 + 225 - 60 = 345: (345 - 100)/50 = 4.9
    found = loop(inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=1_200_000))
    assert told(found) == [(FORECAST, 4_900_000)]
    assert found.total_uu == 4_900_000


def test_loop_gives_nothing_where_what_is_on_board_leads_too_low() -> None:
    # 100 - 2 * 50 = 0 is below 70
    assert loop(inputs(glucose_mg_dl=100, bolus_iob_uu=2 * U)).total_uu == 0


def test_loop_keeps_to_the_limit_for_one_bolus() -> None:
    found = loop(inputs(carbs_g=45, glucose_mg_dl=180, max_bolus_uu=3 * U))
    assert [line.name for line in found.lines] == [FORECAST, LIMIT]
    assert found.total_uu == 3 * U


def test_loops_forecast_reaches_to_the_end_of_the_action() -> None:
    predicted = forecast(inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=1_200_000), CURVE)
    assert (predicted[0], predicted[-1]) == ((0, 180), (370, pytest.approx(345)))
    assert [t for t, _ in predicted] == list(range(0, 375, 5))


def test_a_forecast_by_hand() -> None:
    # after 60 min: 180 + 15 (trend 5, for 15 min) + 225/3 - 60 * (1 - left(60))
    given = inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=1_200_000, trend_mg_dl_per_5_min=5)
    curve = Exponential(360, 75)
    at_60 = dict(forecast(given, curve))[60]
    assert at_60 == pytest.approx(180 + 15 + 75 - 60 * (1 - curve.left(60)), abs=1e-9)
    with pytest.raises(ValueError, match="needs a glucose"):
        forecast(inputs(carbs_g=45), curve)


# --- oref0 ----------------------------------------------------------------------------------------


def test_oref0_requires_what_brings_the_lowest_forecast_to_the_target() -> None:
    # no food, nothing on board: 180 for ever; (180 - 100)/50 = 1.6
    assert told(oref0(inputs(glucose_mg_dl=180))) == [(FORECAST, 1_600_000)]
    # food raises it evenly: at 90 min 180 + 225/2 = 292.5, which rounds to 292; 192/50 = 3.84
    assert oref0(inputs(carbs_g=45, glucose_mg_dl=180)).total_uu == 3_840_000
    # 180 - 1 * 50 = 130 in the end: 30/50
    assert oref0(inputs(glucose_mg_dl=180, bolus_iob_uu=U)).total_uu == 600_000


def test_oref0_aims_at_the_middle_of_its_range() -> None:
    # (180 - 105)/50
    found = oref0(inputs(glucose_mg_dl=180, low_mg_dl=90, high_mg_dl=120))
    assert found.total_uu == 1_500_000


def test_oref0_keeps_to_its_limit_of_insulin_on_board() -> None:
    # 130 - 100 is 0.6, room 1.5 - 1 = 0.5; without room, nothing
    some = oref0(inputs(glucose_mg_dl=180, bolus_iob_uu=U, max_iob_uu=1_500_000))
    none = oref0(inputs(glucose_mg_dl=180, bolus_iob_uu=U, max_iob_uu=900_000))
    assert told(some) == [(FORECAST, 600_000), (LIMIT, -100_000)]
    assert none.total_uu == 0


def test_oref0s_temporary_rate_is_the_schedule_and_twice_what_is_required() -> None:
    # 0.8 + 2 * 0.5 = 1.8; at most 3 * 0.8 = 2.4; 0.8 - 2 * 0.3 = 0.2; never below 0
    required = [Fraction(one) for one in (500_000, 3_000_000, -300_000, -900_000)]
    assert [temporary_uu_per_h(800_000, one) for one in required] == [
        *(1_800_000, 2_400_000, 200_000, 0)
    ]
    noted = oref0(inputs(glucose_mg_dl=125, basal_uu_per_h=800_000)).notes
    assert "as a temporary basal: 1.800 U/h for 30 min" in noted


# --- Nightscout -----------------------------------------------------------------------------------


def test_nightscout_brings_the_outcome_into_the_range() -> None:
    # 250 - 1 * 50 = 200; (200 - 120)/50 = 1.6
    one = {"low_mg_dl": 80, "high_mg_dl": 120}
    found = nightscout(inputs(glucose_mg_dl=250, bolus_iob_uu=U, **one))
    assert found.total_uu == 1_600_000
    assert nightscout(inputs(glucose_mg_dl=110, **one)).total_uu == 0
    # 100 - 50 = 50; (80 - 50)/50 = 0.6 too much: 6 g
    low = nightscout(inputs(glucose_mg_dl=100, bolus_iob_uu=U, **one))
    assert (low.total_uu, low.carbs_needed_g) == (0, 6)


def test_nightscout_hints_at_a_temporary_basal() -> None:
    # 0.3 U on 1 U/h: 30 min (0.5 + 0.3)/0.5 = 160 %, 1 h 1.3/1 = 130 %
    found = nightscout(inputs(glucose_mg_dl=115, basal_uu_per_h=U))
    assert "as a temporary basal: 160 % for 30 min, or 130 % for 1 h" in found.notes


def test_nightscout_refuses_a_glucose_that_is_missing_very_low_or_old() -> None:
    assert nightscout(inputs(carbs_g=5)).refused == "glucose_mg_dl is missing: it needs one"
    assert nightscout(inputs(glucose_mg_dl=39)).refused == "glucose_mg_dl = 39: from 40 on"
    assert "11 min" in nightscout(inputs(glucose_mg_dl=90, glucose_age_s=660)).refused


# --- side by side ---------------------------------------------------------------------------------


def test_the_calculators_differ_where_more_is_on_board_than_the_correction_needs() -> None:
    # 45 g, 180 mg/dL, 2.5 U on board: food 4.5, correction 1.6
    given = inputs(carbs_g=45, glucose_mg_dl=180, bolus_iob_uu=2_500_000)
    assert {name: compute(given).total_uu for name, compute in CALCULATORS.items()} == {
        "benchpump": 3_600_000,  # 4.5 + 1.6 - 2.5
        "tandem": 4_500_000,  # the correction alone gives way
        "omnipod": 3_600_000,  # what is left of it, 0.9, comes off the food
        "medtronic": 4_500_000,
        "loop": 3_600_000,  # the end of the forecast: 180 + 225 - 125 = 280; 180/50
        "oref0": oref0(given).total_uu,  # the forecast after 90 min, worked by its own tests
        "aaps": 3_600_000,
        "nightscout": 0,  # 180 - 125 = 55: 0.9 U too much already
    }


@pytest.mark.parametrize("name", ["loop", "oref0", "nightscout"])
def test_those_that_look_ahead_refuse_without_a_glucose(name: str) -> None:
    assert CALCULATORS[name](inputs(carbs_g=45)).refused == "glucose_mg_dl is missing: it needs one"
