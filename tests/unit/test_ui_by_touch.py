"""What stands on the screen can be done at the screen: no command of a terminal is named there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ui_desk import FakeDesk, snapshot_of

from appliance.client import Reason, Refused
from appliance.client.messages import Basal
from appliance.domain.alarms import TABLE, AlarmCode
from ui.presenters.basal import BasalPresenter
from ui.presenters.by_touch import BY_TOUCH, step_words
from ui.presenters.desk import Stop
from ui.presenters.inhibited import InhibitedPresenter
from ui.presenters.reasons import reason_words
from ui.presenters.stopped import StoppedPresenter
from ui.words import words

ROOT = Path(__file__).parents[2]


def sentences() -> Iterator[str]:
    """Every sentence of the pump's, but the table of alarms, that names a command."""
    for room in ("engine", "domain"):
        for path in sorted((ROOT / "appliance" / room).rglob("*.py")):
            if path.name == "alarms.py" and room == "domain":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "7"
                        for part in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("code", AlarmCode)
def test_no_alarm_tells_a_person_at_the_screen_to_type_a_command(
    code: AlarmCode, language: str
) -> None:
    words.use(language)
    try:
        for sentence in TABLE[code].what_to_do:
            assert "pumpctl" not in step_words(sentence)
    finally:
        words.use("en")


def test_every_sentence_that_the_screen_says_otherwise_is_one_of_the_pump() -> None:
    said = {sentence for kind in TABLE.values() for sentence in kind.what_to_do}
    assert set(BY_TOUCH) <= said


def test_no_refusal_tells_a_person_at_the_screen_to_type_a_command() -> None:
    named = [one for one in sentences() if "pumpctl " in one and "\n" not in one]
    assert len(named) >= 10
    for text in named:
        shown = reason_words(Reason(code="x", text=text))
        assert "pumpctl" not in shown, text
        assert shown[-1] == "."


def locked(**changed: object) -> FakeDesk:
    desk = FakeDesk(snapshot_of(**({"state": "faulted", "locked": True} | changed)))
    desk.client.basal.return_value = Basal(active=None, profiles={}, rate_uu_per_h=0)
    return desk


@pytest.mark.parametrize("screen", [BasalPresenter, InhibitedPresenter, StoppedPresenter])
def test_sr_27_a_locked_pump_is_rearmed_first_and_resumed_in_another_place(
    screen: type[BasalPresenter | InhibitedPresenter | StoppedPresenter],
) -> None:
    desk = locked()
    presenter = screen(desk)
    if isinstance(presenter, StoppedPresenter):
        desk.last_stop = Stop(answered=True)
    presenter.entered()
    before = {one.key: one.enabled for one in presenter.view().foot}
    assert (before["rearm"], before["resume"]) == (True, False)
    presenter.press("resume")
    desk.client.resume.assert_not_called()
    presenter.press("rearm")
    desk.client.rearm.assert_called_once_with()
    desk.hears(snapshot_of(state="faulted", locked=False))
    after = {one.key: one.enabled for one in presenter.view().foot}
    assert list(after) == list(before), "no button has moved under the finger"
    assert (after["rearm"], after["resume"]) == (False, True)
    presenter.press("rearm")
    presenter.press("resume")
    desk.client.rearm.assert_called_once_with()
    desk.client.resume.assert_called_once_with()


def test_a_refused_rearming_says_why() -> None:
    desk = locked()
    desk.client.rearm.side_effect = Refused([Reason(code="unacknowledged", text="alarm 7")])
    basal = BasalPresenter(desk)
    basal.entered()
    basal.press("rearm")
    view = basal.view()
    assert view.message == "An alarm of high priority waits for: I have seen it."
    assert {one.key: one.enabled for one in view.foot}["rearm"]


def test_basal_that_glucose_holds_is_had_back_with_one_touch() -> None:
    glucose = {"state": "ok", "protection": {"rule": "low", "suspended": True}}
    desk = locked(state="running", locked=False, glucose=glucose)
    basal = BasalPresenter(desk)
    basal.entered()
    assert "basal_back" in [one.key for one in basal.view().foot]
    basal.press("basal_back")
    desk.client.resume_glucose.assert_called_once_with()
    desk.hears(snapshot_of(state="running", glucose={"state": "ok"}))
    assert "basal_back" not in [one.key for one in basal.view().foot]
