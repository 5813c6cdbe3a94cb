"""pumpctl calc and curve, with no pump attached."""

import json
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli.__main__ import pumpctl
from appliance.domain.calculators import CALCULATORS
from appliance.domain.insulin import MODELS, Bilinear, Exponential

ROOT = Path(__file__).parents[2]
FOUR = ("--ratio", "10", "--sensitivity", "50", "--target", "100", "--iob", "1.2")
MEAL = ("--carbs", "45", "--glucose", "180", *FOUR)


@pytest.fixture(autouse=True)
def no_pump(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Demos of this computer are no part of these tests."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("BENCHPUMP_DIR", str(tmp_path))


def run(*words: str) -> Result:
    result = CliRunner().invoke(pumpctl, list(words), prog_name="pumpctl")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# --- calc -----------------------------------------------------------------------------------------


def test_a_calculation_shows_every_line_of_its_sum_under_the_bench_mark() -> None:
    result = run("calc", *MEAL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "BENCH  benchpump proposes 4.90 U; nothing is started",
        "  food              4.500 U   45 g / 10 g/U",
        "  correction        1.600 U   (180 - 100) mg/dL / 50 mg/dL per U",
        "  on board         -1.200 U   boluses 1.200000 U, basal 0.000000 U",
        "  total             4.900 U",
    ]


def test_a_script_reads_food_correction_on_board_and_total() -> None:
    body = json.loads(run("calc", *MEAL, "--json").stdout)
    assert body["bench"] is True
    parts = {key: body[key] for key in ("food_u", "correction_u", "trend_u", "iob_u", "total_u")}
    assert parts == {
        "food_u": 4.5,
        "correction_u": 1.6,
        "trend_u": 0,
        "iob_u": 1.2,
        "total_u": 4.9,
    }
    assert (body["total_uu"], body["carbs_needed_g"], body["refused"]) == (4_900_000, 0, None)
    assert sum(line["amount_u"] for line in body["lines"]) == pytest.approx(4.9, abs=1e-6)
    assert body["inputs"]["ratio_mg_per_u"] == 10_000


def test_a_low_glucose_asks_for_carbs_and_reverse_correction_can_be_switched_off() -> None:
    # (60 - 100)/50 - 1.2 = -2: 20 g
    low = run("calc", "--glucose", "60", *FOUR)
    assert low.exit_code == 0
    assert "  carbs needed         20 g" in low.stdout.splitlines()
    with_food = ("calc", "--carbs", "45", "--glucose", "60", *FOUR, "--json")
    # 4.5 - 0.8 - 1.2 = 2.5, and 4.5 - 1.2 = 3.3
    assert json.loads(run(*with_food, "--reverse").stdout)["total_u"] == 2.5
    assert json.loads(run(*with_food, "--no-reverse").stdout)["total_u"] == 3.3


def test_a_trend_and_ratios_with_decimals_are_read_exactly() -> None:
    # 45/7.5 = 6; -30/50 = -0.6; 1.6 - 1.2: 5.8
    words = ("--trend", "-10", "--ratio", "7.5")
    body = json.loads(run("calc", *MEAL, *words, "--json").stdout)
    assert (body["food_u"], body["trend_u"], body["total_u"]) == (6, -0.6, 5.8)


@pytest.mark.parametrize("name", list(CALCULATORS))
def test_each_calculator_can_be_asked_alone(name: str) -> None:
    body = json.loads(run("calc", *MEAL, "--pump", name, "--json").stdout)
    assert body["calculator"] == name
    looks_ahead = name in ("loop", "oref0")
    assert (body["food_u"] is None) is looks_ahead
    assert (body["iob_u"] is None) is looks_ahead
    assert body["total_u"] > 0


def test_all_calculators_stand_side_by_side() -> None:
    body = json.loads(run("calc", *MEAL, "--compare", "--json").stdout)
    assert list(body["calculators"]) == list(CALCULATORS)
    assert body["calculators"]["tandem"]["total_u"] == 4.9
    lines = run("calc", *MEAL, "--compare").stdout.splitlines()
    assert lines[0].startswith("BENCH  45 g, 180 mg/dL, on board 1.20 U")
    assert [line.split()[0] for line in lines[2:10]] == list(CALCULATORS)
    assert lines[3].split() == ["tandem", "4.500", "1.600", "-1.200", "4.900"]
    assert any("to be checked" in line for line in lines[10:])


def test_side_by_side_those_that_need_a_glucose_say_so_and_the_others_answer() -> None:
    result = run("calc", "--carbs", "45", *FOUR, "--compare")
    assert result.exit_code == 0
    assert result.stdout.count("refuses: glucose_mg_dl is missing: it needs one") == 3


def test_an_old_glucose_is_refused() -> None:
    result = run("calc", *MEAL, "--glucose-age", "16m")
    assert result.exit_code == 1
    assert "the glucose is 16 min old, at most 15 min is taken" in result.stdout
    told = run("calc", *MEAL, "--glucose-age", "16m", "--json")
    body = json.loads(told.stdout)
    assert (told.exit_code, body["total_u"], body["food_u"], body["lines"]) == (1, None, None, [])
    assert "16 min old" in body["refused"]
    assert run("calc", *MEAL, "--glucose-age", "15m").exit_code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--carbs", "251"), "carbs_g = 251: 0 to 250"),
        (("--glucose", "601"), "glucose_mg_dl = 601: 20 to 600"),
        (("--ratio", "0.5"), "ratio_mg_per_u = 500: 1000 to 150000"),
        (("--sensitivity", "0"), "sensitivity_mg_dl_per_u = 0: 1 to 400"),
        (("--target", "300"), "target_mg_dl = 300: 60 to 250"),
        (("--trend", "60"), "trend_mg_dl_per_5_min = 60: -50 to 50"),
        (("--iob", "101"), "bolus_iob_uu = 101000000: 0 to 100000000"),
        (("--low", "120"), "low_mg_dl = 120: up to high_mg_dl = 100"),
    ],
)
def test_a_number_out_of_range_is_refused_in_one_message(words: tuple[str, ...], told: str) -> None:
    result = run("calc", *MEAL, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"pumpctl: {told} (E111)\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--carbs", "45.5"), "is not a whole number of grams"),
        (("--carbs", "-1"), "is not a whole number of grams"),
        (("--carbs", "４５"), "is not a whole number of grams"),  # noqa: RUF001
        (("--glucose", "1e2"), "is not a whole number of mg/dL"),
        (("--ratio", "10.0001"), "is not a carb ratio"),
        (("--iob", "nan"), "is not an amount in U"),
        (("--iob", "1,2"), "is not an amount in U"),
        (("--trend", "up"), "such as 5 or -10"),
        (("--pump", "none"), "is not one of"),
        (("--pump", "aaps", "--compare"), "--compare or --pump, not both"),
        (("--glucose-age", "later"), "not a time such as"),
    ],
)
def test_wrong_words_end_with_2(words: tuple[str, ...], told: str) -> None:
    result = run("calc", *MEAL, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_neither_food_nor_glucose_is_nothing_to_calculate() -> None:
    result = run("calc", *FOUR)
    assert result.exit_code == 2
    assert "give --carbs, --glucose or both" in result.stderr


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        (("--iob",), "--iob is missing and no pump answers"),
        (("--ratio", "--iob"), "--ratio and --iob are missing and no pump answers"),
        (
            ("--ratio", "--sensitivity", "--target", "--iob"),
            "--ratio, --sensitivity, --target and --iob are missing and no pump answers",
        ),
    ],
)
def test_what_is_missing_without_a_pump_is_named_in_one_message(
    left_out: tuple[str, ...], told: str
) -> None:
    pairs = zip(MEAL[::2], MEAL[1::2], strict=True)
    words = [word for pair in pairs if pair[0] not in left_out for word in pair]
    result = run("calc", *words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.splitlines()[0] == f"pumpctl: {told}"


def test_the_cases_of_the_documentation_are_what_the_command_says() -> None:
    lines = (ROOT / "docs/calculators.md").read_text().splitlines()
    commands = [at for at, line in enumerate(lines) if line.startswith("    $ pumpctl ")]
    assert len(commands) == 4
    for at in commands:
        words = lines[at].replace(" ...", " --ratio 10 --sensitivity 50 --target 100").split()[2:]
        said = [line.rstrip() for line in run(*words).stdout.splitlines()]
        told = [line[4:] for line in lines[at + 1 : at + 1 + len(said)]]
        shown = told.index("...") if "..." in told else len(said)
        assert shown > 5
        assert told[:shown] == said[:shown]


# --- curve ----------------------------------------------------------------------------------------


def test_a_curve_is_a_list_of_minutes_and_shares() -> None:
    result = run("curve", "rapid", "--duration", "6h", "--peak", "75m", "--every", "4m", "--json")
    points = json.loads(result.stdout)
    assert [point["t_min"] for point in points] == list(range(0, 364, 4))
    assert all(set(point) == {"t_min", "left"} for point in points)
    left = {point["t_min"]: point["left"] for point in points}
    assert abs(left[108] - 0.5110493617156) < 1e-12
    assert (left[0], left[360]) == (1, 0)


def test_a_curve_without_times_of_its_own_ends_where_its_preset_ends_with_points_each_5_min() -> (
    None
):
    points = json.loads(run("curve", "inhaled", "--json").stdout)
    assert [point["t_min"] for point in points] == list(range(0, 305, 5))
    assert points[10]["left"] == Exponential(300, 29).left(50)


def test_a_curve_always_tells_its_end() -> None:
    words = ("--duration", "3h", "--every", "50m", "--json")
    points = json.loads(run("curve", "bilinear", *words).stdout)
    assert [(p["t_min"], p["left"]) for p in points] == [
        (t, Bilinear(180).left(t)) for t in (0, 50, 100, 150, 180)
    ]
    delayed = run("curve", "exponential", "--duration", "6h", "--peak", "75m", "--delay", "10m")
    assert delayed.stdout.splitlines()[0] == (
        "BENCH  exponential, peak after 75 min: nothing is left after 6 h 10 min"
    )
    assert delayed.stdout.splitlines()[4].split()[:2] == ["10", "100.00%"]
    assert delayed.stdout.splitlines()[-1].split()[:2] == ["370", "0.00%"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_shown(model: str) -> None:
    peak = ("--peak", "75m") if model == "exponential" else ()
    assert run("curve", model, "--duration", "6h", *peak).exit_code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rapid", "--peak", "3h"), "peak_min = 180: 5 to 179, below half the duration"),
        (("rapid", "--duration", "2h"), "peak_min = 75: 5 to 59, below half the duration"),
        (("bilinear", "--duration", "2h"), "duration_min = 120: 180 to 720"),
        (("linear", "--duration", "13h"), "duration_min = 780: 60 to 720"),
        (("linear", "--duration", "4h", "--peak", "1h"), "peak_min = 60: linear has none"),
        (("walsh",), "duration_min is missing: walsh needs it"),
        (("walsh", "--duration", "4h", "--delay", "1h"), "delay_min = 60: 0 to 30"),
    ],
)
def test_an_impossible_curve_is_refused(words: tuple[str, ...], told: str) -> None:
    result = run("curve", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"pumpctl: {told} (E110)\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rapd",), "is not one of"),
        (("rapid", "--duration", "6"), "not a time such as"),
        (("rapid", "--every", "0m"), "at least 1m"),
        ((), "Missing argument"),
    ],
)
def test_wrong_words_for_a_curve_end_with_2(words: tuple[str, ...], told: str) -> None:
    result = run("curve", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
