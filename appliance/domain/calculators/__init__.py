"""The same inputs as other pumps and programs compute them, to be set side by side.

Each module is one of them: a function from ``Inputs`` to a ``Sum``. What nobody has checked against
the device itself stands in the sum's notes, "to be checked". Facts and formulas only; no code of
theirs is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.domain.calculator import Inputs, Sum, benchpump
from appliance.domain.calculators.aaps import aaps
from appliance.domain.calculators.loop import loop
from appliance.domain.calculators.medtronic import medtronic
from appliance.domain.calculators.nightscout import nightscout
from appliance.domain.calculators.omnipod import omnipod
from appliance.domain.calculators.oref0 import oref0
from appliance.domain.calculators.tandem import tandem

CALCULATORS: Mapping[str, Callable[[Inputs], Sum]] = {
    "benchpump": benchpump,
    "tandem": tandem,
    "omnipod": omnipod,
    "medtronic": medtronic,
    "loop": loop,
    "oref0": oref0,
    "aaps": aaps,
    "nightscout": nightscout,
}
"""Every calculator by its name, Benchpump's own first."""
