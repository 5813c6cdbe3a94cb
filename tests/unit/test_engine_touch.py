"""What a touchscreen says of stuck fingers: an alarm, for as long as the screen says so."""

from typing import Any

from engine_room import Room

from appliance.engine.messages import Asked
from appliance.engine.touch import TouchDesk


class Screens(Room):
    """Touchscreens on connections of their own, and the desk that hears them."""

    def __init__(self) -> None:
        super().__init__()
        self.has_a_desk()

    def has_a_desk(self) -> None:
        self.desk = TouchDesk(self.c, self.alarms)
        self.desks = [self.desk]

    def says(self, stuck: str, connection: int = 1) -> None:
        self.tokens += 1
        asked = Asked(self.tokens, connection, 1000, "touch.report", {"stuck": stuck})
        self.desk.verbs["touch.report"](asked)
        self.turn()

    def told(self) -> list[tuple[str, str, str]]:
        return [(one["code"], one["priority"], one["text"]) for one in self.alarms.listed()]

    def rows(self) -> list[tuple[Any, Any]]:
        bodies = [one.entry.body for one in self.ledger.rows() if one.entry.kind == "alarm"]
        return [(body["code"], body["event"]) for body in bodies]


HELD = ("A26", "low", "a touch on the screen does not end: entry is off")
REPEATS = ("A26", "low", "a key on the screen repeats without end: entry is off")


def test_sr_11_a_stuck_touch_is_an_alarm_of_low_priority_until_the_screen_is_calm() -> None:
    room = Screens()
    room.says("held")
    room.says("held")
    assert room.told() == [HELD]
    room.says("no")
    assert room.told() == []
    room.says("repeats")
    assert room.told() == [REPEATS]
    assert room.rows() == [("A26", "raised"), ("A26", "ended"), ("A26", "raised")]


def test_sr_11_a_screen_that_has_gone_leaves_no_alarm_behind() -> None:
    room = Screens()
    room.says("held", connection=1)
    room.says("repeats", connection=2)
    room.desk.gone(1)
    room.turn()
    assert room.told() == [HELD], "the other screen is still stuck"
    room.desk.gone(2)
    room.turn()
    assert room.told() == []


def test_sr_11_an_alarm_that_an_earlier_start_left_behind_ends_at_the_next() -> None:
    room = Screens()
    room.says("held")
    room.restart(off_s=5)
    assert room.told() == [HELD]
    room.has_a_desk()  # and no screen has said a word
    room.turn()
    assert room.told() == []


def test_an_answered_alarm_of_a_touch_that_is_still_stuck_does_not_come_again() -> None:
    room = Screens()
    room.says("held")
    room.alarms.acknowledge(None, "uid 1000", lambda: None)
    room.turn()
    room.says("held")
    assert room.rows() == [("A26", "raised"), ("A26", "acknowledged")]
    room.says("no")
    assert room.told() == []
