"""Wire messages and PumpClient: all that a screen, a terminal or a script imports.

from appliance.client import Places, PumpClient

with PumpClient(Places.of(None).pump_socket) as pump:
    print(pump.status().state)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.client.bench import BenchClient, BenchStatus
    from appliance.client.errors import (
        BadAmount,
        BadPlace,
        BadProfile,
        Busy,
        NoPump,
        NotAllowed,
        OutcomeUnknown,
        ProtocolFault,
        PumpError,
        PumpFailed,
        Refused,
        SeveralDemos,
        WrongVersion,
    )
    from appliance.client.keeper import KeeperClient
    from appliance.client.messages import (
        Alarm,
        Dose,
        Glucose,
        HistoryRow,
        Limits,
        Reason,
        Review,
        Segment,
        SensorReading,
        Snapshot,
    )
    from appliance.client.places import Places, register_demo, running_demos, unregister_demo
    from appliance.client.pump import PumpClient, new_request_id

__all__ = [
    "Alarm",
    "BadAmount",
    "BadPlace",
    "BadProfile",
    "BenchClient",
    "BenchStatus",
    "Busy",
    "Dose",
    "Glucose",
    "HistoryRow",
    "KeeperClient",
    "Limits",
    "NoPump",
    "NotAllowed",
    "OutcomeUnknown",
    "Places",
    "ProtocolFault",
    "PumpClient",
    "PumpError",
    "PumpFailed",
    "Reason",
    "Refused",
    "Review",
    "Segment",
    "SensorReading",
    "SeveralDemos",
    "Snapshot",
    "WrongVersion",
    "new_request_id",
    "register_demo",
    "running_demos",
    "unregister_demo",
]

_WHERE = {
    "bench": (
        "BenchClient",
        "BenchStatus",
    ),
    "errors": (
        "BadAmount",
        "BadPlace",
        "BadProfile",
        "Busy",
        "NoPump",
        "NotAllowed",
        "OutcomeUnknown",
        "ProtocolFault",
        "PumpError",
        "PumpFailed",
        "Refused",
        "SeveralDemos",
        "WrongVersion",
    ),
    "keeper": ("KeeperClient",),
    "messages": (
        "Alarm",
        "Dose",
        "Glucose",
        "HistoryRow",
        "Limits",
        "Reason",
        "Review",
        "Segment",
        "SensorReading",
        "Snapshot",
    ),
    "places": (
        "Places",
        "register_demo",
        "running_demos",
        "unregister_demo",
    ),
    "pump": (
        "PumpClient",
        "new_request_id",
    ),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of whatever kind it is
    """Import a name when it is used: `pumpd` takes the messages alone, and not 2 MiB of clients."""
    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"{__name__} has no {name}")
