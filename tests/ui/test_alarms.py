"""Alarms by touch, over the real daemon: what a person at the screen raises, answers and ends."""

from demo_harness import RunningDemo, wait_for
from touch import Hands, frames

from appliance.client import KeeperClient
from ui.fingers import CALM_S, REPEATS_PER_MIN, STUCK_S


def codes(demo: RunningDemo) -> list[str]:
    return [one.code for one in demo.status().alarms]


def told_since(demo: RunningDemo, seq: int, code: str) -> list[str]:
    """What history says of one alarm, oldest first, after a row of the ledger."""
    with KeeperClient(demo.places.keeper_socket) as keeper:
        rows = [one for one in keeper.history(rows=40) if one.seq > seq and one.kind == "alarm"]
    texts = [one.text or "" for one in reversed(rows)]
    return [text for text in texts if f" {code} " in text]


def test_sr_11_a_touch_that_is_stuck_raises_an_alarm_at_the_pump_until_all_is_calm(
    hands: Hands, rested: RunningDemo
) -> None:
    before = int(rested.status().ledger["seq"])
    hands.tap("bolus")
    hands.sees_screen("bolus")
    hands.settles()
    stuck = hands.finger_on("5").down()
    hands.later(STUCK_S + 0.1)
    hands.sees_text("Entry is off")
    hands.sees(lambda: "A23" in codes(rested), "the pump has the alarm")
    hands.tap("7")
    assert hands.kiosk.page.view.digits == "5", "entry is off"
    stuck.up()
    hands.later(CALM_S + 0.1)
    hands.sees(lambda: "A23" not in codes(rested), "the alarm has gone with its cause")
    hands.sees(lambda: not hands.reads("Entry is off"), "entry is back")
    wait_for(lambda: len(told_since(rested, before, "A23")) == 2, "both rows are told")
    raised, ended = told_since(rested, before, "A23")
    assert raised == "low A23 raised: a touch on the screen does not end: entry is off"
    assert ended.startswith("low A23 ended: ")


def test_sr_11_a_key_that_repeats_without_end_raises_it_too_and_stop_still_stops(
    hands: Hands, rested: RunningDemo
) -> None:
    hands.tap("bolus")
    hands.sees_screen("bolus")
    hands.settles()
    for _press in range(REPEATS_PER_MIN + 1):
        hands.tap("clear")
        hands.later(0.12)

    def texts() -> list[str]:
        return [one.text for one in rested.status().alarms if one.code == "A23"]

    hands.sees(texts, "the pump has the alarm")
    assert texts() == ["a key on the screen repeats without end: entry is off"]
    hands.tap("STOP")
    hands.sees_text("Everything is stopped")
    hands.later(CALM_S + 0.1)
    frames(2)
    hands.sees(lambda: not texts(), "it has gone with its cause")
