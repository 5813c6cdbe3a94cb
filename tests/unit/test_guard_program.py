"""The program around the guard's core: who has gone, and how."""

from types import SimpleNamespace
from typing import Any

import pytest

from appliance.adapters.wires import Wire, pair
from appliance.guard.__main__ import Program
from appliance.records import Bye, Enable, Record, Role


class Core:
    """Hears who has left."""

    def __init__(self) -> None:
        self.gone: list[tuple[Role, bool]] = []

    def left(self, _now_ns: int, role: Role, *, clean: bool) -> None:
        self.gone.append((role, clean))


def program(wire: Wire) -> Any:
    """A guard's program that has one wire, to a stepper."""
    made: Any = object.__new__(Program)
    made._clock = SimpleNamespace(monotonic_ns=lambda: 0)
    made._guard = Core()
    made._wires = {Role.STEPPER: wire}
    made._mail = []
    return made


@pytest.mark.parametrize(("words", "clean"), [([Bye()], True), ([], False)])
def test_f06_a_stepper_that_took_its_leave_before_an_answer_reached_it_is_no_loss(
    words: list[Record], *, clean: bool
) -> None:
    here, there = pair()
    wire, stepper = Wire(here), Wire(there)
    stepper.send_all(words)
    stepper.close()
    guard = program(wire)
    guard._send(Role.STEPPER, [Enable(0, 1)])
    assert guard._guard.gone == [(Role.STEPPER, clean)]
    assert guard._wires == {}
