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

    def restart(self, off_s: int, **changed: Any) -> None:
        super().restart(off_s, **changed)
        self.desks = [RemindersDesk(self.c, self.alarms)]
        self.c.write([self.c.entry("start", {})])
        self.turn()

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


# ---------------------------------------------------------------------- over a restart


def test_what_fell_due_while_the_pump_was_off_is_said_once_as_late_with_its_time() -> None:
    room = Reminding()
    at = (room.clock_min + 30) % 1_440
    meal = {"from_min": at - 20, "to_min": at + 10}
    room.set(personal=[{"at_min": at, "name": "walk"}], meals=[meal])
    room.restart(off_s=5 * 3_600)
    room.run(5)
    told = f"{at // 60:02d}:{at % 60:02d}"
    end = f"{(at + 10) // 60:02d}:{(at + 10) % 60:02d}"
    assert sorted(room.texts()) == [
        f"no bolus in the 30 min up to {end} (late: the pump was off)",
        f"walk (late: it was for {told}, and the pump was off)",
    ]
    room.acknowledge()
    room.restart(off_s=60)
    room.run(600)
    assert room.standing() == []


def test_a_day_off_says_each_reminder_once_and_a_set_clock_or_an_unset_one_says_none() -> None:
    room = Reminding()
    room.set(personal=[{"at_min": (room.clock_min + 30) % 1_440, "name": "walk"}])
    room.restart(off_s=3 * DAY_S)
    room.run(5)
    assert len(room.texts()) == 1
    room.acknowledge()
    room.run(5)
    assert room.standing() == []
    back = Reminding()
    back.set(personal=[{"at_min": (back.clock_min + 30) % 1_440, "name": "walk"}])
    back.wall_ns -= DAY_S * NS_PER_S
    back.restart(off_s=3_600)
    back.run(5)
    assert back.standing() == []


def test_a_check_of_glucose_that_fell_due_while_the_pump_was_off_comes_late_and_only_once() -> None:
    room = Reminding()
    room.set(glucose_min=60)
    room.bolus("a")
    due = (room.clock_min + 60) % 1_440
    room.restart(off_s=4 * 3_600, boot_id="boot-2")
    room.run(5)
    (text,) = room.texts()
    assert f"(late: it was for {due // 60:02d}:{due % 60:02d}" in text
    room.acknowledge()
    room.restart(off_s=60, boot_id="boot-3")
    room.run(3_600, 20)
    assert room.standing() == []


def test_a_snooze_goes_on_over_a_restart_and_an_answered_site_stays_quiet() -> None:
    room = Reminding()
    room.set(site_days=1, site_at_min=room.clock_min, personal=[])
    room.new_site()
    room.run(DAY_S + 60, 60)
    assert room.standing() == ["Change the site"]
    room.acknowledge()
    room.restart(off_s=600)
    room.run(600, 20)
    assert room.standing() == []
    room.set(personal=[{"at_min": (room.clock_min + 1) % 1_440, "name": "walk"}])
    room.run(90)
    assert room.ask("reminders.snooze", minutes=30) == {"snoozed": 1}
    room.restart(off_s=600)
    room.run(60)
    assert room.standing() == []
    room.run(1_200, 20)
    assert room.texts() == ["walk"]


def test_a_reminder_that_waits_for_another_is_not_lost_by_a_restart() -> None:
    room = Reminding()
    at = (room.clock_min + 5) % 1_440
    room.set(personal=[{"at_min": at, "name": "walk"}, {"at_min": at, "name": "drink"}])
    room.run(400, 10)
    room.restart(off_s=60)
    said = room.texts()
    room.acknowledge()
    room.run(10)
    assert [*said, *room.texts()] == ["walk", "drink"]


def test_a_reminder_that_nobody_answers_for_weeks_waits_once() -> None:
    room = Reminding()
    room.set(personal=[{"at_min": (room.clock_min + 1) % 1_440, "name": "walk"}])
    room.run(20 * DAY_S, 1_800)
    assert len(room.c.book.reminders_due) == 1
