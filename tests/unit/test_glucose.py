"""The glucose desk: readings are rows, once each; an old value is never the present."""

from typing import Any
from uuid import UUID

from engine_room import Room

from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_S
from appliance.engine.book import Book
from appliance.engine.glucose import GlucoseDesk

MIN = 60


class Basal:
    """Stands for basal: whether it delivers, and why it was begun anew."""

    on = True

    def __init__(self) -> None:
        self.suspended = lambda: False
        self.anew: list[str] = []

    def anchor_anew(self, why: str) -> None:
        self.anew.append(why)


class Sensing(Room):
    """A room with the glucose desk."""

    def __init__(self, **changed: Any) -> None:
        super().__init__(**changed)
        self.state = PumpState.RUNNING
        self.basal = Basal()
        self.ended: list[str] = []
        self.desk = GlucoseDesk(
            self.c,
            self.alarms,
            self.basal,  # type: ignore[arg-type]
            state=lambda: self.state,
            end_extended=self.ended.append,
        )
        self.desks = [self.desk]
        self.count = 0

    def report(self, *values: int, age_s: int = 0, source: str = "file") -> dict[str, Any]:
        readings = []
        for value in values:
            self.count += 1
            readings.append({"id": f"r{self.count}", "mg_dl": value, "age_s": age_s})
        return self.ask("glucose.report", source=source, readings=readings)

    def every_five(self, *values: int) -> None:
        for value in values:
            self.report(value)
            self.run(5 * MIN, 60)

    @property
    def shown(self) -> dict[str, Any]:
        return self.desk.in_snapshot()["glucose"]

    def set(self, **given: Any) -> dict[str, Any]:
        return self.ask("glucose.set", **given)

    @property
    def names(self) -> list[str]:
        return [one["name"] for one in self.alarms.listed() if not one["acknowledged"]]

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return [dict(one.entry.body) for one in self.ledger.rows() if one.entry.kind == kind]


def test_without_a_sensor_nothing_is_claimed() -> None:
    shown = Sensing().shown
    assert (shown["state"], shown.get("mg_dl")) == ("none", None)
    assert shown["protection"] == {"rule": "off", "limit_mg_dl": None, "suspended": False}


def test_a_reading_is_a_row_and_is_shown_with_its_age_and_source() -> None:
    room = Sensing()
    assert room.report(142, age_s=90) == {"kept": 1, "known": 0}
    (row,) = room.rows("glucose")
    assert row == {
        "id": "r1", "mg_dl": 142, "age_s": 90, "source": "file", "reading": "sensor", "by": "uid 0",
    }  # fmt: skip
    room.run(30)
    shown = room.shown
    assert (shown["mg_dl"], shown["age_s"], shown["state"]) == (142, 120, "ok")
    assert shown["utc_ns"] == room.c.utc_ns - 120 * NS_PER_S
    assert (shown["trend_mg_dl_per_h"], shown["predicted_mg_dl"]) == (None, None)


def test_the_same_reading_twice_is_one() -> None:
    room = Sensing()
    first = [{"id": "a", "mg_dl": 100, "age_s": 300}, {"id": "b", "mg_dl": 105, "age_s": 0}]
    assert room.ask("glucose.report", source="x", readings=first) == {"kept": 2, "known": 0}
    again = [*first, {"id": "c", "mg_dl": 110, "age_s": 0}, {"id": "c", "mg_dl": 110, "age_s": 0}]
    assert room.ask("glucose.report", source="x", readings=again) == {"kept": 1, "known": 3}
    assert [one["id"] for one in room.rows("glucose")] == ["a", "b", "c"]
    # The same name from another source is another reading.
    assert room.ask("glucose.report", source="y", readings=first)["kept"] == 2


def test_a_reading_that_comes_late_stands_before_newer_ones() -> None:
    room = Sensing()
    room.report(120)
    room.report(100, age_s=600)
    assert [one.mg_dl for one in room.desk.sensor()] == [100, 120]
    assert room.shown["mg_dl"] == 120


def test_a_trend_and_a_prediction_come_from_the_last_quarter_of_an_hour() -> None:
    room = Sensing()
    room.every_five(150, 140, 130)
    room.report(120)
    shown = room.shown
    assert (shown["trend_mg_dl_per_h"], shown["arrow"]) == (-120, "falling")
    assert shown["predicted_mg_dl"] == 60


def test_f_an_old_reading_is_stale_then_lost_and_has_no_trend() -> None:
    room = Sensing()
    room.every_five(150, 140, 130)
    room.report(120)
    room.run(15 * MIN, 60)
    assert room.shown["state"] == "ok"
    room.run(1)
    shown = room.shown
    assert (shown["state"], shown["mg_dl"], shown["trend_mg_dl_per_h"]) == ("stale", 120, None)
    room.run(15 * MIN, 60)
    assert room.shown["state"] == "lost"


def test_a_fingerstick_is_kept_apart_from_the_sensor() -> None:
    room = Sensing()
    room.report(142)
    first = str(UUID(int=1, version=4))
    assert room.ask("glucose.enter", id=first, mg_dl=120)["glucose"]["finger"]["mg_dl"] == 120
    assert room.shown["mg_dl"] == 142
    room.ask("glucose.enter", id=first, mg_dl=120)  # asked again, it is the same one
    assert [one["reading"] for one in room.rows("glucose")] == ["sensor", "finger"]
    assert room.report(100, source="finger")["refused"]


def test_an_older_boot_counts_only_by_clocks_that_were_synchronised() -> None:
    room = Sensing()
    room.report(142)
    after = Sensing(boot_id="boot-2")
    after.c.book = room.c.book
    assert after.shown["state"] == "none"
    for one in after.c.book.glucose:
        one.clock = "synchronised"
    assert after.shown["state"] == "none"  # this boot's clock is only set


def test_a_checkpoint_holds_the_readings() -> None:
    room = Sensing()
    room.report(142)
    again = Book()
    again._restore(room.c.book.body()["book"])
    assert again.glucose == room.c.book.glucose


def test_the_book_forgets_what_is_over_a_day_old() -> None:
    room = Sensing()
    for number in range(400):
        room.report(100 + number % 50)
    assert len(room.c.book.glucose) == 320


def test_units_are_a_setting_with_old_and_new_value() -> None:
    room = Sensing()
    room.ask("glucose.set", units="mmol/L")
    (row,) = room.rows("setting")
    assert (row["name"], row["new"]["units"]) == ("glucose", "mmol/L")
    assert room.shown["units"] == "mmol/L"


def test_the_readings_of_three_hours_are_listed() -> None:
    room = Sensing()
    room.report(90, age_s=4 * 3_600)
    room.report(100, age_s=3_600)
    room.report(110)
    listed = room.ask("glucose.show")["readings"]
    assert [(one["mg_dl"], one["age_s"]) for one in listed] == [(100, 3_600), (110, 0)]


# --- alerts ---------------------------------------------------------------------------------------


def test_a_low_and_an_urgent_low_are_said_and_end_with_their_cause() -> None:
    room = Sensing()
    room.set(predicted_min=0, fast_mg_dl_per_min=0)
    room.report(71)
    assert room.names == []
    room.report(69)
    assert room.names == ["Low glucose"]
    room.report(54)
    assert room.names == ["Urgent low glucose", "Low glucose"]
    room.report(58)  # within the margin both go on
    assert room.names == ["Urgent low glucose", "Low glucose"]
    room.report(72)
    assert room.names == ["Low glucose"]
    room.report(75)
    assert room.names == []
    events = [(one["code"], one["event"]) for one in room.rows("alarm")]
    assert events == [("A41", "raised"), ("A40", "raised"), ("A40", "ended"), ("A41", "ended")]


def test_a_high_is_said_by_the_threshold_of_the_time_of_day() -> None:
    room = Sensing()
    minute = room.c.utc_ns // (60 * NS_PER_S) % 1_440  # 08:00
    room.set(
        periods=[
            {"start_min_of_day": 0, "low_mg_dl": 0, "high_mg_dl": 300},
            {"start_min_of_day": minute + 60, "low_mg_dl": 80, "high_mg_dl": 200},
        ],
        predicted_min=0,
    )
    room.report(250)
    assert room.names == []
    room.run(61 * MIN, 60)
    room.report(250)
    assert room.names == ["High glucose"]
    room.report(79)
    assert "Low glucose" in room.names


def test_fast_changes_and_a_low_that_is_near_are_said() -> None:
    room = Sensing()
    room.every_five(300, 280, 260)
    room.report(240)
    assert room.names == ["Glucose falls fast"]
    room.every_five(220, 190, 160)
    room.report(130)
    assert room.names == ["Glucose falls fast", "A low is near"]
    up = Sensing()
    up.every_five(100, 120, 140)
    up.report(160)
    assert up.names == ["Glucose rises fast"]


def test_a_lost_signal_is_said_after_half_an_hour_and_old_values_say_nothing() -> None:
    room = Sensing()
    room.report(100)
    room.run(30 * MIN, 30)
    assert room.names == []
    room.run(30, 10)
    assert room.names == ["No glucose signal"]
    room.report(100)
    assert room.names == []


def test_a_low_goes_on_over_a_gap_and_never_begins_in_one() -> None:
    room = Sensing()
    room.set(lost=False, predicted_min=0)
    room.report(60)
    room.run(40 * MIN, 30)
    assert room.names == ["Low glucose"]
    room.report(60, age_s=20 * MIN)
    other = Sensing()
    other.set(lost=False)
    other.report(60, age_s=20 * MIN)
    assert other.names == []


def test_an_answered_alert_comes_again_where_its_cause_goes_on() -> None:
    room = Sensing()
    room.set(predicted_min=0, fast_mg_dl_per_min=0)

    def low(minutes: int) -> None:
        for _ in range(minutes // 5):
            room.report(65)
            room.run(5 * MIN, 10)

    room.report(65)
    room.acknowledge()
    assert room.names == []
    low(25)
    assert room.names == []
    low(10)
    assert room.names == ["Low glucose"]
    assert room.ask("glucose.snooze", minutes=60) == {"snoozed": 1}
    low(55)
    assert room.names == []
    low(10)
    assert room.names == ["Low glucose"]
    room.report(120)
    assert room.names == []
    assert room.ask("glucose.snooze", minutes=60)["refused"]


def test_thresholds_that_cannot_be_are_refused_with_every_reason() -> None:
    room = Sensing()
    low = {"start_min_of_day": 60, "low_mg_dl": 130, "high_mg_dl": 100}
    reasons = room.set(
        periods=[low],
        fast_mg_dl_per_min=1,
        predicted_min=60,
        protection="low",
        protection_limit_mg_dl=30,
    )["refused"]
    assert len(reasons) == 7
    assert room.rows("setting") == []


# --- protection -----------------------------------------------------------------------------------


def test_basal_is_suspended_before_a_low_and_comes_back_when_glucose_rises() -> None:
    room = Sensing()
    room.set(protection="predictive")
    room.every_five(160, 150, 140)
    assert not room.basal.suspended()
    room.report(130)
    (row,) = room.rows("protection")
    assert row == {
        "event": "suspended", "rule": "predictive", "limit_mg_dl": None, "by": "pump",
        "why": "70 mg/dL in 30 min is under 80", "spent_s": 0, "mg_dl": 130,
        "before_mg_dl": 140, "trend_mg_dl_per_h": -120, "predicted_mg_dl": 70,
    }  # fmt: skip
    assert room.basal.suspended()
    assert room.basal.anew == ["suspended by glucose: 70 mg/dL in 30 min is under 80"]
    assert len(room.ended) == 1
    room.turn()
    shown = room.shown["protection"]
    assert (shown["suspended"], shown["left_s"]) == (True, 7_200)
    assert "Basal is suspended by glucose" not in room.names  # it may be over in a moment
    for value in (100, 95, 90):
        room.run(5 * MIN, 30)
        room.report(value)
    room.run(30, 10)
    assert room.basal.suspended()
    assert "Basal is suspended by glucose" in room.names
    room.report(91)
    assert not room.basal.suspended()
    assert room.rows("protection")[-1]["why"] == "glucose rises: 90 to 91 mg/dL"
    room.run(20, 10)
    assert "Basal is suspended by glucose" not in room.names


def fall(room: Sensing) -> None:
    room.every_five(140, 130)
    room.report(110)
    assert room.basal.suspended()


def test_a_suspension_ends_by_the_clock_after_two_hours_and_is_then_held_back() -> None:
    room = Sensing()
    room.set(protection="predictive")
    fall(room)
    for minute in range(5, 120, 5):
        room.run(5 * MIN, 30)
        room.report(60 - minute // 20)
        assert room.basal.suspended()
    room.run(5 * MIN, 30)
    assert not room.basal.suspended()
    assert "2 h in the last 2.5 h are over" in room.rows("protection")[-1]["why"]
    room.report(50)
    assert not room.basal.suspended()
    assert room.rows("protection")[-1]["event"] == "held"
    assert "Basal goes on at a low" in room.names
    room.run(5 * MIN, 30)
    room.report(49)
    held = [one for one in room.rows("protection") if one["event"] == "held"]
    assert len(held) == 1  # said once, not at every reading
    for _ in range(6):
        room.run(5 * MIN, 30)
        room.report(48)
    assert room.basal.suspended()  # the window has moved on


def test_without_readings_nothing_is_decided_and_the_schedule_returns_by_the_clock() -> None:
    room = Sensing()
    room.set(protection="predictive")
    fall(room)
    room.run(119 * MIN, 30)
    assert room.basal.suspended()
    assert "No glucose signal" in room.names
    room.run(2 * MIN, 30)
    assert not room.basal.suspended()
    old = Sensing()
    old.set(protection="low")
    old.report(40, age_s=20 * MIN)
    assert not old.basal.suspended()


def test_a_stopped_pump_is_neither_suspended_nor_resumed_by_glucose() -> None:
    room = Sensing()
    room.set(protection="low")
    room.state = PumpState.SUSPENDED
    room.report(50)
    room.run(60, 10)
    assert room.rows("protection") == []
    assert room.state is PumpState.SUSPENDED
    room.state = PumpState.RUNNING
    room.report(49)
    assert room.basal.suspended()
    room.state = PumpState.SUSPENDED
    room.run(20, 10)
    assert room.rows("protection")[-1]["why"] == "the pump is suspended"


def test_a_person_has_basal_back_and_for_half_an_hour_none_is_suspended() -> None:
    room = Sensing()
    room.set(protection="predictive")
    assert room.ask("glucose.resume")["refused"]
    fall(room)
    assert room.ask("glucose.resume") == {"resumed": True}
    assert room.rows("protection")[-1]["by"] == "uid 0"
    room.run(5 * MIN, 30)
    room.report(60)
    assert not room.basal.suspended()
    assert "a person ended one" in room.rows("protection")[-1]["why"]
    for value in (59, 58, 57, 56, 55, 54):
        room.run(5 * MIN, 30)
        room.report(value)
    assert room.basal.suspended()


def test_a_start_of_the_program_ends_a_suspension_that_nobody_watched() -> None:
    room = Sensing()
    room.set(protection="predictive")
    fall(room)
    again = Sensing()
    again.c.book = room.c.book
    again.basal.suspended = again.desk._protection._basal.suspended
    assert again.basal.suspended()  # nothing is delivered before that is decided
    again.run(20, 10)
    assert again.rows("protection")[-1]["why"] == "the program was started anew"
    assert not again.basal.suspended()


def test_switching_protection_off_ends_a_suspension() -> None:
    room = Sensing()
    room.set(protection="low", protection_limit_mg_dl=80)
    room.report(80)
    assert room.basal.suspended()
    room.set(protection="off")
    assert not room.basal.suspended()


def test_another_rule_set_begins_with_its_own_usual_limit() -> None:
    room = Sensing()
    room.set(protection="low", protection_limit_mg_dl=100)
    assert room.shown["protection"]["limit_mg_dl"] == 100
    room.set(protection="before-low")
    assert room.shown["protection"]["limit_mg_dl"] == 60
