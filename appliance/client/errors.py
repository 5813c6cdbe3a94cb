"""What can happen to a client, as exceptions: here a refusal is one too, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.client.messages import Reason
from appliance.errors import BadAmount, BadProfile, ProtocolFault, PumpError

__all__ = [
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
]


class NoPump(PumpError, ConnectionError):
    """Nobody answers at ``path``; nothing that was asked has changed anything."""

    code = "E530"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class Refused(PumpError):
    """The pump said no, for every one of ``reasons``. Nothing has changed."""

    code = "E520"

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("; ".join(reason.text for reason in reasons))
        self.reasons = list(reasons)


class NotAllowed(Refused):
    """This user lacks the role that the reason names."""

    code = "E512"


class Busy(Refused):
    """Too many clients or requests: the same may be asked a little later."""

    code = "E515"


class WrongVersion(PumpError):
    """Client and pump speak two versions of the protocol; no dose until one is updated (F52)."""

    code = "E513"


class OutcomeUnknown(PumpError):
    """No answer, so it may have been done: look it up, never repeat it under a new id.

    ``request_id`` is the dose's, where it was one.
    """

    code = "E521"

    def __init__(self, text: str, request_id: str | None = None) -> None:
        super().__init__(text)
        self.request_id = request_id


class PumpFailed(PumpError):
    """The pump found a fault of its own while it answered; ``fault`` is its code."""

    code = "E522"

    def __init__(self, text: str, fault: str) -> None:
        super().__init__(text)
        self.fault = fault


class BadPlace(PumpError, ValueError):
    """A folder that cannot be a pump's, or that is not to be trusted."""

    code = "E531"


class SeveralDemos(PumpError, ValueError):
    """More than one demo runs, so ``--dir`` must say which; ``folders`` has them."""

    code = "E532"

    def __init__(self, folders: Sequence[Path]) -> None:
        listed = ", ".join(str(folder) for folder in folders)
        super().__init__(f"{len(folders)} demos are running: {listed}")
        self.folders = list(folders)
