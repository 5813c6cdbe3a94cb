"""Reminders as a person sets them: after a bolus, at meals, for the site, by the time of day."""

from typing import Any

from engine_room import Room

from appliance.domain.units import NS_PER_S
from appliance.engine.reminders import RemindersDesk

NONE = dict.fromkeys(("glucose_min", "site_days", "site_at_min", "meals", "personal"))
DAY_S = 86_400


class Reminding(Room):
    """A room with the reminders desk, from 08:00 local time on."""

    def __init__(self, **changed: Any) -> None:
        super().__init__(**changed)
        self.desks = [RemindersDesk(self.c, self.alarms)]

    def set(self, **given: Any) -> dict[str, Any]:
        return self.ask("reminders.set", **{**NONE, **given})

    def bolus(self, request_id: str) -> None:
        body = {
            "request_id": request_id,
            "dose": "bolus",
            "programmed_uu": 1_000_000,
            "programmed_steps": 543,
            "programme": 1,
            "run": 1,
            "rate_uu_per_h": 90_000_000,
        }
        self.c.write([self.c.entry("intent", body)])
        self.turn()

    def new_site(self) -> None:
        self.c.write([self.c.entry("set_change", {"event": "finished", "renews": ["cannula"]})])
        self.turn()

    @property
    def clock_min(self) -> int:
        return self.c.utc_ns // (60 * NS_PER_S) % 1_440

    def run_to_clock(self, minute: int) -> None:
        self.run(((minute - self.clock_min) % 1_440) * 60, 20)

    def texts(self) -> list[str]:
        return [one["text"] for one in self.alarms.listed()]


def test_a_personal_reminder_comes_at_its_time_of_day_every_day() -> None:
    room = Reminding()
    at = (room.clock_min + 30) % 1_440
    room.set(personal=[{"at_min": at, "name": "walk"}])
    room.run(29 * 60, 20)
    assert room.standing() == []
    room.run(90, 20)
    assert room.texts() == ["walk"]
    room.acknowledge()
    room.run(DAY_S - 600, 20)
    assert room.standing() == []
    room.run(600, 20)
    assert room.standing() == ["Reminder"]


def test_two_reminders_of_one_minute_are_both_said() -> None:
    room = Reminding()
    at = (room.clock_min + 5) % 1_440
    room.set(personal=[{"at_min": at, "name": "walk"}, {"at_min": at, "name": "drink"}])
    room.run(400, 10)
    said = room.texts()
    room.acknowledge()
    room.run(10)
    assert [*said, *room.texts()] == ["walk", "drink"]


def test_a_clock_that_was_set_passes_no_reminder_by() -> None:
    room = Reminding()
    room.set(personal=[{"at_min": (room.clock_min + 600) % 1_440, "name": "walk"}])
    room.wall_ns += 11 * 3_600 * NS_PER_S
    room.run(60)
    assert room.standing() == []


def test_glucose_is_to_be_checked_after_a_bolus_once() -> None:
    room = Reminding()
    room.set(glucose_min=90)
    room.bolus("a")
    room.run(89 * 60, 20)
    assert room.standing() == []
    room.run(70, 10)
    assert room.standing() == ["Check glucose"]
    room.acknowledge()
    room.run(3_600, 20)
    assert room.standing() == []


def test_a_meal_window_without_a_bolus_is_said_at_its_end_and_one_with_a_bolus_is_not() -> None:
    room = Reminding()
    start = room.clock_min + 10
    windows = [(start, start + 60), (start + 120, start + 180)]
    room.set(meals=[{"from_min": a, "to_min": b} for a, b in windows])
    room.run_to_clock(start + 30)
    room.bolus("a")
    room.run_to_clock(start + 62)
    assert room.standing() == []
    room.run_to_clock(start + 182)
    assert room.standing() == ["No meal bolus"]


def test_the_site_is_due_after_its_days_at_the_time_of_day_and_comes_again_each_day() -> None:
    room = Reminding()
    room.set(site_days=2, site_at_min=room.clock_min + 60)
    room.new_site()
    room.run(2 * DAY_S, 60)
    assert room.standing() == []
    room.run(3_700, 60)
    assert room.standing() == ["Change the site"]
    room.acknowledge()
    room.run(DAY_S - 600, 60)
    assert room.standing() == []
    room.run(700, 60)
    assert room.standing() == ["Change the site"]
    room.new_site()
    room.run(5)
    assert room.standing() == []


def test_a_snoozed_reminder_comes_again() -> None:
    room = Reminding()
    assert room.ask("reminders.snooze", minutes=15) == {"refused": ["no reminder stands"]}
    room.set(personal=[{"at_min": (room.clock_min + 1) % 1_440, "name": "walk"}])
    room.run(90)
    assert room.ask("reminders.snooze", minutes=15) == {"snoozed": 1}
    room.run(60)
    assert room.standing() == []
    room.run(900)
    assert room.texts() == ["walk"]


def test_wrong_reminders_are_refused_with_field_value_and_range_and_change_nothing() -> None:
    room = Reminding()
    before = room.ask("reminders.show")
    meals = [{"from_min": 10, "to_min": 5}, *[{"from_min": 1, "to_min": 2}] * 4]
    refused = room.set(glucose_min=10, site_days=9, meals=meals)["refused"]
    assert refused == [
        "glucose_min = 10 is out of range: 30 to 240, or 0 for off",
        "site_days = 9 is out of range: 1 to 7, or 0 for off",
        "meals = 5 is out of range: 0 to 4",
        "meals[0].to_min = 5 is out of range: 11 to 1439",
    ]
    assert room.ask("reminders.show") == before


def test_what_is_set_is_kept_and_what_is_not_named_stays() -> None:
    room = Reminding()
    room.set(glucose_min=90, personal=[{"at_min": 5, "name": "walk"}])
    room.set(site_days=3)
    shown = room.ask("reminders.show")["reminders"]
    assert (shown["glucose_min"], shown["site_days"]) == (90, 3)
    assert shown["personal"] == [{"at_min": 5, "name": "walk"}]
