"""What the bench's instruments show: force, balance, battery, board. Pure, time as argument."""

from __future__ import annotations

import random

from drivers.bench_wire import POWER_FAILS
from drivers.mock.faults import Knobs
from drivers.mock.settings import SIGNALS, BenchSettings, Wire

_NS_PER_MIN = 60_000_000_000
_NS_PER_H = 3_600_000_000_000
_HIGHEST_COUNTS = 2**23 - 1
_UNDER_VOLTAGE, _THROTTLED = 1, 2
_BALANCE_UG = 10
_CELL_UV, _CELL_UV_PER_PERCENT, _CELL_NOISE_UV = 3_000_000, 12_000, 400


class Instruments:
    """The sensors of one bench, with seeded noise. Instants are nanoseconds of real time."""

    def __init__(self, settings: BenchSettings, knobs: Knobs) -> None:
        self._settings = settings
        self._knobs = knobs
        self._random = random.Random(settings.seed)  # noqa: S311  # noise, no secret
        self._last_counts = 0
        self._cell_noise = random.Random(settings.seed + 1)  # noqa: S311  # noise, no secret
        self._last_battery_pct = 100
        self._last_cell_uv = 0
        self._spike_until_ns = -(2**62)
        self.drift_since_ns = 0
        self.flap_since_ns = 0
        self.battery_pct = 100
        self.board_c = 45
        self.evaporation_ug_per_h = settings.evaporation_ug_per_h

    def spike(self, now_ns: int) -> None:
        """Begin the push that the knobs describe."""
        self._spike_until_ns = now_ns + self._knobs.force_spike_ns

    def force_mn(self, pressure_kpa: float, now_ns: int, *, pushing: bool) -> float:
        """Return the true push on the plunger: 1 kPa on 1 mm2 is 1 mN."""
        force = pressure_kpa * self._settings.area_mm2
        if pushing:
            force += self._settings.friction_mn
        if now_ns < self._spike_until_ns:
            force += self._knobs.force_spike_mn
        return force

    def force_counts(self, force_mn: float, now_ns: int) -> int | None:
        """Return what the ADC shows for that push, noise and faults included; None for no value."""
        knobs = self._knobs
        match knobs.force:
            case "disconnected" | "nan":
                return None
            case "frozen":
                return self._last_counts
            case "saturated high":
                return _HIGHEST_COUNTS
            case "saturated low":
                return -_HIGHEST_COUNTS - 1
        shown_mn = force_mn + self._random.gauss(0.0, self._settings.noise_mn)
        shown_mn *= knobs.force_factor
        if knobs.force_drift_mn_per_min:
            spent_ns = now_ns - self.drift_since_ns
            shown_mn += knobs.force_drift_mn_per_min * spent_ns / _NS_PER_MIN
        counts = round(shown_mn * 1_000 / self._settings.un_per_count) + self._settings.zero_counts
        self._last_counts = max(-_HIGHEST_COUNTS - 1, min(_HIGHEST_COUNTS, counts))
        return self._last_counts

    def balance_ug(self, out_nl: float, fluid_ns: int) -> int:
        """Return what the balance shows: what came out, less what has dried since the start."""
        dried_ug = self.evaporation_ug_per_h * fluid_ns / _NS_PER_H
        mass_ug = out_nl * self._settings.density_ug_per_nl - dried_ug
        return round(mass_ug / _BALANCE_UG) * _BALANCE_UG

    def battery(self) -> int:
        """Return what the gauge says, in percent."""
        knobs = self._knobs
        if knobs.battery_over_pct:
            return knobs.battery_over_pct
        if not knobs.battery_frozen:
            self._last_battery_pct = max(0, self.battery_pct - knobs.battery_drop_pct)
        return self._last_battery_pct

    def cell_uv(self) -> int:
        """Return the cell's voltage as the gauge measures it."""
        if not self._knobs.battery_frozen or not self._last_cell_uv:
            noise_uv = self._cell_noise.gauss(0.0, _CELL_NOISE_UV)
            self._last_cell_uv = round(_CELL_UV + self.battery() * _CELL_UV_PER_PERCENT + noise_uv)
        return self._last_cell_uv

    def board_milli_c(self) -> int:
        """Return the board's temperature in thousandths of a degree."""
        return max(self.board_c, self._knobs.board_hot_c) * 1_000

    def power_flags(self, now_ns: int) -> int:
        """Return the flags of ``Channel.POWER_FLAGS``."""
        knobs = self._knobs
        flags = _UNDER_VOLTAGE * knobs.under_voltage | _THROTTLED * knobs.throttled
        fails = knobs.power_fail_ns < 0
        if knobs.power_fail_ns > 0:
            fails = (now_ns - self.flap_since_ns) // knobs.power_fail_ns % 2 == 0
        return flags | POWER_FAILS * fails

    def draws_current(self, wire: Wire, level: int) -> bool:
        """Return whether buzzer or lamp is really on: a dead one draws nothing."""
        if not level:
            return False
        if wire is Wire.BUZZER:
            return not self._knobs.buzzer_dead
        return self._knobs.lamp_dead not in ("all", wire.value.removeprefix("lamp_"))

    def alarm_feedback(self, levels: dict[Wire, int]) -> int:
        """Return the flags of ``Channel.ALARM_FEEDBACK``."""
        return sum(
            1 << place
            for place, wire in enumerate(SIGNALS)
            if self.draws_current(wire, levels[wire])
        )
