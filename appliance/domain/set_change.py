"""A change of cartridge and set: its steps, what each asks of a person, and its bounds (SR-32)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.limits import Reason
from appliance.domain.outcomes import DoseKind
from appliance.domain.units import NS_PER_MIN, NS_PER_S, UU_PER_U, format_dose

FLUID_KINDS = ("rapid", "test")
UNFINISHED_NS = 5 * NS_PER_MIN
RUN_NS = 60 * NS_PER_S
"""The longest that one prime may run."""

REWIND_UU = 310 * UU_PER_U
_UU_PER_H_OF_U_PER_S = 3_600 * UU_PER_U


class Step(StrEnum):
    """The steps that move the motor."""

    REWIND = "rewind"
    PRIME = "prime"
    CANNULA = "cannula"


@dataclass(frozen=True, slots=True)
class StepKind:
    """What a step moves at most, how fast, and the two things that a person confirms."""

    dose: DoseKind
    most_uu: int
    rate_uu_per_h: int
    declaration: str
    question: str


KINDS: Mapping[Step, StepKind] = {
    Step.REWIND: StepKind(
        DoseKind.REWIND,
        REWIND_UU,
        5 * _UU_PER_H_OF_U_PER_S,  # faster than any motor: it goes at the motor's own pace
        "the syringe is out of the pump",
        "Run the carriage back to its end stop?",
    ),
    Step.PRIME: StepKind(
        DoseKind.PRIME,
        10 * UU_PER_U,
        _UU_PER_H_OF_U_PER_S // 2,
        "the tubing leads into the waste and to nothing else",
        "Push fluid through the tubing?",
    ),
    Step.CANNULA: StepKind(
        DoseKind.CANNULA,
        2 * UU_PER_U,
        180 * UU_PER_U,
        "the tubing is full, and the set is in its place",
        "Fill the cannula?",
    ),
}

NEXT: Mapping[str, str] = {
    "rewound": "load a cartridge",
    "loaded": "prime the tubing",
    "primed": "fill the cannula, or finish",
    "filled": "finish, and name the site",
}
"""What an event leaves to do; after any other nothing is unfinished."""


def amount_reasons(step: Step, amount_uu: int, reservoir_uu: int | None) -> list[Reason]:
    """List what is wrong with the amount of a step; a rewind has none of its own."""
    if step is Step.REWIND:
        return []
    most_uu = KINDS[step].most_uu
    allowed = f"0.05 U to {format_dose(most_uu)}"
    reasons = []
    if not 50_000 <= amount_uu <= most_uu:
        text = f"amount_uu = {amount_uu} is out of range for one {step.value}: {allowed}"
        reasons.append(Reason("out_of_range", text, "amount_uu", str(amount_uu), allowed))
    if reservoir_uu is None:
        reasons.append(Reason("no_cartridge", "no cartridge is loaded: pumpctl cartridge load"))
    elif amount_uu > reservoir_uu:
        text = f"the reservoir holds {format_dose(reservoir_uu)}"
        reasons.append(Reason("reservoir", text, "amount_uu", str(amount_uu)))
    return reasons


def fluid_reasons(kind: str, field: str = "kind") -> Sequence[Reason]:
    """List a kind of fluid that no model here knows: its insulin on board would be a guess.

    ``field`` is what whoever asked calls it.
    """
    if kind in FLUID_KINDS:
        return ()
    text = f"{field} = {kind!r} is refused: a fluid is rapid (as rapid-acting insulin) or test"
    return (Reason("bad_fluid", text, field, kind, ", ".join(FLUID_KINDS)),)
