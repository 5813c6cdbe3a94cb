"""What the touchscreen knows of the pump: its newest snapshot, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import Snapshot

SILENT_S = 1.8
"""A snapshot comes each second. Without one for so long there is no contact: drawn within 2 s."""


@dataclass(frozen=True, slots=True)
class State:
    """The newest snapshot and when it came; ``lost`` says why there is no contact, if so.

    ``heard_s`` is on the touchscreen's own clock, less the age that the snapshot had. ``not_up`` is
    what ``pumpd`` wrote about why it could not start, a sentence each.
    """

    snapshot: Snapshot | None = None
    heard_s: float = 0.0
    lost: str = "no word from the pump yet"
    not_up: tuple[str, ...] = ()
    roles: frozenset[str] = frozenset()

    @property
    def contact(self) -> bool:
        """Whether what is known is the present."""
        return self.snapshot is not None and not self.lost

    @property
    def live(self) -> Snapshot | None:
        """The snapshot, where it is the present; an old one is never shown as current."""
        return None if self.lost else self.snapshot
