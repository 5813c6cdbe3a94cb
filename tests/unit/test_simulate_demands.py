"""The oracle wants the alarm of each trouble: a pump that keeps one back is found out."""

from typing import Any

import pytest

from appliance.domain.alarms import AlarmCode
from appliance.engine.alarms import AlarmBoard
from appliance.guard.core import Guard
from appliance.records import End
from appliance.simulate.demands import OF_END, STOPS_NS, Demands, stops_within_ns
from appliance.simulate.run import Report, run
from appliance.simulate.scenario import of
from appliance.stepper.loop import Stepper
from drivers.mock.faults import FAULTS

S = 1_000_000_000
BOLUS = {"at": "0d 00:00:10", "amount_uu": 4_000_000}
AT = "0d 00:00:40"
TROUBLES: dict[str, tuple[AlarmCode, dict[str, Any]]] = {
    "a stepper that is killed": (
        AlarmCode.MOTOR_FAULT,
        {"crash": [{"who": "stepper", "at": AT}]},
    ),
    "a guard that is killed": (
        AlarmCode.GUARD_TRIP,
        {"crash": [{"who": "guard", "at": AT}]},
    ),
    "a pumpd that is killed": (
        AlarmCode.UNCLEAN_RESTART,
        {"crash": [{"who": "pumpd", "at": AT}]},
    ),
    "a stepper that is frozen": (
        AlarmCode.GUARD_TRIP,
        {"freeze": [{"who": "stepper", "at": AT, "for_s": 0.6}]},
    ),
    "a pumpd that is frozen": (
        AlarmCode.GUARD_TRIP,
        {"freeze": [{"who": "pumpd", "at": AT, "for_s": 4.0}]},
    ),
    "a power cut": (
        AlarmCode.UNCLEAN_RESTART,
        {"power_cut": [{"at": AT, "off_s": 30.0}]},
    ),
    "a clock that is set": (
        AlarmCode.CLOCK_STEPPED,
        {"clock_step": [{"at": AT, "step_s": 3_600}]},
    ),
    "a disk that stands still": (
        AlarmCode.TIMING_FAULT,
        {"disk_stall": [{"at": AT, "for_s": 15.0}]},
    ),
    "a driver's fault": (
        AlarmCode.MOTOR_FAULT,
        {"fault": [{"name": "driver_fault", "at": AT, "for_s": 2}]},
    ),
    "an end stop whose wire is cut": (
        AlarmCode.END_OF_TRAVEL,
        {"fault": [{"name": "end_stop_open", "at": AT, "for_s": 2}]},
    ),
    "a one-shot that has let go": (
        AlarmCode.GUARD_TRIP,
        {"fault": [{"name": "one_shot", "at": AT, "for_s": 2, "parameters": {"stays": "closed"}}]},
    ),
}


def told(**tables: Any) -> Report:
    return run(
        of(
            {
                "schema_version": 1,
                "days": 0.002,
                "basal": [{"start": "00:00", "rate_uu_per_h": 2_000_000}],
                "bolus": [BOLUS],
                "user": {"acknowledge_after_s": 40.0},
                **tables,
            },
            "test",
        )
    )


@pytest.mark.parametrize("what", TROUBLES)
def test_sr_49_sr_51_an_alarm_that_is_kept_back_breaks_the_run(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, tables = TROUBLES[what]
    assert told(**tables).violations == []
    raise_ = AlarmBoard.raise_

    def but_one(board: AlarmBoard, raised: AlarmCode, text: str) -> None:
        if raised is not code:
            raise_(board, raised, text)

    monkeypatch.setattr(AlarmBoard, "raise_", but_one)
    (broken,) = told(**tables).violations
    assert f"no alarm ({code.name}" in broken or f"or {code.name}" in broken


def test_sr_25_a_guard_that_overlooks_missing_edges_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = {"fault": [{"name": "readback_dead", "at": AT, "for_s": 5}]}
    assert told(**fault).violations == []
    monkeypatch.setattr(Guard, "_judge_counts", lambda *_: None)
    (broken,) = told(**fault).violations
    assert "SR-25" in broken
    assert "missing for over a second" in broken


def test_sr_24_a_guard_that_overlooks_extra_edges_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extra = {"name": "readback_extra", "at": AT, "for_s": 5, "parameters": {"edges": 5}}
    assert told(fault=[extra]).violations == []
    monkeypatch.setattr(Guard, "_trip_now", lambda *_: None)
    (broken,) = told(fault=[extra]).violations
    assert "SR-24" in broken


def test_sr_61_a_stepper_that_overlooks_its_drivers_fault_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Never:
        def is_active(self) -> bool:
            return False

    fault = {"fault": [{"name": "driver_fault", "at": AT, "for_s": 2}]}
    begin = Stepper.__init__
    monkeypatch.setattr(
        Stepper, "__init__", lambda one, **words: begin(one, **(words | {"driver_fault": Never()}))
    )
    (broken,) = told(**fault).violations
    assert "a dose goes on 200 ms after driver_fault began" in broken


def test_every_end_that_is_a_fault_has_its_alarm_and_every_fault_is_one_of_the_bench() -> None:
    assert set(OF_END) == {one for one in End if one > End.STOPPED}
    assert STOPS_NS.keys() <= set(FAULTS)
    assert stops_within_ns("end_stop_stuck", {"at": "on"}) == 200_000_000
    assert stops_within_ns("end_stop_stuck", {"at": "off"}) is None
    assert stops_within_ns("leak", {}) is None


def row(number: int, code: AlarmCode, event: str) -> dict[str, Any]:
    return {"number": number, "code": code.value, "event": event}


def test_sr_49_an_alarm_that_stands_is_enough_and_one_that_comes_late_is_not() -> None:
    guard = AlarmCode.GUARD_TRIP
    for late_ns, lacks in ((500_000_000, None), (501_000_000, "GUARD_TRIP came 501 ms after it")):
        one = Demands()
        one.demand("it", [guard], 10 * S)
        one.alarm(row(1, guard, "raised"), 10 * S + late_ns)
        found = one.unanswered(999 * S)
        assert (found and found[0]) == lacks
    stands = Demands()
    stands.alarm(row(1, guard, "raised"), 5 * S)
    stands.demand("it", [guard], 10 * S)
    assert stands.unanswered(999 * S) is None
    stands.alarm(row(1, guard, "cleared"), 9 * S)
    assert stands.unanswered(999 * S) == ("no alarm (GUARD_TRIP) after it", 10 * S)


def test_trouble_gives_an_alarm_time_and_a_death_puts_another_in_its_place() -> None:
    one = Demands()
    one.demand("it", [AlarmCode.MOTOR_FAULT], 10 * S)
    one.trouble(10 * S, 30 * S)
    one.alarm(row(1, AlarmCode.UNCLEAN_RESTART, "raised"), 40 * S)
    assert one.unanswered(999 * S) == ("no alarm (MOTOR_FAULT) after it", 10 * S)
    one.dies(11 * S)
    assert one.unanswered(999 * S) is None
