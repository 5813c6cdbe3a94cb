"""When glucose is worth a word: thresholds by the time of day, fast changes, what is predicted.

The urgent low is always on. A threshold that was crossed has to be left by a margin before its
alert ends, or a sensor's noise would raise it again and again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.domain.glucose import SignalState, predicted_mg_dl
from appliance.domain.limits import Reason
from appliance.domain.units import NS_PER_MIN

URGENT_LOW_MG_DL = 55
MARGIN_MG_DL = 5
MOST_PERIODS = 8
FAST = (0, 2, 3)
"""How fast is fast, in mg/dL a minute; 0 is off."""
SNOOZE_NS: Mapping[AlarmCode, int] = {
    AlarmCode.URGENT_LOW_GLUCOSE: 15 * NS_PER_MIN,
    AlarmCode.LOW_GLUCOSE: 30 * NS_PER_MIN,
    AlarmCode.LOW_PREDICTED: 30 * NS_PER_MIN,
    AlarmCode.HIGH_GLUCOSE: 120 * NS_PER_MIN,
    AlarmCode.GLUCOSE_FALLING: 30 * NS_PER_MIN,
    AlarmCode.GLUCOSE_RISING: 60 * NS_PER_MIN,
    AlarmCode.GLUCOSE_LOST: 60 * NS_PER_MIN,
}
"""How long each stays answered while its cause goes on."""

_LOW, _HIGH = (60, 120), (120, 400)


@dataclass(frozen=True, slots=True)
class Period:
    """From a minute of the local day on: under ``low_mg_dl`` is low, over ``high_mg_dl`` high.

    0 switches an alert off.
    """

    start_min_of_day: int
    low_mg_dl: int
    high_mg_dl: int


@dataclass(frozen=True, slots=True)
class GlucoseAlerts:
    """What to say. ``predicted_min`` is how far ahead a low is looked for; 0 is off."""

    periods: tuple[Period, ...] = (Period(0, 70, 250),)
    fast_mg_dl_per_min: int = 3
    predicted_min: int = 20
    lost: bool = True

    @staticmethod
    def of(raw: Mapping[str, Any]) -> GlucoseAlerts:
        """Read them from settings, in which others may stand; defaults for what is not set."""
        usual = GlucoseAlerts()
        periods = raw.get("periods")
        return GlucoseAlerts(
            tuple(Period(**one) for one in periods) if periods is not None else usual.periods,
            raw.get("fast_mg_dl_per_min", usual.fast_mg_dl_per_min),
            raw.get("predicted_min", usual.predicted_min),
            raw.get("lost", usual.lost),
        )

    def at(self, min_of_day: int) -> Period:
        """Return the period that a minute of the day lies in."""
        begun = [one for one in self.periods if one.start_min_of_day <= min_of_day]
        return begun[-1] if begun else self.periods[-1]


def faults_of(alerts: GlucoseAlerts) -> list[Reason]:
    """List every value that cannot be; an empty list means they may be set."""
    reasons: list[Reason] = []

    def refuse(field: str, value: object, allowed: str) -> None:
        text = f"{field} = {value} is out of range: {allowed}"
        reasons.append(Reason("out_of_range", text, field, str(value), allowed))

    starts = [one.start_min_of_day for one in alerts.periods]
    if not starts or len(starts) > MOST_PERIODS:
        refuse("periods", len(starts), f"1 to {MOST_PERIODS} of them")
    if starts != sorted(set(starts)) or (starts and starts[0] != 0):
        refuse("periods", starts, "the first begins at 0, each later one after the one before")
    for one in alerts.periods:
        _check(one.low_mg_dl, _LOW, "low_mg_dl", refuse)
        _check(one.high_mg_dl, _HIGH, "high_mg_dl", refuse)
        if one.low_mg_dl and one.high_mg_dl and one.low_mg_dl + MARGIN_MG_DL * 2 > one.high_mg_dl:
            refuse("high_mg_dl", one.high_mg_dl, f"at least {MARGIN_MG_DL * 2} over low_mg_dl")
    if alerts.fast_mg_dl_per_min not in FAST:
        refuse("fast_mg_dl_per_min", alerts.fast_mg_dl_per_min, "0 (off), 2 or 3")
    if alerts.predicted_min and not 10 <= alerts.predicted_min <= 30:
        refuse("predicted_min", alerts.predicted_min, "0 (off), or 10 to 30")
    return reasons


def _check(value: int, bounds: tuple[int, int], field: str, refuse: Any) -> None:  # noqa: ANN401
    if value and not bounds[0] <= value <= bounds[1]:
        refuse(field, value, f"0 (off), or {bounds[0]} to {bounds[1]}")


def causes(
    alerts: GlucoseAlerts,
    *,
    min_of_day: int,
    state: SignalState,
    mg_dl: int | None,
    slope: int | None,
    standing: Collection[AlarmCode] = (),
) -> dict[AlarmCode, str]:
    """Return every alert that has a cause, with what it says. An old value raises none but that the
    signal is lost; what stands then goes on until there is a value again.

    ``slope`` is in mg/dL an hour, ``standing`` what has a cause already.
    """
    found: dict[AlarmCode, str] = {}
    if state is SignalState.LOST and alerts.lost:
        found[AlarmCode.GLUCOSE_LOST] = "no reading of the sensor for over 30 min"
    if state is not SignalState.OK or mg_dl is None:
        kept = [one for one in standing if one is not AlarmCode.GLUCOSE_LOST]
        return found | {code: "" for code in kept if state is not SignalState.NONE}
    period = alerts.at(min_of_day)

    def margin(code: AlarmCode) -> int:
        return MARGIN_MG_DL if code in standing else 0

    if mg_dl < URGENT_LOW_MG_DL + margin(AlarmCode.URGENT_LOW_GLUCOSE):
        found[AlarmCode.URGENT_LOW_GLUCOSE] = f"{mg_dl} mg/dL, under {URGENT_LOW_MG_DL}"
    low = period.low_mg_dl
    if low and mg_dl < low + margin(AlarmCode.LOW_GLUCOSE):
        found[AlarmCode.LOW_GLUCOSE] = f"{mg_dl} mg/dL, under {low}"
    high = period.high_mg_dl
    if high and mg_dl > high - margin(AlarmCode.HIGH_GLUCOSE):
        found[AlarmCode.HIGH_GLUCOSE] = f"{mg_dl} mg/dL, over {high}"
    if slope is None:
        return found
    fast = 60 * alerts.fast_mg_dl_per_min
    if fast and slope <= -fast:
        found[AlarmCode.GLUCOSE_FALLING] = f"{mg_dl} mg/dL, falling by {-slope / 60:.1f} a minute"
    if fast and slope >= fast:
        found[AlarmCode.GLUCOSE_RISING] = f"{mg_dl} mg/dL, rising by {slope / 60:.1f} a minute"
    ahead = predicted_mg_dl(mg_dl, slope, alerts.predicted_min) if alerts.predicted_min else None
    if (
        ahead is not None
        and low
        and AlarmCode.LOW_GLUCOSE not in found
        and ahead < low + margin(AlarmCode.LOW_PREDICTED)
    ):
        text = f"{mg_dl} mg/dL now, {ahead} in {alerts.predicted_min} min by its trend"
        found[AlarmCode.LOW_PREDICTED] = text
    return found


ALL: Sequence[AlarmCode] = tuple(SNOOZE_NS)
