"""The glucose desk: readings are rows, once each; an old value is never the present."""

from typing import Any
from uuid import UUID

from engine_room import Room

from appliance.domain.units import NS_PER_S
from appliance.engine.book import Book
from appliance.engine.glucose import GlucoseDesk

MIN = 60


class Sensing(Room):
    """A room with the glucose desk."""

    def __init__(self, **changed: Any) -> None:
        super().__init__(**changed)
        self.desk = GlucoseDesk(self.c)
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

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return [dict(one.entry.body) for one in self.ledger.rows() if one.entry.kind == kind]


def test_without_a_sensor_nothing_is_claimed() -> None:
    assert Sensing().shown == {"state": "none", "units": "mg/dL"}


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
