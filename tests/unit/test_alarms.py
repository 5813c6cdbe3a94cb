"""Alarms as a person meets them: what sounds, for how long it may be silent, what comes back."""

import pytest
from engine_room import LIMITS, Room

from appliance.domain.alarms import TABLE, AlarmCode, Priority
from appliance.domain.basal import Profile, Segment
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_S
from appliance.engine.alarms import Shown
from appliance.engine.alerts import AlertsDesk
from appliance.engine.light_and_sound import LightAndSoundDesk
from appliance.records import Signal, SignalCheck

HOUR_S = 3_600


class Basal:
    """A schedule of 1 U/h all day."""

    profile = Profile("Day", (Segment(0, 1_000_000),))


class Alerts(Room):
    """A room with the alerts desk, in a state that a test sets."""

    def __init__(self, **changed: object) -> None:
        super().__init__(**changed)
        self.state = PumpState.RUNNING
        self.stopped: list[str] = []
        self.begin()
        self.setting("limits", LIMITS)
        self.setting("cartridge", {"amount_uu": 300_000_000})

    def begin(self) -> None:
        self.desk = AlertsDesk(
            self.c,
            self.alarms,
            Basal(),
            lambda: self.state,
            self.stop,  # type: ignore[arg-type]
        )
        self.desks = [self.desk]

    def stop(self, why: str) -> None:
        self.stopped.append(why)
        self.state = PumpState.SUSPENDED


class Signals(Room):
    """A room with the light-and-sound desk; ``feedback`` is what the machine shows it."""

    def __init__(self, **changed: object) -> None:
        super().__init__(**changed)
        self.silent_ns: int | None = 0
        self.tripped = False
        self.desk = LightAndSoundDesk(
            self.c,
            self.alarms,
            lambda: self.silent_ns,
            guard_signals=lambda: self.tripped,
            may_check=lambda: True,
        )
        self.desks = [self.desk]
        self.dead = 0
        self.check_at_ns = -(10**12)

    def read(self) -> None:
        """Show what draws current now, as the guard's rhythm has it."""
        from appliance.guard import signals

        for at_s, record in self.sent:
            if isinstance(record, SignalCheck):
                self.check_at_ns = int(at_s * NS_PER_S)
        now_ns = int(self.at_s * NS_PER_S)
        shown = self.alarms.shown
        since_ns = self.c.now_ns - self.alarms.shown_since_ns
        lamp = shown.priority if signals.lamp_is_on(shown.priority, since_ns) else 0
        sound = shown.sounding and signals.buzzer_is_on(shown.priority, since_ns)
        if self.tripped:
            lamp, sound = 3, False
        elif not shown.priority:
            lamp, sound = signals.check_shows(now_ns - self.check_at_ns)
        flags = int(sound) | {0: 0, 3: 2, 2: 4, 1: 8}[lamp]
        self.desk.hear_feedback(flags & ~self.dead)

    def watch(self, seconds: float) -> None:
        self.run(seconds, 0.05, self.read)


# ---------------------------------------------------------------------- the board


def test_sr_50_a_pause_ends_by_itself_after_120_s_and_no_second_one_makes_it_longer() -> None:
    room = Signals()
    room.alarms.raise_(AlarmCode.LOW_RESERVOIR, "low")
    room.turn()
    assert room.ask("alarms.silence") == {"paused_left_s": 120}
    room.run(100)
    assert room.ask("alarms.silence") == {"paused_left_s": 20}
    assert room.desk.in_snapshot()["audio"] == {
        "priority": 1,
        "sounding": False,
        "paused_left_s": 20,
    }
    room.run(30)
    signals = [(at_s, one) for at_s, one in room.sent if isinstance(one, Signal)]
    assert signals == [
        (0.0, Signal(1, 1)),
        (0.0, Signal(1, 0)),
        (120.0, Signal(1, 1)),
    ]


@pytest.mark.parametrize("code", [AlarmCode.CLOCK_STEPPED, AlarmCode.OCCLUSION])
def test_sr_50_a_pause_is_broken_at_once_by_any_new_alarm(code: AlarmCode) -> None:
    room = Signals()
    room.alarms.raise_(AlarmCode.VERY_LOW_RESERVOIR, "very low")
    room.turn()
    room.ask("alarms.silence")
    room.run(5)
    assert not room.alarms.shown.sounding
    room.alarms.raise_(code, "new")
    room.turn()
    assert room.alarms.shown.sounding
    assert room.sent[-1] == (5.0, Signal(max(2, TABLE[code].priority), 1))


def test_sr_50_without_an_alarm_there_is_nothing_to_silence() -> None:
    assert Signals().ask("alarms.silence") == {"refused": ["no alarm sounds"]}


def test_sr_51_an_alarm_stays_until_it_is_acknowledged_and_its_cause_is_gone() -> None:
    room = Room()
    room.alarms.raise_(AlarmCode.VERY_LOW_RESERVOIR, "very low")
    room.turn()
    room.alarms.clear(AlarmCode.VERY_LOW_RESERVOIR)
    room.turn()
    assert room.standing() == ["Very low reservoir"]
    assert room.alarms.shown == Shown(2, sounding=True)
    room.acknowledge()
    assert room.alarms.listed() == []
    assert room.alarms.shown == Shown()


def test_sr_51_a_reminder_goes_with_its_cause() -> None:
    room = Room()
    room.alarms.raise_(AlarmCode.DELIVERY_STOPPED, "stopped")
    room.turn()
    room.alarms.clear(AlarmCode.DELIVERY_STOPPED)
    room.turn()
    assert room.alarms.listed() == []


def test_an_acknowledged_condition_is_not_raised_again_while_it_lasts() -> None:
    room = Room()
    for _ in range(3):
        room.alarms.raise_(AlarmCode.LOW_RESERVOIR, "low")
        room.turn()
        room.acknowledge()
    assert len([row for row in room.ledger.rows() if row.entry.body["event"] == "raised"]) == 1
    room.alarms.clear(AlarmCode.LOW_RESERVOIR)
    room.turn()
    room.alarms.raise_(AlarmCode.LOW_RESERVOIR, "low again")
    room.turn()
    assert room.standing() == ["Low reservoir"]


@pytest.mark.parametrize(
    ("code", "after"),
    [
        (AlarmCode.LOW_RESERVOIR, Signal(2, 1)),
        (AlarmCode.VERY_LOW_RESERVOIR, Signal(3, 1)),
        (AlarmCode.OCCLUSION, Signal(3, 1, 1)),
    ],
)
def test_sr_52_an_alarm_that_nobody_answers_escalates_after_10_min(
    code: AlarmCode, after: Signal
) -> None:
    room = Room()
    room.alarms.raise_(code, "look")
    room.turn()
    room.run(599)
    assert len(room.sent) == 1
    room.alarms.pause()
    room.run(2)
    assert room.sent[-1] == (600.0, after)
    assert [one["escalated"] for one in room.alarms.listed()] == [True]
    room.acknowledge()
    assert room.sent[-1][1] == Signal(0, 0)


def test_sr_52_a_restart_does_not_begin_the_time_to_answer_anew() -> None:
    room = Room()
    room.alarms.raise_(AlarmCode.NO_LIVE_STOP, "look")
    room.turn()
    room.run(300)
    room.restart(off_s=120)
    room.run(179)
    assert [one["escalated"] for one in room.alarms.listed()] == [False]
    room.run(2)
    assert [one["escalated"] for one in room.alarms.listed()] == [True]


def test_sr_52_after_a_restart_of_the_computer_the_time_counts_that_this_boot_proves() -> None:
    room = Room()
    room.alarms.raise_(AlarmCode.NO_LIVE_STOP, "look")
    room.turn()
    room.run(300)
    room.restart(off_s=9_000, boot_id="boot-2")
    room.run(599)
    assert [one["escalated"] for one in room.alarms.listed()] == [False]
    room.run(2)
    assert [one["escalated"] for one in room.alarms.listed()] == [True]


# ---------------------------------------------------------------------- reminders and auto-off


def test_sr_52_a_delivery_that_stays_stopped_is_said_every_15_min() -> None:
    room = Alerts()
    room.state = PumpState.SUSPENDED
    said = []
    for _ in range(3):
        room.run(14.9 * 60)
        assert room.standing() == []
        room.run(12)
        said.append(room.standing())
        room.acknowledge()
    assert said == [["Delivery is stopped"]] * 3
    room.run(16 * 60)
    room.state = PumpState.RUNNING
    room.run(2)
    assert room.standing() == []


def test_sr_52_a_stopped_delivery_is_said_after_15_min_over_a_restart_too() -> None:
    room = Alerts()
    room.state = PumpState.SUSPENDED
    room.c.write([room.c.entry("state", {"from": "running", "to": "suspended", "why": "x"})])
    room.run(600)
    room.restart(off_s=60)
    room.begin()
    room.c.write([room.c.entry("state", {"from": "suspended", "to": "starting", "why": "x"})])
    room.c.write([room.c.entry("state", {"from": "starting", "to": "suspended", "why": "x"})])
    room.run(235)
    assert room.standing() == []
    room.run(10)
    assert room.standing() == ["Delivery is stopped"]


def test_a_low_reservoir_is_said_at_the_units_that_were_set() -> None:
    room = Alerts()
    room.setting("cartridge", {"amount_uu": 30_000_000})
    room.run(1)
    assert room.standing() == []
    assert room.ask(
        "alerts.set", low_reservoir_uu=40_000_000, low_reservoir_h=None, auto_off_h=None
    )
    room.run(1)
    assert room.standing() == ["Low reservoir"]
    room.setting("cartridge", {"amount_uu": 5_000_000})
    room.run(1)
    assert room.standing() == ["Very low reservoir", "Low reservoir"]


def test_a_low_reservoir_is_said_by_the_hours_that_it_lasts_too() -> None:
    room = Alerts()
    room.setting("cartridge", {"amount_uu": 45_000_000})
    room.ask("alerts.set", low_reservoir_uu=None, low_reservoir_h=48, auto_off_h=None)
    room.run(1)
    assert room.desk.in_snapshot() == {"reservoir_h": 45}
    (alarm,) = room.alarms.listed()
    assert alarm["text"] == "the reservoir holds 45.00 U, enough for 45 h of basal"


def test_wrong_alerts_are_refused_with_field_value_and_range_and_change_nothing() -> None:
    room = Alerts()
    refused = room.ask("alerts.set", low_reservoir_uu=9_000_000, low_reservoir_h=99, auto_off_h=4)
    assert refused == {
        "refused": [
            "low_reservoir_uu = 9000000 is out of range: 10000000 to 50000000",
            "low_reservoir_h = 99 is out of range: 1 to 72, or 0 for off",
            "auto_off_h = 4 is out of range: 5 to 24, or 0 for off",
        ]
    }
    assert room.ask("alerts.show")["alerts"] == {
        "low_reservoir_uu": 20_000_000,
        "low_reservoir_h": 0,
        "auto_off_h": 0,
    }


def test_auto_off_warns_15_min_before_and_stops_a_pump_that_nobody_uses() -> None:
    room = Alerts()
    room.run(30 * HOUR_S, 60)
    assert room.standing() == []  # off, until somebody sets it
    room.ask("alerts.set", low_reservoir_uu=None, low_reservoir_h=None, auto_off_h=5)
    room.desk.used("alerts.set")
    room.run(4.7 * HOUR_S, 10)
    room.desk.used("status")  # a program's own questions are no use
    assert room.standing() == []
    room.run(0.1 * HOUR_S, 10)
    assert room.standing() == ["Auto-off is near"]
    room.run(0.3 * HOUR_S, 10)
    assert room.stopped == ["nobody used the pump for 5 h"]
    assert room.standing() == ["Auto-off"]


def test_a_hand_on_the_pump_puts_auto_off_back() -> None:
    room = Alerts()
    room.ask("alerts.set", low_reservoir_uu=None, low_reservoir_h=None, auto_off_h=5)
    room.run(4.8 * HOUR_S, 10)
    assert room.standing() == ["Auto-off is near"]
    room.desk.used("alarms.acknowledge")
    room.run(1, 1)
    assert room.standing() == []
    room.run(4.7 * HOUR_S, 10)
    assert room.stopped == []


# ---------------------------------------------------------------------- light and sound


def test_sr_53_the_first_bolus_after_a_start_waits_for_a_check_that_a_person_confirms() -> None:
    room = Signals(signals="person")
    assert [one.code for one in room.desk.against_bolus()] == ["signals_unchecked"]
    assert (
        "no check was played" in room.ask("signals.confirm", seen=True, how="person")["refused"][0]
    )
    assert room.ask("signals.check")["duration_ms"] == 4_000
    assert room.sent[-1][1] == SignalCheck()
    room.run(5)
    assert room.ask("signals.confirm", seen=True, how="person") == {"confirmed": True}
    assert room.desk.against_bolus() == ()
    row = list(room.ledger.rows())[-1].entry
    assert (row.kind, row.body["event"], row.body["how"]) == ("signals", "confirmed", "person")


def test_sr_53_a_check_that_was_not_seen_is_an_alarm_and_blocks_boluses() -> None:
    room = Signals(signals="person")
    room.ask("signals.check")
    room.run(5)
    assert room.ask("signals.confirm", seen=False, how="person") == {"confirmed": False}
    assert room.standing() == ["Light or sound is lost"]
    room.acknowledge()
    assert [one.code for one in room.desk.against_bolus()] == ["signals_lost"]


def test_sr_53_a_confirmation_is_good_for_120_s_and_for_one_check() -> None:
    room = Signals(signals="person")
    room.ask("signals.check")
    room.run(126)
    assert "no check" in room.ask("signals.confirm", seen=True, how="person")["refused"][0]


def test_an_alarm_is_not_hidden_by_a_check() -> None:
    room = Signals()
    room.alarms.raise_(AlarmCode.OCCLUSION, "blocked")
    room.turn()
    assert "an alarm is shown as it is" in room.ask("signals.check")["refused"][0]


def test_sr_56_no_check_is_played_while_the_guard_shows_its_trip() -> None:
    room = Signals(signals="feedback")
    room.tripped = True  # its alarm is acknowledged, and nobody has resumed yet
    room.watch(6)
    assert [one for _, one in room.sent if isinstance(one, SignalCheck)] == []
    assert "resume, then check" in room.ask("signals.check")["refused"][0]
    room.tripped = False
    room.watch(6)
    assert [one for _, one in room.sent if isinstance(one, SignalCheck)] == [SignalCheck()]
    assert room.standing() == []


def test_sr_53_with_feedback_the_machine_checks_itself_at_its_start_and_every_24_h() -> None:
    room = Signals(signals="feedback")
    room.watch(6)
    assert [one for _, one in room.sent if isinstance(one, SignalCheck)] == [SignalCheck()]
    assert room.standing() == []
    assert room.desk.against_bolus() == ()
    room.run(24 * HOUR_S, 60, room.read)
    assert len([one for _, one in room.sent if isinstance(one, SignalCheck)]) == 2


@pytest.mark.parametrize(
    ("dead", "name"), [(1, "the buzzer"), (2, "the red lamp"), (4, "the yellow"), (8, "the cyan")]
)
def test_sr_54_f64_a_dead_channel_is_found_by_the_check(dead: int, name: str) -> None:
    room = Signals(signals="feedback")
    room.dead = dead
    room.watch(6)
    assert room.standing() == ["Light or sound is lost"]
    assert name in room.alarms.listed()[0]["text"]
    assert [one.code for one in room.desk.against_bolus()] == ["signals_lost"]
    room.dead = 0
    room.acknowledge()
    room.ask("signals.check")
    room.watch(6)
    assert room.desk.against_bolus() == ()


@pytest.mark.parametrize(
    ("dead", "code"),
    [
        (1, AlarmCode.OCCLUSION),
        (1, AlarmCode.VERY_LOW_RESERVOIR),
        (1, AlarmCode.LOW_RESERVOIR),
        (2, AlarmCode.OCCLUSION),
        (4, AlarmCode.VERY_LOW_RESERVOIR),
        (8, AlarmCode.LOW_RESERVOIR),
    ],
)
def test_sr_54_f64_a_channel_that_dies_while_an_alarm_is_shown_is_an_alarm_on_the_others(
    dead: int, code: AlarmCode
) -> None:
    room = Signals(signals="feedback")
    room.watch(6)
    room.alarms.raise_(code, "look")
    room.watch(40)
    assert room.standing() == [TABLE[code].name]
    room.dead = dead
    room.watch(40)
    assert "Light or sound is lost" in room.standing()


def test_sr_54_what_the_feedback_denies_nobody_can_confirm() -> None:
    room = Signals(signals="person")
    room.dead = 1
    room.watch(1)
    room.ask("signals.check")
    room.watch(5)
    refused = room.ask("signals.confirm", seen=True, how="person")["refused"]
    assert refused == ["the buzzer drew no current, whatever was seen or heard"]
    assert room.standing() == ["Light or sound is lost"]


def test_sr_56_a_computer_that_stood_still_is_no_dead_buzzer() -> None:
    room = Signals(signals="feedback")
    room.watch(6)
    room.alarms.raise_(AlarmCode.OCCLUSION, "blocked")
    room.turn()
    room.run(60, 60)
    room.watch(3)
    room.silent_ns = 3 * NS_PER_S  # the guard stands: what it does not sound is not held against it
    room.dead = 15
    room.watch(30)
    assert room.standing() == ["Occlusion"]


def checks(room: Signals) -> int:
    return len([one for _, one in room.sent if isinstance(one, SignalCheck)])


def test_sr_56_a_check_that_a_standing_computer_did_not_see_is_played_again() -> None:
    room = Signals(signals="feedback")
    room.watch(1)
    room.run(1.6, 1.6)  # no reading, while the cyan lamp alone shines
    room.watch(2)
    assert checks(room) == 2
    assert room.standing() == []
    room.watch(4)
    assert checks(room) == 2
    assert room.standing() == []
    said = [row.entry.body for row in room.ledger.rows() if row.entry.kind == "signals"]
    assert [body["missing"] for body in said] == [""]


def test_sr_54_a_dead_channel_is_found_where_no_check_is_seen_throughout() -> None:
    room = Signals(signals="feedback")
    room.dead = 8
    for _ in range(6):
        room.watch(1)
        room.run(1.6, 1.6)
        room.watch(2)
    assert checks(room) == 3
    assert room.standing() == ["Light or sound is lost"]


def test_sr_54_a_check_that_an_alarm_took_the_lamps_from_is_played_after_it() -> None:
    room = Signals(signals="feedback")
    room.dead = 8
    room.watch(1)
    room.alarms.raise_(AlarmCode.VERY_LOW_RESERVOIR, "look")
    room.watch(6)
    assert checks(room) == 1
    room.alarms.clear(AlarmCode.VERY_LOW_RESERVOIR)
    room.acknowledge()
    room.watch(6)
    assert checks(room) == 2
    assert room.standing() == ["Light or sound is lost"]


def test_sr_54_a_check_that_is_played_again_is_confirmed_after_its_end() -> None:
    room = Signals(signals="person")
    room.watch(6)  # there is feedback: the machine has had its own
    room.ask("signals.check")
    room.watch(1)
    room.run(1.6, 1.6)
    room.watch(2)
    refused = room.ask("signals.confirm", seen=True, how="person")["refused"]
    assert refused == ["the check is being played: look and listen to its end, then confirm"]
    room.watch(4)
    assert room.ask("signals.confirm", seen=True, how="person") == {"confirmed": True}


def test_every_alarm_says_what_to_do_and_the_most_urgent_is_shown() -> None:
    room = Room()
    for code in AlarmCode:
        room.alarms.raise_(code, "test")
        assert TABLE[code].what_to_do
    room.turn()
    assert room.alarms.shown.priority == Priority.HIGH
    listed = [Priority[one["priority"].upper()] for one in room.alarms.listed()]
    assert listed == sorted(listed, reverse=True)
