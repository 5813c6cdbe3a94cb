"""Alarms by touch, over the real daemon: what a person at the screen raises, answers and ends."""

import contextlib
import os
import signal
from typing import Any

import pytest
from demo_harness import RunningDemo, wait_for
from touch import Hands, frames

from appliance.client import KeeperClient, NoPump, OutcomeUnknown, PumpFailed
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
    hands.sees(lambda: "A26" in codes(rested), "the pump has the alarm")
    hands.tap("7")
    assert hands.kiosk.page.view.digits == "5", "entry is off"
    stuck.up()
    hands.later(CALM_S + 0.1)
    hands.sees(lambda: "A26" not in codes(rested), "the alarm has gone with its cause")
    hands.sees(lambda: not hands.reads("Entry is off"), "entry is back")
    wait_for(lambda: len(told_since(rested, before, "A26")) == 2, "both rows are told")
    raised, ended = told_since(rested, before, "A26")
    assert raised == "low A26 raised: a touch on the screen does not end: entry is off"
    assert ended.startswith("low A26 ended: ")


@pytest.mark.full
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
        return [one.text for one in rested.status().alarms if one.code == "A26"]

    hands.sees(texts, "the pump has the alarm")
    assert texts() == ["a key on the screen repeats without end: entry is off"]
    hands.tap("STOP")
    hands.sees_text("Everything is stopped")
    hands.later(CALM_S + 0.1)
    frames(2)
    hands.sees(lambda: not texts(), "it has gone with its cause")


def test_sr_50_a_pause_of_the_sound_counts_down_on_the_screen(
    hands: Hands, rested: RunningDemo
) -> None:
    rested.bench("inject", name="driver_fault")
    hands.sees_screen("alarm", 40)
    hands.settles()
    hands.sees(lambda: hands.kiosk.page.view.pausable, "it sounds")
    hands.tap("pause")
    hands.sees_text("Sound paused, ")

    def left_s() -> int:
        return int(hands.kiosk.page.view.pause.split("paused, ")[1].split()[0])

    first_s = hands.sees(left_s, "the seconds left")
    assert 100 <= first_s <= 120
    hands.sees(lambda: left_s() < first_s, "they count down")
    rested.bench("clear", name="all")
    hands.answers_alarms()


def test_sr_27_a_locked_pump_is_rearmed_and_resumed_by_touch(
    hands: Hands, rested: RunningDemo
) -> None:
    def is_faulted() -> bool:
        return rested.status().state == "faulted"

    for _blow in range(3):
        rested.bench("inject", name="driver_fault")
        wait_for(is_faulted, "the alarm has stopped delivery", 40)
        rested.bench("clear", name="all")
        if "A34" in codes(rested):  # an earlier test may have stopped it too
            break
        rested.recover()
    assert "A34" in codes(rested), "the third time locks it"
    hands.sees_screen("alarm")
    texts = hands.answers_alarms()
    assert any("I have seen it, then Basal, then Re-arm, then Resume." in one for one in texts)
    assert not any("pumpctl" in one for one in texts)
    hands.kiosk.go("home")
    hands.settles()
    hands.tap("basal")
    hands.sees_screen("basal")
    hands.settles()
    hands.sees_text("find out why, then re-arm")
    hands.tap("resume")
    assert rested.status().state == "faulted", "it waits for the re-arming"
    hands.settles()
    hands.tap("rearm")
    hands.sees_text("Re-armed")
    hands.sees(lambda: hands.button("resume").enabled, "it can be resumed")
    hands.settles()
    hands.tap("resume")
    hands.sees(lambda: rested.status().state == "running", "basal is delivered again", 40)
    rested.bounds_hold()


STOPPERS: dict[str, tuple[str, dict[str, Any]]] = {
    "the motor driver is in fault": ("driver_fault", {}),
    "the read-back is dead": ("readback_dead", {}),
    "the read-back sees more": ("readback_extra", {"edges": 5}),
    "STEP is stuck": ("step_stuck", {"level": "low"}),
    "the line is blocked": ("occlusion", {}),
    "something pushes on the plunger": ("force_spike", {"mn": 60_000, "ms": 2_000}),
    "ENABLE is not as it was set": ("enable_feedback", {"says": "off"}),
    "the supply is about to end": ("power_fail", {"every_ms": 0}),
    "the pins are taken away": ("pins_denied", {}),
    "pump-stepper is killed": ("pump-stepper", {}),
    "pump-guard is killed": ("pump-guard", {}),
    "pumpd is killed": ("pumpd", {}),
}


@pytest.mark.full
@pytest.mark.timeout(150)
@pytest.mark.parametrize("what", list(STOPPERS))
def test_sr_51_whatever_has_stopped_delivery_is_answered_and_resumed_by_touch_alone(
    hands: Hands, rested: RunningDemo, what: str
) -> None:
    name, parameters = STOPPERS[what]
    with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed), rested.bolus(2_000_000):
        before = rested.truth_steps()
        wait_for(lambda: rested.truth_steps() > before, "it steps")
        if name.startswith("pump"):
            os.kill(rested.pid(name), signal.SIGKILL)
        else:
            rested.bench("inject", name=name, **parameters)
        rested.state_is("faulted", "suspended")
    stopped = rested.truth_steps()
    hands.sees_screen("alarm", 40)
    assert rested.truth_steps() == stopped, "nothing moves until a person resumes"
    rested.bench("clear", name="all")  # the cause is put right; the rest is done at the screen

    def resumed() -> bool:
        """Do one thing at a look: another alarm of the same cause may take the screen meanwhile."""
        if rested.status().state == "running":
            return True
        if hands.screen() == "alarm":
            hands.answers_alarms()
        elif hands.screen() != "basal":
            hands.kiosk.go("home")
            hands.settles()
            if hands.screen() == "home":
                hands.tap("basal")
        else:
            hands.settles()
            if hands.screen() == "basal":
                keys = {getattr(one, "key", "") for one in hands.buttons() if one.enabled}
                if wanted := keys & {"resume", "rearm"}:  # neither while the self-test runs
                    hands.tap(min(wanted))
        return False

    hands.sees(resumed, "basal is delivered again", 60)
    rested.bounds_hold()
