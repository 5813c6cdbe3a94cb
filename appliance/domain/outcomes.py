"""What became of a dose, and how sure that is. The values are what the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DoseKind(StrEnum):
    """What a dose was for."""

    BOLUS = "bolus"
    EXTENDED = "extended"
    BASAL = "basal"
    PRIME = "prime"
    CANNULA = "cannula"
    REWIND = "rewind"


class Outcome(StrEnum):
    """How a dose ended."""

    OPEN = "open"
    DONE = "done"
    STOPPED = "stopped"
    FAULT = "fault"
    UNCERTAIN = "uncertain"


class Certainty(StrEnum):
    """Exact: confirmed equals maximum. Uncertain: between the two. Unknown: the history is lost."""

    OPEN = "open"
    EXACT = "exact"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between ``confirmed_steps`` and ``maximum_steps`` moved: read back, and the most there can
    be.
    """

    confirmed_steps: int
    maximum_steps: int

    def __post_init__(self) -> None:
        if not 0 <= self.confirmed_steps <= self.maximum_steps:
            raise ValueError(f"no bounds: {self.confirmed_steps} to {self.maximum_steps} steps")

    @property
    def certainty(self) -> Certainty:
        """Return exact where both bounds are one."""
        exact = self.confirmed_steps == self.maximum_steps
        return Certainty.EXACT if exact else Certainty.UNCERTAIN


def shares(cumulative_steps: int, sizes: list[int]) -> list[int]:
    """Deal a cumulative count out to leases in their order, each filled before the next."""
    dealt: list[int] = []
    left = max(0, cumulative_steps)
    for size in sizes:
        part = min(left, size)
        dealt.append(part)
        left -= part
    return dealt
