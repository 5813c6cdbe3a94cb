"""Wire messages and PumpClient: all that a screen, a terminal or a script imports.

from appliance.client import Places, PumpClient

with PumpClient(Places.of(None).pump_socket) as pump:
    print(pump.status().state)
"""

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
