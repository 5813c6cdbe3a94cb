"""Low-glucose protection: when basal is suspended by glucose, and when it comes back.

Three published rule sets, each as its maker describes it, and none of them a copy of a program:

- ``predictive`` (like Tandem's Basal-IQ): suspend where the trend leads under 80 mg/dL within 30
min,
  or under 70 now; resume as soon as glucose rises, even below 70. At most 2 h in any 2.5 h.
- ``before-low`` (like Medtronic's suspend before low, MiniMed 640G): with a low limit of L,
suspend at
  L + 70 or less where L + 20 or less is predicted in 30 min; resume over L + 20 where L + 40 or
  more is predicted. At least 30 min, at most 2 h, and not again within 30 min.
- ``low`` (like Medtronic's low suspend, Veo): suspend at the limit or under it, for 2 h; not again
  within 4 h after a suspension that lasted its whole time.

A decision is made for each reading of the sensor, and none by an old one: the engine alerts
instead. The limit of time is the engine's clock alone. Nothing here ends what a person has
suspended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.glucose import predicted_mg_dl
from appliance.domain.limits import Reason
from appliance.domain.units import NS_PER_H, NS_PER_MIN

AHEAD_MIN = 30
LONGEST_NS = 2 * NS_PER_H
WINDOW_NS = 150 * NS_PER_MIN
PERSON_NS = 30 * NS_PER_MIN
"""After a person has ended a suspension none begins for so long."""

_SHORTEST_NS = {"predictive": 5 * NS_PER_MIN, "before-low": 30 * NS_PER_MIN}
_REST_NS = {"before-low": 30 * NS_PER_MIN}
_LOW_REST_NS = 4 * NS_PER_H
_NOW_MG_DL, _PREDICTED_MG_DL = 70, 80


class Rule(StrEnum):
    """Which rule set. The values are what the ledger keeps."""

    OFF = "off"
    LOW = "low"
    PREDICTIVE = "predictive"
    BEFORE_LOW = "before-low"


class Action(StrEnum):
    """What a decision comes to. ``held`` would suspend, and a limit forbids it."""

    STAY = "stay"
    SUSPEND = "suspend"
    RESUME = "resume"
    HELD = "held"


LIMITS_MG_DL: dict[Rule, tuple[int, int, int]] = {
    Rule.LOW: (40, 110, 60),
    Rule.BEFORE_LOW: (50, 90, 60),
}
"""Lowest, highest and usual limit of the rule sets that have one."""


@dataclass(frozen=True, slots=True)
class Span:
    """A suspension, as ages from now: when it began, and when it ended (0 while it goes on)."""

    began_ago_ns: int
    ended_ago_ns: int = 0
    by_person: bool = False

    @property
    def length_ns(self) -> int:
        """Return how long it lasted so far."""
        return self.began_ago_ns - self.ended_ago_ns


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a decision is made by: the newest reading, the one before, the trend (mg/dL an hour)."""

    mg_dl: int
    before_mg_dl: int | None
    slope: int | None

    @property
    def predicted(self) -> int | None:
        """Return where the trend leads in 30 min; None without a trend."""
        return None if self.slope is None else predicted_mg_dl(self.mg_dl, self.slope, AHEAD_MIN)

    @property
    def rises(self) -> bool:
        """Say whether it is above the reading before."""
        return self.before_mg_dl is not None and self.mg_dl > self.before_mg_dl


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why in words."""

    action: Action
    why: str


def limit_of(rule: Rule, limit_mg_dl: int | None) -> int | None:
    """Return the limit that a rule set uses: the one given, or its usual one; None has none."""
    bounds = LIMITS_MG_DL.get(rule)
    return None if bounds is None else limit_mg_dl or bounds[2]


def faults_of(rule: Rule, limit_mg_dl: int | None) -> list[Reason]:
    """List what is against a rule set and its limit."""
    bounds = LIMITS_MG_DL.get(rule)
    if bounds is None or limit_mg_dl is None or bounds[0] <= limit_mg_dl <= bounds[1]:
        return []
    allowed = f"{bounds[0]} to {bounds[1]}"
    text = f"protection_limit_mg_dl = {limit_mg_dl} is out of range for {rule.value}: {allowed}"
    return [Reason("out_of_range", text, "protection_limit_mg_dl", str(limit_mg_dl), allowed)]


def spent_ns(spans: Sequence[Span], window_ns: int = WINDOW_NS) -> int:
    """Return how long of the last ``window_ns`` was suspended."""
    return sum(min(one.began_ago_ns, window_ns) - min(one.ended_ago_ns, window_ns) for one in spans)


def decide(
    rule: Rule, limit_mg_dl: int | None, inputs: Inputs, spans: Sequence[Span], *, suspended: bool
) -> Decision:
    """Decide by one new reading. ``spans`` are the suspensions so far, oldest first; the last one
    goes on where ``suspended`` says so.
    """
    if rule is Rule.OFF:
        return Decision(Action.STAY, "protection is off")
    limit = limit_of(rule, limit_mg_dl) or 0
    if suspended:
        return _may_resume(rule, limit, inputs, spans[-1])
    why = _cause(rule, limit, inputs)
    if not why:
        return Decision(Action.STAY, "no cause")
    against = _against(rule, spans)
    return Decision(Action.HELD, f"{why}; {against}") if against else Decision(Action.SUSPEND, why)


def over_time(rule: Rule, spans: Sequence[Span]) -> str:
    """Say why a suspension that goes on has to end by the clock; nothing where it may go on."""
    if not spans:
        return ""
    if rule is Rule.PREDICTIVE:
        if spent_ns(spans) >= LONGEST_NS:
            return "2 h in the last 2.5 h are over"
    elif spans[-1].length_ns >= LONGEST_NS:
        return "2 h are over"
    return ""


def _cause(rule: Rule, limit: int, inputs: Inputs) -> str:
    now, ahead = inputs.mg_dl, inputs.predicted
    match rule:
        case Rule.LOW if now <= limit:
            return f"{now} mg/dL is at {limit} or under"
        case Rule.PREDICTIVE if inputs.rises:
            return ""
        case Rule.PREDICTIVE if now < _NOW_MG_DL:
            return f"{now} mg/dL is under {_NOW_MG_DL}"
        case Rule.PREDICTIVE if ahead is not None and ahead < _PREDICTED_MG_DL:
            return f"{ahead} mg/dL in {AHEAD_MIN} min is under {_PREDICTED_MG_DL}"
        case Rule.BEFORE_LOW if ahead is not None and now <= limit + 70 and ahead <= limit + 20:
            return f"{ahead} mg/dL in {AHEAD_MIN} min is at {limit + 20} or under"
        case _:
            return ""


def _against(rule: Rule, spans: Sequence[Span]) -> str:
    """Say what forbids a suspension now."""
    if not spans:
        return ""
    last = spans[-1]
    if last.by_person and last.ended_ago_ns < PERSON_NS:
        return "a person ended one less than 30 min ago"
    if rule is Rule.PREDICTIVE and spent_ns(spans) >= LONGEST_NS:
        return "2 h in the last 2.5 h are over"
    if last.ended_ago_ns < _REST_NS.get(rule.value, 0):
        return "the last one ended less than 30 min ago"
    whole = last.length_ns >= LONGEST_NS
    if rule is Rule.LOW and whole and last.ended_ago_ns < _LOW_REST_NS:
        return "the last one lasted its 2 h, less than 4 h ago"
    return ""


def _may_resume(rule: Rule, limit: int, inputs: Inputs, last: Span) -> Decision:
    if last.length_ns < _SHORTEST_NS.get(rule.value, LONGEST_NS):
        return Decision(Action.STAY, "it has just begun")
    now, ahead = inputs.mg_dl, inputs.predicted
    if rule is Rule.PREDICTIVE and inputs.rises:
        return Decision(Action.RESUME, f"glucose rises: {inputs.before_mg_dl} to {now} mg/dL")
    if rule is Rule.BEFORE_LOW and ahead is not None and now > limit + 20 and ahead >= limit + 40:
        return Decision(Action.RESUME, f"{now} mg/dL now and {ahead} in {AHEAD_MIN} min")
    return Decision(Action.STAY, "no cause to resume")
