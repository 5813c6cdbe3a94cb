"""Insulin curves: what every model promises, where the two fits differ, and the check values."""

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.domain.insulin import (
    DEFAULT_MODEL,
    MODELS,
    PRESETS,
    Bilinear,
    Curve,
    Exponential,
    Linear,
    Walsh,
    curve_of,
    integral,
)
from appliance.errors import BadCurve

EXACT: list[Curve] = [
    *PRESETS.values(),
    Exponential(360, 75, 10),
    Exponential(480, 50),
    Exponential(300, 120),
    Exponential(720, 359),  # a hair below half the duration
    Exponential(60, 5),
    Linear(120),
    Linear(240),
    Linear(360),
]
BILINEAR: list[Curve] = [Bilinear(180), Bilinear(300), Bilinear(450)]
WALSH: list[Curve] = [Walsh(hours * 60, delay) for hours in (3, 4, 5, 6) for delay in (0, 10)]
WALSH += [Walsh(270, 10), Walsh(150), Walsh(480)]
ALL = EXACT + BILINEAR + WALSH

each = pytest.mark.parametrize("curve", ALL, ids=repr)
exactly = pytest.mark.parametrize("curve", EXACT, ids=repr)


def every_half_minute(curve: Curve) -> list[float]:
    return [half / 2 for half in range(2 * curve.end_min + 1)]


# --- what every curve promises --------------------------------------------------------------------


@each
def test_all_of_a_dose_is_left_at_once_and_nothing_from_the_end_on(curve: Curve) -> None:
    assert curve.left(0) == 1
    assert curve.left(-1) == 1
    assert [curve.left(curve.end_min + more) for more in (0, 1e-9, 0.5, 1e6)] == [0, 0, 0, 0]


@each
def test_what_is_left_stays_between_nothing_and_all_and_activity_is_never_negative(
    curve: Curve,
) -> None:
    times = every_half_minute(curve)
    assert all(0 <= curve.left(t) <= 1 for t in times)
    assert all(curve.activity(t) >= 0 for t in times)
    assert [curve.activity(t) for t in (-1, 0, curve.end_min, curve.end_min + 1)] == [0, 0, 0, 0]


@exactly
def test_what_is_left_never_rises(curve: Curve) -> None:
    left = [curve.left(t) for t in every_half_minute(curve)]
    # 1e-11: what is left of a double's digits where the peak is a hair below half the duration.
    assert all(after <= before + 1e-11 for before, after in pairwise(left))


def test_the_two_fits_rise_by_no_more_than_their_formulas_do() -> None:
    for curve, most in [(one, 4e-4) for one in BILINEAR] + [(one, 2.5e-3) for one in WALSH]:
        left = [curve.left(t) for t in range(curve.end_min + 1)]
        lowest = 1.0
        for share in left[1:]:
            assert share <= lowest + most, curve
            lowest = min(lowest, share)


@exactly
def test_the_activity_is_how_fast_what_is_left_shrinks(curve: Curve) -> None:
    for t in every_half_minute(curve)[1:-1]:
        if min(abs(t - corner) for corner in (0, 10, curve.end_min)) < 0.5:
            continue  # a corner has no slope
        slope = (curve.left(t - 0.02) - curve.left(t + 0.02)) / 0.04
        assert curve.activity(t) == pytest.approx(slope, abs=1e-6), t


@pytest.mark.parametrize("curve", WALSH, ids=repr)
def test_walshs_activity_is_the_slope_of_its_polynomial_where_that_falls(curve: Curve) -> None:
    for t in range(31, curve.end_min - 15):
        slope = (curve.left(t - 1e-3) - curve.left(t + 1e-3)) / 2e-3
        assert curve.activity(t) == pytest.approx(max(0.0, slope), abs=1e-6), t


def area(curve: Curve) -> float:
    """The midpoint rule, which shares nothing with the product's own."""
    return sum(curve.activity(t + 0.25) for t in (n / 2 for n in range(2 * curve.end_min))) / 2


@pytest.mark.parametrize("curve", EXACT + BILINEAR, ids=repr)
def test_the_area_under_the_activity_is_one(curve: Curve) -> None:
    assert area(curve) == pytest.approx(1, abs=5e-4)


@pytest.mark.parametrize("curve", WALSH, ids=repr)
def test_the_area_under_walshs_activity_lacks_what_its_fit_lacks_at_both_ends(curve: Curve) -> None:
    assert area(curve) == pytest.approx(1, abs=0.015)


def test_what_is_left_by_the_bilinear_fit_is_up_to_3_percent_below_its_triangle() -> None:
    curve = Bilinear(180)
    short = [1 - _acted(t) - curve.left(t) for t in range(1, 180)]
    assert 0.027 < max(short) < 0.0285
    assert min(short) > -2e-3


def _acted(t_min: float) -> float:
    """The triangle's own integral: 75 min up, 105 min down, height 2/180."""
    if t_min < 75:
        return t_min * t_min / 75 / 180
    return 1 - (180 - t_min) ** 2 / 105 / 180


# --- the exponential model ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("curve", "t_min", "left"),
    [
        (Exponential(360, 75), 108, 0.5110493617156),
        (Exponential(360, 65), 82, 0.6002510111374046),
        (Exponential(360, 75, 10), 118, 0.5110493617156),
        (PRESETS["rapid"], 108, 0.5110493617156),
        (PRESETS["child"], 82, 0.6002510111374046),
    ],
)
def test_the_check_values_hold_to_1e_9(curve: Curve, t_min: int, left: float) -> None:
    assert abs(curve.left(t_min) - left) < 1e-12


@given(duration=st.integers(60, 720), peak=st.integers(5, 359), t=st.integers(1, 719))
def test_the_exponential_is_its_published_formula(duration: int, peak: int, t: int) -> None:
    assume(2 * peak < duration and t < duration and duration - 2 * peak > duration // 20)
    tau = peak * (1 - peak / duration) / (1 - 2 * peak / duration)
    a = 2 * tau / duration
    s = 1 / (1 - a + (1 + a) * math.exp(-duration / tau))
    bracket = t**2 / (tau * duration * (1 - a)) - t / tau - 1
    left = 1 - s * (1 - a) * (bracket * math.exp(-t / tau) + 1)
    assert Exponential(duration, peak).left(t) == pytest.approx(left, abs=1e-9)


@pytest.mark.parametrize("curve", [*PRESETS.values(), Exponential(480, 100, 10)], ids=repr)
def test_the_activity_is_greatest_exactly_at_the_peak(curve: Exponential) -> None:
    peak = curve.peak_min + curve.delay_min
    assert curve.activity(peak) > curve.activity(peak - 0.01)
    assert curve.activity(peak) > curve.activity(peak + 0.01)


@given(duration=st.integers(60, 720), peak=st.integers(5, 359), t=st.floats(0, 800))
def test_any_possible_exponential_gives_a_share(duration: int, peak: int, t: float) -> None:
    assume(2 * peak < duration)
    curve = Exponential(duration, peak)
    assert 0 <= curve.left(t) <= 1
    assert curve.activity(t) >= 0


def test_during_the_delay_a_dose_counts_in_full() -> None:
    plain, later = Exponential(360, 75), Exponential(360, 75, 10)
    assert later.left(10) == 1
    assert later.end_min == 370
    assert [later.left(t + 10) for t in range(361)] == [plain.left(t) for t in range(361)]
    assert later.activity(9) == 0


# --- the other models -----------------------------------------------------------------------------


def test_the_bilinear_fit_by_hand() -> None:
    curve = Bilinear(180)
    # x = 30: n = 7, 1 - 0.001852 * 49 + 0.001852 * 7 = 1 - 0.077784
    assert curve.left(30) == pytest.approx(0.922216, abs=1e-12)
    # x = 100: n = 5, 0.001323 * 25 - 0.054233 * 5 + 0.55556 = 0.033075 - 0.271165 + 0.55556
    assert curve.left(100) == pytest.approx(0.31747, abs=1e-12)
    # five hours: t = 50 is x = 30
    assert Bilinear(300).left(50) == pytest.approx(0.922216, abs=1e-12)
    # the triangle: 2/180 at its peak, half of that at x = 37.5 and at x = 127.5
    assert [curve.activity(t) for t in (75, 37.5, 127.5)] == pytest.approx(
        [1 / 90, 1 / 180, 1 / 180]
    )


def test_walshs_fits_by_hand() -> None:
    # m = 100, the 4 h fit: -0.0331 + 0.253 - 0.551 - 0.09086 + 0.9995
    assert Walsh(240).left(100) == pytest.approx(0.57754, abs=1e-12)
    # m = 100, the 3 h fit: -0.3203 + 1.354 - 1.759 + 0.09255 + 0.99951
    assert Walsh(180).left(100) == pytest.approx(0.36676, abs=1e-12)
    # m = 200, the 5 h fit: -0.472 + 1.856 - 2.22 + 0.0898 + 0.993
    assert Walsh(300).left(200) == pytest.approx(0.2468, abs=1e-12)
    # m = 200, the 6 h fit: -0.23888 + 1.1304 - 1.638 + 0.1273 + 0.997
    assert Walsh(360, 10).left(210) == pytest.approx(0.37782, abs=1e-12)


def test_walsh_takes_the_nearest_fit_and_stretches_it() -> None:
    hours = {150: 3, 180: 3, 209: 3, 210: 4, 240: 4, 269: 4, 270: 5, 330: 6, 360: 6, 480: 6, 60: 3}
    assert {minutes: Walsh(minutes).model_h for minutes in hours} == hours
    assert Walsh(480).left(200) == pytest.approx(Walsh(360).left(150), abs=1e-12)


def test_the_linear_curve_loses_the_same_share_in_every_minute() -> None:
    assert [Linear(240).left(t) for t in (0, 60, 120, 180, 240)] == [1, 0.75, 0.5, 0.25, 0]


@each
def test_the_integral_is_the_area_under_what_is_left(curve: Curve) -> None:
    fine = sum(curve.left(t + 0.25) for t in (n / 2 for n in range(2 * curve.end_min))) / 2
    assert integral(curve, 0, curve.end_min) == pytest.approx(fine, abs=0.01)
    assert integral(curve, 0, curve.end_min + 500) == integral(curve, 0, curve.end_min)
    parts = integral(curve, 0, 33.3) + integral(curve, 33.3, curve.end_min)
    assert parts == pytest.approx(fine, abs=0.01)
    assert integral(curve, curve.end_min, curve.end_min + 60) == 0


# --- names, and what cannot be --------------------------------------------------------------------


def test_every_name_gives_a_curve() -> None:
    assert DEFAULT_MODEL in MODELS
    assert curve_of("rapid") == Exponential(360, 75)
    assert curve_of("rapid", duration_min=300, peak_min=60, delay_min=10) == Exponential(
        300, 60, 10
    )
    assert curve_of("exponential", duration_min=360, peak_min=75) == Exponential(360, 75)
    assert curve_of("bilinear", duration_min=180) == Bilinear(180)
    assert curve_of("walsh", duration_min=240, delay_min=10) == Walsh(240, 10)
    assert curve_of("linear", duration_min=240) == Linear(240)
    assert [curve_of(name) for name in PRESETS] == list(PRESETS.values())


@pytest.mark.parametrize(
    ("model", "numbers", "faults"),
    [
        ("exponential", (360, 180, 0), ["peak_min = 180: 5 to 179, below half the duration"]),
        ("exponential", (360, 200, 0), ["peak_min = 200: 5 to 179, below half the duration"]),
        ("rapid", (None, 180, None), ["peak_min = 180: 5 to 179, below half the duration"]),
        ("rapid", (120, None, None), ["peak_min = 75: 5 to 59, below half the duration"]),
        ("exponential", (361, 181, 0), ["peak_min = 181: 5 to 180, below half the duration"]),
        ("exponential", (360, 0, 0), ["peak_min = 0: 5 to 179, below half the duration"]),
        ("exponential", (360, -5, 0), ["peak_min = -5: 5 to 179, below half the duration"]),
        ("exponential", (0, 75, 31), ["duration_min = 0: 60 to 720", "delay_min = 31: 0 to 30"]),
        ("exponential", (360, None, None), ["peak_min is missing: exponential needs it"]),
        ("bilinear", (179, None, None), ["duration_min = 179: 180 to 720"]),
        ("bilinear", (300, 75, None), ["peak_min = 75: bilinear has none"]),
        ("walsh", (721, None, -1), ["duration_min = 721: 60 to 720", "delay_min = -1: 0 to 30"]),
        ("linear", (None, None, None), ["duration_min is missing: linear needs it"]),
        ("linear", (59, None, None), ["duration_min = 59: 60 to 720"]),
        ("linear", (240, None, 10), ["delay_min = 10: linear has none"]),
    ],
)
def test_a_curve_that_cannot_be_is_refused_with_field_value_and_range(
    model: str, numbers: tuple[int | None, int | None, int | None], faults: list[str]
) -> None:
    duration, peak, delay = numbers
    with pytest.raises(BadCurve) as refused:
        curve_of(model, duration_min=duration, peak_min=peak, delay_min=delay)
    assert refused.value.faults == faults


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadCurve, match=r"model = 'rapd': one of rapid, child, .*, linear"):
        curve_of("rapd")


def test_a_number_that_is_not_whole_is_refused() -> None:
    with pytest.raises(BadCurve, match=r"duration_min = 360\.0: a whole number of minutes"):
        Exponential(360.0, 75)
    with pytest.raises(BadCurve, match="peak_min = True: a whole number"):
        Exponential(360, peak_min=True)
