"""The pump's states, and which may follow which. The values are what the ledger keeps."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from appliance.errors import IllegalTransition


class PumpState(StrEnum):
    """What the pump is doing as a whole."""

    STARTING = "starting"  # recovery and self-test; nothing moves
    INHIBITED = "inhibited"  # the self-test failed; every reason is in the snapshot
    STOPPED = "stopped"  # ready, never started or not set up
    RUNNING = "running"  # basal runs, boluses are accepted
    SUSPENDED = "suspended"  # a person stopped delivery
    FAULTED = "faulted"  # something went wrong; a person must acknowledge and resume


ALLOWED: Mapping[PumpState, frozenset[PumpState]] = {
    PumpState.STARTING: frozenset(
        {
            PumpState.INHIBITED,
            PumpState.STOPPED,
            PumpState.RUNNING,
            PumpState.SUSPENDED,
            PumpState.FAULTED,
        }
    ),
    PumpState.INHIBITED: frozenset({PumpState.STARTING, PumpState.FAULTED}),
    PumpState.STOPPED: frozenset({PumpState.STARTING, PumpState.RUNNING, PumpState.FAULTED}),
    PumpState.RUNNING: frozenset({PumpState.SUSPENDED, PumpState.STOPPED, PumpState.FAULTED}),
    PumpState.SUSPENDED: frozenset({PumpState.STARTING, PumpState.RUNNING, PumpState.FAULTED}),
    # Only through the self-test, and only when a person has acknowledged what happened.
    PumpState.FAULTED: frozenset({PumpState.STARTING}),
}


def moved(current: PumpState, target: PumpState) -> PumpState:
    """Return ``target``, or raise IllegalTransition: a fault is never passed over in silence."""
    if target not in ALLOWED[current]:
        raise IllegalTransition(f"{current.value} to {target.value}")
    return target
