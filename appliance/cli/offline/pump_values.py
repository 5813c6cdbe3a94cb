"""What the calculator takes from a pump: the segment in force, and what is on board."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.cli.session import Session
from appliance.client.calculator import known_of

NEEDED: Mapping[str, str] = {
    "ratio_mg_per_u": "--ratio",
    "sensitivity_mg_dl_per_u": "--sensitivity",
    "target_mg_dl": "--target",
    "bolus_iob_uu": "--iob",
}
"""What a calculation needs, with the option that gives it."""


def values_of_pump(session: Session) -> dict[str, int]:
    """Return what the pump says of the calculator's inputs; what it does not say is not there.

    Raises NoPump, and what else its client may.
    """
    with session.pump() as pump:
        return known_of(pump.status(), pump.basal())
