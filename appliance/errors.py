"""The tree of errors: one root, one stable code per leaf.

E1xx input and configuration, E2xx motion, E3xx state, E4xx storage, E5xx protocol. A code is
quoted by the ledger, the wire and the guide, so it is never changed and never used again. A
refusal is a return value, not one of these: an exception is a fault.
"""

from __future__ import annotations

from typing import ClassVar


class PumpError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "E000"


class BadAmount(PumpError, ValueError):
    """A text that is not an amount of insulin or a rate."""

    code = "E101"


class BadConfiguration(PumpError, ValueError):
    """A configuration with faults; ``faults`` lists every one of them, a sentence each."""

    code = "E102"

    def __init__(self, source: str, faults: list[str]) -> None:
        super().__init__(f"{source}: " + "; ".join(faults))
        self.source = source
        self.faults = faults


class BadMechanics(PumpError, ValueError):
    """A syringe, screw or motor that cannot be, or that moves too much insulin in one microstep."""

    code = "E103"


class BadProfile(PumpError, ValueError):
    """A basal profile that breaks a rule; ``faults`` lists every one of them."""

    code = "E104"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class BadCurve(PumpError, ValueError):
    """An insulin curve that cannot be; ``faults`` names field, value and range of each."""

    code = "E110"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class BadInputs(PumpError, ValueError):
    """What a calculator cannot take; ``faults`` names field, value and range of each."""

    code = "E111"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ActuatorFault(PumpError):
    """The motor's driver stopped by itself; ``issued_steps`` had gone out."""

    code = "E201"

    def __init__(self, text: str, issued_steps: int = 0) -> None:
        super().__init__(text)
        self.issued_steps = issued_steps


class PinFault(PumpError, OSError):
    """A pin, its chip or its bench cannot be had, or was lost while in use."""

    code = "E202"


class SensorFault(PumpError):
    """A sensor does not answer, or answers what cannot be."""

    code = "E203"


class IllegalTransition(PumpError, RuntimeError):
    """A state that does not follow the one before it."""

    code = "E301"


class AlreadyRunning(PumpError, RuntimeError):
    """Another program owns what only one may own; the text names it."""

    code = "E302"


class LedgerFault(PumpError, OSError):
    """The ledger cannot be opened, read or written."""

    code = "E401"


class LedgerUnknown(LedgerFault):
    """The disk gave an error, so whether the rows are kept is unknown: look them up, never
    repeat.
    """

    code = "E402"


class BrokenChain(LedgerFault):
    """A row does not follow from the row before it; ``seq`` is the first bad one."""

    code = "E403"

    def __init__(self, seq: int, text: str) -> None:
        super().__init__(text)
        self.seq = seq


class NewerLedger(LedgerFault):
    """The ledger's schema is newer than this code: it is read, never written."""

    code = "E404"


class ProtocolFault(PumpError, ValueError):
    """A message that cannot be read, or that does not belong here."""

    code = "E501"


class WireLost(PumpError, ConnectionError):
    """The program at the other end of a wire has gone."""

    code = "E502"


class SourceFault(PumpError, OSError):
    """A source of glucose, or another system, that does not answer now: it is asked again."""

    code = "E503"
