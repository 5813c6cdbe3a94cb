"""What comes out, by number: no step lost or made up, every dose within a microstep, the trumpet.

Digital: from the pump's own arithmetic and the real stepper core on a virtual clock, step stamps
and all. Nothing here says what a fluid does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from appliance.domain.mechanics import Mechanics
from appliance.records import Beat, Direction, Enable, Lease, Motion, Programme, Record, halves
from appliance.stepper.loop import Ratio, Stepper, Timing
from benchmarks.report import Result

BORES_UM = {"1 mL": 4_699, "3 mL": 8_585, "5 mL": 11_990, "10 mL": 14_430}
LEADS_UM = (1_000, 2_000, 8_000)
_NS_PER_H = 3_600 * 10**9
_PULSE_UU = 50_000
_START_NS = 10**9
_MS = 1_000_000


def twelve(microsteps: int = 16) -> Iterator[tuple[str, Mechanics]]:
    """Yield the twelve mechanics of the table of syringes and screws."""
    for syringe, bore_um in BORES_UM.items():
        for lead_um in LEADS_UM:
            yield (
                f"{syringe}, {lead_um // 1_000} mm",
                Mechanics.of(
                    bore_um=bore_um,
                    lead_um=lead_um,
                    full_steps=200,
                    microsteps=microsteps,
                    concentration_u_per_ml=100,
                    hold="reduced",
                ),
            )


# Beats are no part of what is counted here, and a hundred a second would be most of the work.
_SELDOM = replace(
    Timing.at(1, 2_000), beat_ns=60 * 10**9, report_ns=60 * 10**9, answer_ns=600 * 10**9
)


class _Axis:
    """Counts edges, with their instants where they are asked for."""

    def __init__(self, *, stamps: bool) -> None:
        self.edges, self.now_ns = 0, 0
        self.edges_ns: list[int] | None = [] if stamps else None

    def step(self, count: int = 1) -> int:
        self.edges += count
        if self.edges_ns is not None:
            self.edges_ns.append(self.now_ns)
        return count

    def set_direction(self, direction: int) -> None:
        """Forward is all there is."""

    def wait_ns(self) -> int:
        return 0

    def allow(self, steps: int) -> None:
        """The core's leases are what bounds it here."""

    def revoke(self) -> None:
        """As above."""


class _Never:
    def is_active(self) -> bool:
        return False


def run_core(
    mechanics: Mechanics, programmes: Sequence[tuple[int, int]], *, stamps: bool = False
) -> _Axis:
    """Run (rate in uu per h, span in ns) one after the other through the real core; return the
    axis. A virtual clock: it jumps to each wake.
    """
    axis = _Axis(stamps=stamps)
    core = Stepper(
        run=1,
        ratio=Ratio(mechanics.ratio_uu, mechanics.ratio_steps, mechanics.quantum_steps),
        timing=_SELDOM,
        axis=axis,
        end_stop=_Never(),
        driver_fault=_Never(),
        hold=True,
    )
    forward, dose, many = int(Direction.FORWARD), int(Motion.DOSE), 2**50
    mail: list[Record] = [Lease(1, dose, forward, many, 0)]
    at_ns = _START_NS
    for number, (rate, span_ns) in enumerate(programmes, 1):
        mail.append(
            Programme(number, dose, rate, at_ns, at_ns + span_ns, many, *halves(0), number - 1, 0)
        )
        at_ns += span_ns
    now_ns = _START_NS - 100 * _MS
    while now_ns <= at_ns:
        axis.now_ns = now_ns
        _, to_guard, wake_ns = core.turn(now_ns, mail)
        mail = [Enable(one.want_enable, one.wish) for one in to_guard if isinstance(one, Beat)]
        now_ns = now_ns if mail else max(wake_ns, now_ns + 1)
    return axis


def counts(*, quick: bool) -> list[Result]:
    """Ten years by pulses and days by edges, on all twelve mechanics, against exact fractions."""
    days, hours = (365, 2) if quick else (3_652, 720)
    worst_pulse = worst_edge = Fraction(0)
    naive_worst = 0.0
    chance = random.Random(11)  # noqa: S311 - schedules, not secrets
    for _, mechanics in twelve():
        per_step = Fraction(mechanics.ratio_uu, mechanics.ratio_steps)
        carry = steps = asked_uu = worst_off = 0
        for _ in range(days * 486):
            amount_uu = _PULSE_UU
            issued, carry = mechanics.split(amount_uu, carry)
            steps += issued
            asked_uu += amount_uu
            # In whole numbers: |asked * ratio_steps - steps * ratio_uu|, in ratio_uu-ths of a step.
            off = abs(asked_uu * mechanics.ratio_steps - steps * mechanics.ratio_uu)
            if off > worst_off:
                worst_off = off
        worst_pulse = max(worst_pulse, Fraction(worst_off, mechanics.ratio_uu))
        naive_worst = max(
            naive_worst, abs(float(round(_PULSE_UU / per_step) * per_step) / _PULSE_UU - 1)
        )
        spans = [
            (chance.choice((25_000, 300_000, 800_000, 1_300_000, 2_000_000)), 3_600 * 10**9)
            for _ in range(hours)
        ]
        axis = run_core(mechanics, spans)
        exact = sum(Fraction(rate * span, _NS_PER_H) for rate, span in spans) / per_step
        worst_edge = max(worst_edge, abs(exact - axis.edges))
    worst = max(worst_pulse, worst_edge)
    return [
        Result(
            "count",
            f"worst count error, twelve mechanics: {days} days of 0.05 U pulses; {hours} h of"
            " changing basal, every edge through the stepper's core",
            f"{float(worst):.3f} microsteps",
            f"{naive_worst:+.1%} (each pulse rounded)",
            "0.5 microsteps",
            "",
            "<= 1 microstep, always",
            worst <= 1,
            "30 days by edges with the ledger are the row `virtual`",
        )
    ]


def doses(*, quick: bool) -> list[Result]:
    """Every single dose of 0.05 U against what was asked, with the remainder carried."""
    del quick
    worst = Fraction(0)
    outside = naive_outside = fine = 0
    for microsteps in (16, 32):
        for _, mechanics in twelve(microsteps):
            per_step = Fraction(mechanics.ratio_uu, mechanics.ratio_steps)
            enough = _PULSE_UU / per_step >= 20
            carry = 0
            for _ in range(2_000):
                issued, carry = mechanics.split(_PULSE_UU, carry)
                error = issued - _PULSE_UU / per_step
                worst = max(worst, abs(error))
                fine += enough
                outside += enough and abs(error) > _PULSE_UU / per_step / 20
            rounded = round(_PULSE_UU / per_step)
            naive_outside += abs(rounded - _PULSE_UU / per_step) > _PULSE_UU / per_step / 20
    return [
        Result(
            "doses",
            "worst single dose of 0.05 U, twelve mechanics at 1/16 and 1/32",
            f"{float(worst):.3f} microsteps",
            f"{naive_outside} of 24 outside 5 % for ever (rounded)",
            "under 1 microstep",
            "",
            "<= 1 microstep; within 5 % where 0.05 U is 20 microsteps",
            worst <= 1 and outside == 0,
            f"{fine:,} doses of 20 microsteps and more, {outside} of them outside 5 %",
        )
    ]


def trumpet(*, quick: bool) -> list[Result]:
    """The worst windows at 0.5 U/h against what the size of a step alone makes of them."""
    hours = 4 if quick else 24
    mechanics = Mechanics.of(
        bore_um=8_660,
        lead_um=1_000,
        full_steps=200,
        microsteps=16,
        concentration_u_per_ml=100,
        hold="reduced",
    )
    rate = 500_000
    axis = run_core(mechanics, [(rate, hours * _NS_PER_H)], stamps=True)
    step_uu = mechanics.ratio_uu / mechanics.ratio_steps
    edges_ns = axis.edges_ns or []
    worst_share, said = 0.0, []
    for minutes in (2, 5, 11, 19, 31):
        window_ns = minutes * 60 * 10**9
        asked_uu = rate * minutes / 60
        errors = [
            count * step_uu / asked_uu - 1
            for count in _windows(edges_ns, window_ns, 30 * 10**9, hours * _NS_PER_H)
        ]
        bound = step_uu / asked_uu
        worst_share = max(worst_share, (max(map(abs, errors)) - 0.001) / bound)
        said.append(f"{minutes} min {max(errors):+.1%}/{min(errors):+.1%} (bound {bound:.1%})")
    return [
        Result(
            "trumpet",
            f"0.5 U/h over {hours} h, windows of 2 to 31 min, S = 0.5 min, edge stamps",
            f"{worst_share:.2f} of the bound",
            f"{_PULSE_UU / step_uu:.0f} times the bound (0.05 U pulses)",
            "1.00 (one microstep)",
            f"1/{_PULSE_UU / step_uu:.0f} of baseline",
            "<= 1.00 of the bound + 0.1 %, >= 10x tighter",
            worst_share <= 1.0 and _PULSE_UU / step_uu >= 10,
            "; ".join(said),
        )
    ]


def _windows(edges_ns: Sequence[int], window_ns: int, every_ns: int, span_ns: int) -> Iterator[int]:
    """Yield the edges in each window, the first hour left out."""
    first = last = 0
    for start_ns in range(_START_NS + _NS_PER_H, _START_NS + span_ns - window_ns, every_ns):
        while first < len(edges_ns) and edges_ns[first] < start_ns:
            first += 1
        last = max(last, first)
        while last < len(edges_ns) and edges_ns[last] < start_ns + window_ns:
            last += 1
        yield last - first
