"""What an alarm's screen says of the bolus that it may have ended."""

from ui_desk import FakeDesk, snapshot_of

from appliance.client import Dose, Snapshot
from appliance.simulate.bench import VirtualBench
from ui.presenters.alarm import AlarmPresenter

ALARM = {
    "number": 7,
    "code": "A01",
    "name": "Occlusion",
    "priority": "high",
    "text": "blocked",
    "what_to_do": ["Free the line."],
    "since_utc_ns": 1_763_820_309_000_000_000,
    "active": True,
    "acknowledged": False,
    "escalated": False,
}
RUNNING = {"id": "a", "kind": "bolus", "programmed_uu": 3_000_000, "programmed_steps": 1_629}
COUNTS = {"issued_steps": 163, "confirmed_steps": 163, "maximum_steps": 163}


def dose(certainty: str, outcome: str) -> Dose:
    return Dose(**RUNNING, **COUNTS, certainty=certainty, outcome=outcome)


def test_a_bolus_that_ends_after_the_alarm_has_come_is_told_as_soon_as_its_end_is_known() -> None:
    desk = FakeDesk(snapshot_of(alarms=[ALARM]))
    desk.last_bolus_id = "a"  # type: ignore[attr-defined]
    desk.client.lookup.side_effect = [
        dose("open", "open"),
        dose("open", "open"),
        dose("exact", "fault"),
    ]
    alarm = AlarmPresenter(desk)
    alarm.entered()
    assert alarm.view().dose == ""
    alarm.idle(0.1)  # the snapshot has no bolus any more, and the record no end yet
    assert alarm.view().dose == ""
    alarm.idle(0.2)
    assert "0.30 U of 3.00 U confirmed" in alarm.view().dose
    alarm.idle(0.3)
    assert desk.client.lookup.call_count == 3


def test_a_bolus_that_goes_on_under_an_alarm_is_not_asked_about_again_and_again() -> None:
    bench = VirtualBench()
    bench.run(5)
    bench.start_bolus("3")
    bench.run(3)
    desk = FakeDesk(Snapshot.of(dict(bench.snapshot()) | {"alarms": [ALARM]}))
    assert desk.state.live is not None
    assert desk.state.live.bolus is not None
    desk.last_bolus_id = desk.state.live.bolus.id  # type: ignore[attr-defined]
    desk.client.lookup.return_value = dose("open", "open")
    alarm = AlarmPresenter(desk)
    alarm.entered()
    for tenth in range(20):
        alarm.idle(tenth / 10)
    assert desk.client.lookup.call_count == 1
