"""What the guard needs of the machine's configuration, as plain facts.

Reading and judging the file takes a library that would double the guard's locked memory for the
rest of its life. So the program reads it, with the one reader that every program shares, and then
begins anew with these facts as an argument, as the stepper does (``docs/decisions/``, 0013).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Facts:
    """Pins are BCM numbers; None stands for a line that the configuration declares away."""

    zone: str
    factory: str
    enable_n: int
    alive: int
    readback: int | None
    enable_feedback_n: int
    stop_button_n: int | None
    buzzer: int
    lamp_high: int
    lamp_medium: int
    lamp_low: int
    one_shot: bool
    bore_um: int
    lead_um: int
    full_steps: int
    microsteps: int
    concentration_u_per_ml: int
    hourly_uu: int
    state: str
    runtime: str

    def text(self) -> str:
        """Return the facts as one argument of a command line."""
        return json.dumps(asdict(self))


def facts_from(text: str) -> Facts:
    """Read the argument again. Raises ValueError for any other text."""
    found = json.loads(text)
    names = {one.name for one in fields(Facts)}
    if not isinstance(found, dict) or found.keys() != names:
        raise ValueError("not the facts of a machine: start the guard with --config")
    return Facts(**found)
