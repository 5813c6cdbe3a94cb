"""A desk for presenters alone: it answers at once, by clients made from the real ones."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import create_autospec

from appliance.client import Dose, KeeperClient, PumpClient, PumpError, Snapshot
from appliance.client.messages import StopWhat
from appliance.simulate.bench import VirtualBench
from ui.presenters.desk import Stop
from ui.state import State


@cache
def _said() -> dict[str, Any]:
    bench = VirtualBench()
    bench.run(5)
    return dict(bench.snapshot())


def snapshot_of(**changed: object) -> Snapshot:
    """What a real engine says of itself, with some of it changed."""
    return Snapshot.of(_said() | changed)


class FakeDesk:
    """Notes which screens were asked for; ``client`` and ``keeper`` answer as a test has set."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.client = create_autospec(PumpClient, instance=True)
        self.keeper = create_autospec(KeeperClient, instance=True)
        self.last_stop: Stop | None = None
        self.state = State(snapshot=snapshot, lost="")
        self.shown: list[tuple[str, dict[str, Any]]] = []
        self.at_s = 100.0

    @property
    def pump(self) -> "FakeDesk":
        return self

    def hears(self, snapshot: Snapshot) -> None:
        self.state = replace(self.state, snapshot=snapshot)

    def go(self, screen: str, **words: object) -> None:
        self.shown.append((screen, words))

    def has(self, screen: str) -> bool:
        return True

    def redraw(self) -> None:
        """Nothing is drawn here."""

    def now_s(self) -> float:
        return self.at_s

    def ask(
        self, act: Callable[[Any], Any], done: Callable[[Any], None], failed: Callable[..., None]
    ) -> None:
        self._answer(act, self.client, done, failed)

    def ask_keeper(
        self, act: Callable[[Any], Any], done: Callable[[Any], None], failed: Callable[..., None]
    ) -> None:
        self._answer(act, self.keeper, done, failed)

    def stop(
        self,
        what: StopWhat,
        done: Callable[[list[Dose]], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        self._answer(lambda pump: pump.stop(what), self.client, done, failed)

    def _answer(
        self,
        act: Callable[[Any], Any],
        client: Any,
        done: Callable[[Any], None],
        failed: Callable[..., None],
    ) -> None:
        try:
            answer = act(client)
        except PumpError as error:
            failed(error)
        else:
            done(answer)
