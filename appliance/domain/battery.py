"""The battery: how long it lasts, for which bolus that is enough, and which reading can be true
(SR-60, F63).

Only what the gauge says is known, and a gauge can stick, jump or lie. What is believed is at most
what load and charger can have made of the last believed reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.domain.limits import Reason
from appliance.domain.units import NS_PER_H, NS_PER_S

SPARE_S = 180
"""What has to be left when a bolus is over, and when the battery counts as low."""
LOW_PERCENT, GOOD_PERCENT = 20, 25
"""Low from the first on; good again from the second on."""
GOOD_AGAIN_S = 300
JUMP_PERCENT = 10
"""Gauges correct themselves by a few percent; a step above this is no discharge."""
STEADY_NS = 60 * NS_PER_S
"""A new level that stays so long is true: the battery was changed, or has lost a cell."""
SILENT_NS = 10 * NS_PER_S
"""Without a word for so long, nothing is known of the gauge."""
DOUBT_NS = 2 * NS_PER_S
"""A doubt becomes an alarm after this: one disturbed reading is none."""
BACK_NS = NS_PER_S
"""A supply that failed is back when its line has said so for this long, without a break."""
_CHARGE_FACTOR = 4
"""A battery is charged, or emptied, at most so much faster than by the configured load."""


@dataclass(frozen=True, slots=True)
class Battery:
    """What the configuration says: energy when full, and what the whole pump draws."""

    capacity_mwh: int
    load_mw: int

    def lasts_s(self, percent: int) -> int:
        """Return for how many seconds ``percent`` of it feed the pump, rounded down."""
        return self.capacity_mwh * percent * 36 // self.load_mw

    def change_percent(self, during_ns: int) -> int:
        """Return by how much the charge can have changed in that time, rounded up."""
        most = _CHARGE_FACTOR * self.load_mw * 100 * during_ns
        return -(-most // (self.capacity_mwh * NS_PER_H))


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is known of the gauge: the last reading that was believed, and a doubt about later ones.

    ``doubt`` is empty where there is none. ``level`` is a reading that cannot follow from the
    believed one, seen since ``level_ns``.
    """

    percent: int | None = None
    believed_ns: int = 0
    doubt: str = ""
    doubt_ns: int = 0
    level: int | None = None
    level_ns: int = 0

    @property
    def worst(self) -> int | None:
        """Return the least that may be left: a fall is warned of before it is believed."""
        known = [one for one in (self.percent, self.level) if one is not None]
        return min(known, default=None)

    def doubted(self, why: str, now_ns: int) -> Gauge:
        """Return it with a doubt; one that lasts keeps the instant at which it began."""
        return replace(self, doubt=why, doubt_ns=self.doubt_ns if self.doubt else now_ns)


def heard(
    gauge: Gauge, battery: Battery, percent: int | None, text: str, *, now_ns: int, speed: int = 1
) -> Gauge:
    """Return what is known after a reading; None for none, with ``text`` why.

    ``now_ns`` is the pump's clock, which runs ``speed`` times as fast as real time.
    """
    if percent is None:
        return replace(gauge.doubted(text, now_ns), level=None)
    if not 0 <= percent <= 100:
        why = f"the battery's gauge says {percent} %, and it can say 0 to 100"
        return replace(gauge.doubted(why, now_ns), level=None)
    before = gauge.percent
    if before is None:
        return Gauge(percent, now_ns)
    apart = abs(percent - before)
    if apart <= JUMP_PERCENT + battery.change_percent((now_ns - gauge.believed_ns) // speed):
        return Gauge(percent, now_ns)
    same = gauge.level is not None and abs(percent - gauge.level) <= JUMP_PERCENT
    level_ns = gauge.level_ns if same else now_ns
    if now_ns - level_ns >= STEADY_NS * speed:
        return Gauge(percent, now_ns)
    why = f"the battery's gauge went from {before} % to {percent} % at once"
    return replace(gauge.doubted(why, now_ns), level=percent, level_ns=level_ns)


def energy_reasons(lasts_s: int, bolus_s: int) -> Sequence[Reason]:
    """List what a battery that lasts so long has against a bolus that takes so long (SR-60)."""
    needs_s = bolus_s + SPARE_S
    if lasts_s >= needs_s:
        return ()
    text = (
        f"the battery lasts about {minutes_text(lasts_s)}, and this bolus needs "
        f"{minutes_text(needs_s)}: {minutes_text(bolus_s)}, and {minutes_text(SPARE_S)} to spare"
    )
    return [Reason("battery", text, "battery_s", str(lasts_s), f"from {needs_s} on")]


def is_low(percent: int, lasts_s: int, *, was_low: bool) -> bool:
    """Say whether the battery counts as low: at 20 % or 3 min, until it has 25 % and 5 min."""
    if was_low:
        return percent < GOOD_PERCENT or lasts_s < GOOD_AGAIN_S
    return percent <= LOW_PERCENT or lasts_s <= SPARE_S


def minutes_text(seconds: int) -> str:
    """Return a duration for a sentence, in minutes and seconds such as "2:05 min"."""
    return f"{seconds // 60}:{seconds % 60:02d} min"
