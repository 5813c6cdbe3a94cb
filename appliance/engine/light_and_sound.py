"""The light-and-sound desk: pauses the sound, has lamps and buzzer checked, knows a dead one.

The guard drives lamps and buzzer. Where a machine feeds back what draws current, this desk compares
it with what the guard was told to show: a channel that stays dark or silent is an alarm on the
others, and no new bolus begins (SR-54). A check that was not looked at all the time proves nothing
against a channel, and is played again (SR-56). Where a person has to look, the first bolus after a
start waits for that (SR-53). Sounds, and so every time here, run on real time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.domain.alarms import AlarmCode, Priority
from appliance.domain.limits import Reason
from appliance.domain.units import NS_PER_H, NS_PER_MS, NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked, ToGuard
from appliance.records import SignalCheck

BUZZER, LAMP_HIGH, LAMP_MEDIUM, LAMP_LOW = 1, 2, 4, 8
_NAMES = {
    BUZZER: "the buzzer",
    LAMP_HIGH: "the red lamp",
    LAMP_MEDIUM: "the yellow lamp",
    LAMP_LOW: "the cyan lamp",
}
_LAMP_OF = {Priority.HIGH: LAMP_HIGH, Priority.MEDIUM: LAMP_MEDIUM, Priority.LOW: LAMP_LOW}
CHECK_NS = 4_000 * NS_PER_MS
_CONFIRM_NS = 120 * NS_PER_S
_AGAIN_NS = 24 * NS_PER_H
_GUARD_FRESH_NS = 500 * NS_PER_MS
_LOOKED_AT_NS = 200 * NS_PER_MS
"""Readings of a check that are no farther apart meet every lamp of it and every pulse."""
_PLAYED_IN_A_ROW = 3
"""So often a check is played where none was looked at all the time: the last one counts."""
_SOUND_NS = {
    Priority.HIGH: 13 * NS_PER_S,
    Priority.MEDIUM: 23 * NS_PER_S,
    Priority.LOW: 33 * NS_PER_S,
}
_LIGHT_NS = 4 * NS_PER_S
_READINGS_PER_S = 10
"""As many readings a second must have missed a channel: one that stood still proves nothing."""


@dataclass(slots=True)
class _Watched:
    """One channel that should be on now and then, and has not been seen on since an instant."""

    since_ns: int
    readings: int = 0


class LightAndSoundDesk(Desk):
    """Watches over the way by which alarms reach a person."""

    def __init__(
        self,
        context: Context,
        alarms: AlarmBoard,
        guard_silent_ns: Callable[[], int | None],
        *,
        guard_signals: Callable[[], bool],
        may_check: Callable[[], bool],
    ) -> None:
        """``guard_silent_ns`` is None where there is no guard; ``may_check`` ends the start.

        ``guard_signals`` says whether the guard shows a trip of its own. That goes on after the
        alarm was acknowledged, until the resume, and no check is played beside it.
        """
        super().__init__(context)
        self._alarms = alarms
        self._guard_silent_ns = guard_silent_ns
        self._guard_signals = guard_signals
        self._may_check = may_check
        self._by_person = context.machine.signals == "person"
        self.confirmed = False
        self._has_feedback = False
        self._check_since_ns: int | None = None
        self._checked_ns: int | None = None
        self._seen = 0
        self._read_ns = 0
        self._unwatched = False
        self._played = 0
        self._watched: dict[int, _Watched] = {}
        self._shown_since_ns = -1
        self._next_check_ns: int | None = None

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "alarms.silence": self._silence,
            "signals.check": self._check,
            "signals.confirm": self._confirm,
        }

    def in_snapshot(self) -> Mapping[str, Any]:
        shown = self._alarms.shown
        return {
            "audio": {
                "priority": shown.priority,
                "sounding": shown.sounding,
                "paused_left_s": -(-self._alarms.pause_left_ns // NS_PER_S),
            },
            "signals": {
                "by": self._c.machine.signals,
                "confirmed": self.confirmed or not self._by_person,
                "lost": self._alarms.is_active(AlarmCode.CHANNEL_LOST),
            },
        }

    def against_bolus(self) -> Sequence[Reason]:
        if self._alarms.is_active(AlarmCode.CHANNEL_LOST):
            text = "an alarm might not be seen or heard: pumpctl check-signals"
            return [Reason("signals_lost", text)]
        if self._by_person and not self.confirmed:
            text = "nobody has checked light and sound since this start: pumpctl check-signals"
            return [Reason("signals_unchecked", text)]
        return ()

    # ------------------------------------------------------------------ requests

    def _silence(self, asked: Asked) -> None:
        if not self._alarms.shown.priority:
            self._refuse(asked, [Reason("no_alarm", "no alarm sounds")])
            return
        left_ns = self._alarms.pause()
        self._c.write([self._c.entry("signals", {"event": "paused", "by": f"uid {asked.uid}"})])
        self._done(asked, {"paused_left_s": -(-left_ns // NS_PER_S)})

    def _check(self, asked: Asked) -> None:
        reasons = []
        if self._guard_silent_ns() is None:
            reasons.append(Reason("no_guard", "pump-guard is gone: it alone drives them"))
        if self._alarms.shown.priority:
            text = "an alarm is shown as it is: look and listen, acknowledge it, then check"
            reasons.append(Reason("alarm", text))
        elif self._guard_signals():
            text = "the guard shows its trip until delivery is resumed: resume, then check"
            reasons.append(Reason("alarm", text))
        if reasons:
            self._refuse(asked, reasons)
            return
        self._begin()
        self._done(asked, {"duration_ms": CHECK_NS // NS_PER_MS, "feedback": self._has_feedback})

    def _confirm(self, asked: Asked) -> None:
        seen, how = asked.params["seen"], asked.params["how"]
        checked_ns = self._checked_ns
        if self._check_since_ns is not None:
            text = "the check is being played: look and listen to its end, then confirm"
            self._refuse(asked, [Reason("no_check", text)])
            return
        age_ns = None if checked_ns is None else self._c.now_ns - checked_ns
        if age_ns is None or age_ns > self._real(_CONFIRM_NS):
            text = "no check was played in the last 120 s: pumpctl check-signals"
            self._refuse(asked, [Reason("no_check", text)])
            return
        missing = self._missing()
        if seen and missing:
            text = f"{missing} drew no current, whatever was seen or heard"
            self._refuse(asked, [Reason("signals_lost", text)])
            return
        self._checked_ns = None
        body = {"event": "confirmed" if seen else "denied", "how": how, "by": f"uid {asked.uid}"}
        self._c.write([self._c.entry("signals", body)])
        self.confirmed = seen
        if seen:
            self._alarms.clear(AlarmCode.CHANNEL_LOST)
        else:
            self._alarms.raise_(AlarmCode.CHANNEL_LOST, "a person missed a lamp or the buzzer")
        self._done(asked, {"confirmed": seen})

    # ------------------------------------------------------------------ the check

    def _begin(self) -> None:
        self._seen, self._unwatched = 0, False
        self._check_since_ns = self._read_ns = self._c.now_ns
        self._c.add(ToGuard(SignalCheck()))

    def tend(self) -> None:
        """End a check that is over, and begin one that is due where the machine looks itself."""
        now_ns = self._c.now_ns
        if self._check_since_ns is not None:
            if self._alarms.shown.priority:
                # The alarm is shown instead, and the check when that is over.
                self._check_since_ns, self._next_check_ns = None, now_ns
            elif now_ns - self._check_since_ns >= self._real(CHECK_NS):
                self._check_since_ns, self._checked_ns = None, now_ns
                self._judge_check()
            return
        due = self._next_check_ns is None or now_ns >= self._next_check_ns
        busy = self._alarms.shown.priority or self._guard_signals()
        if due and self._has_feedback and not busy and self._may_check():
            self._next_check_ns = now_ns + self._real(_AGAIN_NS)
            self._begin()

    def _judge_check(self) -> None:
        if not self._has_feedback:
            return
        self._note_gap()
        missing = self._missing()
        self._played += 1
        if missing and self._unwatched and self._played < _PLAYED_IN_A_ROW:
            self._next_check_ns = self._c.now_ns
            return
        self._played = 0
        body = {"event": "checked", "missing": missing, "by": "feedback"}
        self._c.write([self._c.entry("signals", body)])
        if missing:
            self._lost(missing)
        elif not self._by_person or self.confirmed:
            self._alarms.clear(AlarmCode.CHANNEL_LOST)

    def _note_gap(self) -> None:
        """Note where the last reading is so old that a lamp or a pulse may have gone unseen."""
        now_ns = self._c.now_ns
        self._unwatched |= now_ns - self._read_ns > self._real(_LOOKED_AT_NS)
        self._read_ns = now_ns

    def _missing(self) -> str:
        if not self._has_feedback:
            return ""
        return " and ".join(name for bit, name in _NAMES.items() if not self._seen & bit)

    def _lost(self, names: str) -> None:
        self._alarms.raise_(AlarmCode.CHANNEL_LOST, f"{names} drew no current when told to")

    # ------------------------------------------------------------------ feedback

    @property
    def watches(self) -> bool:
        """Say whether a lamp or the buzzer is to be seen on: in a check, or for an alarm."""
        return self._check_since_ns is not None or bool(self._alarms.shown.priority)

    def hear_feedback(self, flags: int) -> None:
        """Take one reading of what draws current now."""
        self._has_feedback = True
        self._seen |= flags
        self._note_gap()
        silent_ns = self._guard_silent_ns()
        if silent_ns is None or silent_ns > self._real(_GUARD_FRESH_NS):
            self._watched, self._unwatched = {}, True  # a guard that is gone is an alarm of its own
            return
        shown = self._alarms.shown
        if self._alarms.shown_since_ns != self._shown_since_ns:
            self._shown_since_ns = self._alarms.shown_since_ns
            self._watched = {}
        if not shown.priority:
            return
        priority = Priority(shown.priority)
        spans_ns = {_LAMP_OF[priority]: _LIGHT_NS}
        if shown.sounding:
            spans_ns[BUZZER] = _SOUND_NS[priority]
        for bit, span_ns in spans_ns.items():
            self._look(bit, span_ns, seen=bool(flags & bit))

    def _look(self, bit: int, span_ns: int, *, seen: bool) -> None:
        now_ns = self._c.now_ns
        first = bit not in self._watched
        watched = self._watched.setdefault(bit, _Watched(now_ns))
        if seen:
            watched.since_ns, watched.readings = now_ns, 0
            return
        watched.readings += not first
        waited_ns = now_ns - watched.since_ns
        enough = watched.readings >= span_ns * _READINGS_PER_S // NS_PER_S
        if enough and waited_ns >= self._real(span_ns):
            self._lost(_NAMES[bit])

    def _real(self, duration_ns: int) -> int:
        return duration_ns * self._c.machine.speed
