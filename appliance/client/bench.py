"""The simulated bench's control socket: the plant's truth, and faults to inject."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from appliance.client.messages import Method, Result, Role
from appliance.client.rpc import RpcClient
from appliance.errors import ProtocolFault


class BenchParams(BaseModel):
    """What the bench checks by itself: each fault has parameters of its own."""

    model_config = ConfigDict(extra="allow", strict=True)


BENCH_METHODS: tuple[Method, ...] = (
    Method("status", BenchParams, Role.BENCH),
    Method("faults", BenchParams, Role.BENCH),
    Method("inject", BenchParams, Role.BENCH, changes=True),
    Method("clear", BenchParams, Role.BENCH, changes=True),
    Method("press", BenchParams, Role.BENCH, changes=True),
    Method("set", BenchParams, Role.BENCH, changes=True),
    Method("traces", BenchParams, Role.BENCH),
    Method("set", BenchParams, Role.BENCH, changes=True),
    Method("traces", BenchParams, Role.BENCH),
)


class BenchStatus(Result):
    """The plant's truth, whatever the programs believe. Stable for scripts."""

    steps_forward: int
    steps_reverse: int
    volume_nl: float
    enable: bool


class BenchClient:
    """One conversation with ``bench-sim``; a context manager. Raises what PumpClient raises."""

    def __init__(self, path: Path | str) -> None:
        self._rpc = RpcClient(path, BENCH_METHODS, greets=False)

    def __enter__(self) -> Self:
        self._rpc.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._rpc.close()

    @property
    def rpc(self) -> RpcClient:
        """The calls underneath."""
        return self._rpc

    def status(self) -> BenchStatus:
        """Return what really moved; ``raw`` has the rest of the plant."""
        return BenchStatus.of(self.call("status", {}))

    def faults(self) -> list[dict[str, Any]]:
        """Return the table of faults: name, row, text, once, parameters."""
        listed = self._rpc.ask("faults", BenchParams())
        if not isinstance(listed, list):
            raise ProtocolFault("the bench's answer is no list of faults")
        return [dict(fault) for fault in listed]

    def call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the bench by a method's name and return its result: inject, clear, press, set."""
        return self._rpc.call(method, BenchParams(**params))
