"""Mechanics: from insulin to microsteps and back, as two integers.

uL per microstep = pi/4 * bore_mm^2 * lead_mm / (full_steps * microsteps); 1 mm^3 = 1 uL; a unit
takes 1000 / concentration uL. The ratio is made once, for one turn of the screw, and kept with
every dose.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.units import MicroUnits
from appliance.errors import BadMechanics

# pi to 18 decimals: the ratio of one turn is then right to far below one microunit.
_PI_NUM = 3_141_592_653_589_793_238
_PI_DEN = 10**18
_MAX_UU_PER_STEP = 50_000  # a microstep above the smallest dose could not give any dose


@dataclass(frozen=True, slots=True)
class Mechanics:
    """``ratio_uu`` microunits leave the syringe in ``ratio_steps`` microsteps.

    ``quantum_steps`` is 1 where the motor holds between steps, and the microsteps of a full step
    where it is de-energised: a rotor without current snaps to a full step, so only those can be
    accounted for.
    """

    ratio_uu: int
    ratio_steps: int
    quantum_steps: int = 1

    def __post_init__(self) -> None:
        if self.ratio_uu <= 0 or self.ratio_steps <= 0 or self.quantum_steps <= 0:
            raise BadMechanics(f"mechanics need positive numbers, not {self}")

    @staticmethod
    def of(
        *,
        bore_um: int,
        lead_um: int,
        full_steps: int,
        microsteps: int,
        concentration_u_per_ml: int,
        hold: str = "reduced",
    ) -> Mechanics:
        """Work out the ratio from what can be measured; a turn's insulin is rounded to 1 uu.

        Raises BadMechanics where one microstep (one full step with ``hold = "off"``) would be more
        than 0.05 U, the smallest dose.
        """
        given = (bore_um, lead_um, full_steps, microsteps, concentration_u_per_ml)
        if min(given) <= 0:
            raise BadMechanics(f"mechanics need positive numbers, not {given}")
        if hold not in ("reduced", "off"):
            raise BadMechanics(f'hold is "reduced" or "off", not {hold!r}')
        # um^3 -> uL is 1e-9; U/mL -> uu/uL is 1000.
        top = _PI_NUM * bore_um * bore_um * lead_um * concentration_u_per_ml * 1_000
        bottom = _PI_DEN * 4 * 10**9
        ratio_uu = (2 * top + bottom) // (2 * bottom)
        ratio_steps = full_steps * microsteps
        quantum_steps = 1 if hold == "reduced" else microsteps
        if ratio_uu * quantum_steps > _MAX_UU_PER_STEP * ratio_steps:
            what, remedy = (
                ("microstep", "more microsteps")
                if hold == "reduced"
                else ("full step", 'hold = "reduced"')
            )
            raise BadMechanics(
                f"one {what} would be {ratio_uu * quantum_steps // ratio_steps} uu, more than "
                f"{_MAX_UU_PER_STEP} uu (0.05 U): "
                f"take {remedy}, a finer screw, or a smaller syringe"
            )
        return Mechanics(ratio_uu, ratio_steps, quantum_steps)

    def steps_within(self, amount_uu: int) -> int:
        """Return the most microsteps that stay within ``amount_uu``: whole quanta, rounded down."""
        steps = amount_uu * self.ratio_steps // self.ratio_uu
        return steps - steps % self.quantum_steps

    def uu_of(self, steps: int) -> MicroUnits:
        """Return what ``steps`` move, rounded down to a microunit."""
        return MicroUnits(steps * self.ratio_uu // self.ratio_steps)

    def uu_of_up(self, steps: int) -> MicroUnits:
        """Return what ``steps`` move at most, rounded up: for bounds and limits."""
        return MicroUnits(-(-steps * self.ratio_uu // self.ratio_steps))

    def split(self, amount_uu: int, carry: int = 0) -> tuple[int, int]:
        """Return the steps of an amount and what is left, in units of ``uu * ratio_steps``.

        ``carry`` is what was left before, in the same unit; nothing is ever lost (SR-18).
        """
        total = carry + amount_uu * self.ratio_steps
        quantum = self.ratio_uu * self.quantum_steps
        return total // quantum * self.quantum_steps, total % quantum

    def lease_steps(self, lease_uu: int) -> int:
        """Return a lease's steps: the most within ``lease_uu``, and one full step with ``hold =
        "off"``.

        A full step is the least that can be accounted for without current, so it is the lease
        there.
        """
        return (
            max(self.steps_within(lease_uu), 1) if self.quantum_steps == 1 else self.quantum_steps
        )
