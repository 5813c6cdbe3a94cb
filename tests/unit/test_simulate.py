"""Virtual time: scenarios, their replay, the pulse level, the swarm and what it finds."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.cli.__main__ import pumpctl
from appliance.engine.motor import Motor
from appliance.errors import BadConfiguration
from appliance.simulate.run import Report, run
from appliance.simulate.scenario import Scenario, of, read
from appliance.simulate.swarm import draw, swarm
from appliance.stepper.loop import Stepper
from appliance.verify.reader import verify
from drivers.mock.plant import Plant

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def scenario(**tables: Any) -> Scenario:
    return of(
        {
            "schema_version": 1,
            "days": 0.03,
            "basal": [{"start": "00:00", "rate_uu_per_h": 2_000_000}],
            **tables,
        },
        "test",
    )


def held(report: Report) -> Report:
    assert report.violations == []
    assert report.confirmed_steps <= report.plant_steps <= report.maximum_steps
    return report


def same(one: Report) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(one).items() if k not in ("real_s", "level")}


# ---------------------------------------------------------------------- replay and account


def test_the_same_scenario_and_seed_give_the_same_ledger_and_everything_asked_has_moved() -> None:
    month = read(EXAMPLES / "month.toml")
    first, again = held(run(month, days=0.5)), held(run(month, days=0.5))
    assert same(first) == same(again)
    assert first.boluses == {"accepted": 2, "refused": 0, "missed": 0}
    assert abs(first.asked_steps - first.plant_steps) <= 1
    # 12 U of boluses and 4.5 h of 1 U/h, 4.5 h of 1.6 and 3 h of 1.2, from this file alone.
    assert abs(first.plant_steps - (12 + 4.5 + 7.2 + 3.6) * 3_200 / 11.780282) <= 2


def test_another_seed_gives_boluses_at_other_times() -> None:
    given = scenario(days=0.5, bolus=[{"per_day": 4, "amount_uu": 500_000}])
    assert held(run(given, seed=1)).head != held(run(given, seed=2)).head


def test_pulse_level_skips_edges_and_gives_the_ledger_of_the_edge_level_run() -> None:
    given = scenario(
        days=0.2,
        basal=[
            {"start": "00:00", "rate_uu_per_h": 3_000_000},
            {"start": "02:30", "rate_uu_per_h": 25_000},
            {"start": "03:10", "rate_uu_per_h": 0},
        ],
        bolus=[
            {"at": "0d 00:50", "amount_uu": 2_000_000, "speed": "fast"},
            {"at": "0d 01:58", "amount_uu": 1_000_000},
            {"at": "0d 03:30", "amount_uu": 500_000, "stop_after_s": 7.0},
        ],
    )
    edges, pulses = held(run(given)), held(run(given, pulses=True))
    assert edges.head == pulses.head
    assert edges.plant_steps == pulses.plant_steps
    assert pulses.events < edges.events / 2


def test_a_quiet_stretch_gives_the_edges_and_the_ledger_of_single_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = scenario(
        basal=[{"start": "00:00", "rate_uu_per_h": 8_000_000}],
        bolus=[{"at": "0d 00:05", "amount_uu": 3_000_000, "speed": "fast"}],
        mechanics={"bore_um": 4_699},
    )
    traces: list[list[tuple[int, int]]] = []
    drive_step = Plant.drive_step

    def traced(plant: Plant, level: int, at_ns: int) -> None:
        traces[-1].append((at_ns, level))
        drive_step(plant, level, at_ns)

    monkeypatch.setattr(Plant, "drive_step", traced)
    traces.append([])
    stretches = held(run(given))
    monkeypatch.setattr(Stepper, "glide", lambda _stepper, now_ns, *_: (0, [], [], now_ns))
    traces.append([])
    turns = held(run(given))
    assert same(stretches) == same(turns)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 1_000


@pytest.mark.full
@pytest.mark.timeout(300)
def test_thirty_days_twice_give_one_ledger_and_every_step_that_was_asked_for() -> None:
    month = read(EXAMPLES / "month.toml")
    first = held(run(month))
    assert first.boluses["accepted"] == 150
    assert abs(first.asked_steps - first.plant_steps) <= 1
    assert held(run(month)).head == held(run(month, pulses=True)).head == first.head


@pytest.mark.parametrize(
    ("bore_um", "hold"), [(4_699, "off"), (8_660, "off"), (4_699, "reduced"), (11_990, "reduced")]
)
def test_sr_18_any_syringe_is_exact_within_a_step_of_its_own(bore_um: int, hold: str) -> None:
    given = scenario(
        mechanics={"bore_um": bore_um, "hold": hold, "microsteps": 8},
        bolus=[{"at": "0d 00:20", "amount_uu": 730_000}],
    )
    report = held(run(given))
    assert abs(report.asked_steps - report.plant_steps) <= (8 if hold == "off" else 1)


def test_without_a_read_back_a_day_without_a_fault_has_no_alarm_and_is_exact() -> None:
    given = scenario(
        days=0.1,
        machine={"readback": False},
        bolus=[{"at": "0d 00:20", "amount_uu": 2_000_000}],
    )
    report = held(run(given))
    assert report.alarms == 0
    assert abs(report.asked_steps - report.plant_steps) <= 1


# ---------------------------------------------------------------------- what goes wrong


def test_every_example_is_sound() -> None:
    for path in EXAMPLES.glob("*.toml"):
        read(path)


@pytest.mark.timeout(300)
def test_f01_f04_f06_f16_f20_f21_f54_f60_two_days_of_troubles_stay_within_their_bounds() -> None:
    report = held(run(read(EXAMPLES / "troubles.toml")))
    assert report.blows == 12
    assert report.alarms >= 10


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at_write", [3, 4, 5, 8])
def test_f01_sr_38_pumpd_killed_at_a_write_leaves_bounds_and_resumes_no_dose(
    at_write: int, when: str
) -> None:
    given = scenario(
        bolus=[{"at": "0d 00:00:10", "amount_uu": 1_000_000, "asks": 3}],
        crash=[{"who": "pumpd", "at_write": at_write, "when": when}],
        user={"acknowledge_after_s": 5.0},
    )
    report = held(run(given))
    assert report.blows == 1
    assert report.alarms >= 1


def test_f21_a_power_cut_in_a_bolus_begins_a_new_boot_and_closes_the_dose_with_its_bounds() -> None:
    given = scenario(
        bolus=[{"at": "0d 00:05", "amount_uu": 2_000_000}],
        power_cut=[{"at": "0d 00:05:20", "off_s": 30.0, "guard_file_is_behind": True}],
    )
    report = held(run(given))
    assert report.plant_steps <= report.asked_steps + 1
    assert report.maximum_steps - report.confirmed_steps <= 2 * 27


def test_sr_45_a_wall_clock_that_is_set_delivers_nothing_for_the_time_it_skipped() -> None:
    plain = held(run(scenario(clock_step=[{"at": "0d 00:20", "step_s": 1}])))
    stepped = held(run(scenario(clock_step=[{"at": "0d 00:20", "step_s": 7_200}])))
    assert (plain.alarms, stepped.alarms) == (0, 1)
    assert abs(plain.plant_steps - stepped.plant_steps) <= 1


# ---------------------------------------------------------------------- the swarm


def test_a_seed_draws_the_same_scenario_each_time_and_no_two_the_same() -> None:
    assert draw(17) == draw(17)
    assert len({draw(seed).model_dump_json() for seed in range(50)}) == 50


@pytest.mark.timeout(300)
def test_sr_36_a_dozen_scenarios_of_the_swarm_break_no_requirement() -> None:
    report = swarm(1.0, first=1, most=12)
    assert (report.violations, report.held) == ([], 12)
    assert report.blows > 10


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_sr_36_a_thousand_scenarios_of_the_swarm_break_no_requirement() -> None:
    report = swarm(1.0, first=1, most=1_000)
    assert (report.violations, report.held) == ([], 1_000)


@pytest.mark.timeout(300)
def test_sr_23_the_swarm_finds_a_stepper_that_makes_up_what_a_stall_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made_up(stepper: Stepper, now_ns: int) -> None:
        stepper._stalled_since_ns = None

    monkeypatch.setattr(Stepper, "_resume_after_stall", made_up)
    monkeypatch.setattr(Stepper, "_on_time", lambda *_: True)
    report = swarm(1.0, first=30, most=10)
    assert re.search("SR-23: a burst", report.violations[0])
    assert report.again == f"pumpctl simulate --swarm 1 --seed {report.seed} --seeds 1"
    assert swarm(1.0, first=report.seed, most=1).violations == report.violations


def test_sr_36_the_swarm_finds_a_count_that_is_confirmed_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Motor.counted_steps.fget
    assert counted is not None
    monkeypatch.setattr(Motor, "counted_steps", property(lambda motor: 2 * counted(motor)))
    report = swarm(1.0, first=1, most=20)
    assert "SR-36" in report.violations[0]


# ---------------------------------------------------------------------- the file and the command


def test_a_scenario_with_faults_is_refused_with_all_of_them_at_once() -> None:
    with pytest.raises(BadConfiguration) as refused:
        of(
            {
                "schema_version": 1,
                "days": 0,
                "colour": "red",
                "basal": [{"start": "24:00", "rate_uu_per_h": 1}],
                "freeze": [{"who": "screen", "at": "soon", "for_s": 1.0}],
            },
            "bad.toml",
        )
    text = "\n".join(refused.value.faults)
    for part in ("days = 0", "0.001 to 36600", "colour", "24:00", "freeze.0.who", "freeze.0.at"):
        assert part in text
    assert '"pumpd"' in text


def test_what_does_not_go_together_in_a_scenario_is_named_with_its_range() -> None:
    with pytest.raises(BadConfiguration) as refused:
        scenario(
            basal=[{"start": "00:00", "rate_uu_per_h": 1}],
            bolus=[{"amount_uu": 55_001, "at": "0d 00:01", "daily": "07:30"}],
            fault=[{"name": "gremlins", "at": "0d 00:01"}],
            crash=[{"who": "pumpd"}],
            machine={"stop_button": False},
            press=[{"at": "0d 00:02"}],
        )
    text = "\n".join(refused.value.faults)
    for part in (
        "rate_uu_per_h = 1",
        "exactly one",
        "bolus.0.amount_uu = 55001",
        "gremlins",
        "crash.0",
        "press.0",
    ):
        assert part in text


def test_the_command_prints_what_scripts_need_and_keeps_a_whole_ledger(tmp_path: Path) -> None:
    kept = tmp_path / "month.db"
    words = ["simulate", str(EXAMPLES / "month.toml"), "--days", "0.02", "--seed", "5", "--json"]
    found = CliRunner().invoke(pumpctl, [*words, "--ledger", str(kept)])
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert (said["seed"], said["days"], said["violations"]) == (5, 0.02, [])
    verdict = verify(kept)
    assert verdict.ok
    assert verdict.head == said["head"]
    assert verdict.confirmed_steps == said["plant_steps"] == said["confirmed_steps"]
    assert abs(said["asked_steps"] - said["plant_steps"]) <= 1


def test_a_requirement_that_breaks_ends_the_command_with_1_and_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Motor.counted_steps.fget
    assert counted is not None
    monkeypatch.setattr(Motor, "counted_steps", property(lambda motor: 2 * counted(motor)))
    found = CliRunner().invoke(pumpctl, ["simulate", str(EXAMPLES / "month.toml"), "--days", "0.1"])
    assert found.exit_code == 1
    assert "BROKEN" in found.stdout
    assert "SR-36" in found.stdout


def test_wrong_words_for_simulate_are_refused_before_anything_runs(tmp_path: Path) -> None:
    month = str(EXAMPLES / "month.toml")
    there = tmp_path / "there.db"
    there.touch()
    for words in (
        [],
        [month, "--swarm", "1"],
        ["--swarm", "1", "--pulses"],
        [month, "--seeds", "3", "--pulses"],
        [month, "--jobs", "2"],
        ["--swarm", "1", "--seeds", "3", "--jobs", "2"],
        [month, "--ledger", str(there)],
        [month, "--days", "0"],
    ):
        assert CliRunner().invoke(pumpctl, ["simulate", *words]).exit_code == 2, words
    bad = tmp_path / "bad.toml"
    bad.write_text("schema_version = 2\n")
    found = CliRunner().invoke(pumpctl, ["simulate", str(bad)])
    assert found.exit_code == 1
    assert "schema_version = 2" in found.output
    assert "days is missing" in found.output
