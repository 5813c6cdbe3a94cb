"""The way to the pump: conversations in threads of their own, answers on the screen's thread.

One watches (snapshots in, heartbeats out), one asks what screens ask, one asks the keeper, and one
does nothing but stop: a stop never waits behind a self-test that takes seconds. Nothing here knows
Kivy.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

from appliance.client import (
    BenchClient,
    Dose,
    KeeperClient,
    NoPump,
    Places,
    PumpClient,
    PumpError,
    Snapshot,
)
from appliance.client.messages import StopWhat, TouchStuck

Answer = TypeVar("Answer")
Client = TypeVar("Client", PumpClient, KeeperClient, BenchClient)

_AGAIN_S = 0.3
_LEAVING_S = 2.0
_NAME = "pump-ui"
_TRIES = 20


class Worker(Generic[Client]):
    """One thread with one connection, which does one job after the other."""

    def __init__(
        self, name: str, client: Client, post: Callable[[Callable[[], None]], None]
    ) -> None:
        self._client: Client = client
        self._post = post
        self._jobs: SimpleQueue[Callable[[Client], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def give(
        self,
        act: Callable[[Client], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Have ``act`` done; then post ``done`` with what it returned, or ``failed``."""

        def job(client: Client) -> None:
            try:
                answer = act(client)
            except PumpError as error:
                if isinstance(error, NoPump):
                    client.rpc.close()  # the next job connects anew
                self._post(partial(failed, error))
            else:
                self._post(partial(done, answer))

        self._jobs.put(job)

    def close(self) -> None:
        """End after the job in hand, and wait for that for a moment."""
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(_LEAVING_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job(self._client)
        self._client.rpc.close()


class Link:
    """What passes between the touchscreen and ``pumpd``.

    ``post`` brings a call to the screen's thread; ``heard`` and ``lost`` are called there.
    """

    def __init__(
        self,
        places: Places,
        post: Callable[[Callable[[], None]], None],
        *,
        heard: Callable[[Snapshot, frozenset[str]], None],
        lost: Callable[[str, tuple[str, ...]], None],
    ) -> None:
        self._places = places
        self._post = post
        self._heard = heard
        self._lost = lost
        self._ending = threading.Event()
        asked = PumpClient(places.pump_socket, client=_NAME, settle_tries=_TRIES)
        self._asks: Worker[PumpClient] = Worker("ask", asked, post)
        stopping = PumpClient(places.pump_socket, client=_NAME)
        self._stops: Worker[PumpClient] = Worker("stop", stopping, post)
        keeper = KeeperClient(places.keeper_socket, client=_NAME)
        self._keeper: Worker[KeeperClient] = Worker("keeper", keeper, post)
        bench = BenchClient(places.bench_socket)
        self._bench: Worker[BenchClient] = Worker("bench", bench, post)
        self._stuck: TouchStuck = "no"
        self._beat_due = threading.Event()
        self._watch = threading.Thread(target=self._watched, name="watch", daemon=True)
        self._bell_in, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def start(self) -> None:
        """Begin all conversations."""
        self._asks.start()
        self._stops.start()
        self._keeper.start()
        self._bench.start()
        self._watch.start()

    def close(self) -> None:
        """Leave the pump."""
        self._ending.set()
        self._ring()
        if self._watch.is_alive():
            self._watch.join(_LEAVING_S)
        self._asks.close()
        self._stops.close()
        self._keeper.close()
        self._bench.close()
        os.close(self._bell)
        os.close(self._bell_in)

    def beat(self) -> None:
        """Send a heartbeat. The screen's own clock calls this: one that hangs falls silent."""
        self._beat_due.set()
        self._ring()

    def tell_stuck(self, stuck: TouchStuck) -> None:
        """Have the pump know whether a touch is stuck, on the connection of the heartbeat."""
        if stuck != self._stuck:
            self._stuck = stuck
            self._ring()

    def ask(
        self,
        act: Callable[[PumpClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Do ``act`` with a client; then call ``done`` or ``failed`` on the screen's thread."""
        self._asks.give(act, done, failed)

    def ask_keeper(
        self,
        act: Callable[[KeeperClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask pump-keeper in the same way."""
        self._keeper.give(act, done, failed)

    def ask_bench(
        self,
        act: Callable[[BenchClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask the simulated bench in the same way."""
        self._bench.give(act, done, failed)

    def stop(
        self,
        what: StopWhat,
        done: Callable[[list[Dose]], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Stop now, past everything that was asked for before."""
        self._stops.give(lambda pump: pump.stop(what), done, failed)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has rung, and nobody has looked yet
            os.write(self._bell, b"b")

    def _watched(self) -> None:
        pump = PumpClient(self._places.pump_socket, client=_NAME)
        while not self._ending.is_set():
            try:
                self._converse(pump)
            except PumpError as error:
                pump.close()
                why = error.why if isinstance(error, NoPump) else str(error)
                not_up = tuple(self._places.reasons_not_up())
                self._post(partial(self._lost, why, not_up))
                self._ending.wait(_AGAIN_S)
        pump.close()

    def _converse(self, pump: PumpClient) -> None:
        snapshot: Snapshot | None = pump.subscribe()
        hello = pump.rpc.hello
        roles = frozenset(hello.roles if hello is not None else ())
        told: TouchStuck = "no"  # by this connection: the pump forgets the word of one that is lost
        while not self._ending.is_set():
            if snapshot is not None:
                self._post(partial(self._heard, snapshot, roles))
            ready, _, _ = select.select([pump.rpc.fileno(), self._bell_in], [], [], 1.0)
            if self._bell_in in ready:
                os.read(self._bell_in, 4096)
                if "operate" in roles and not self._ending.is_set():
                    if self._beat_due.is_set():
                        self._beat_due.clear()
                        pump.heartbeat()
                    if (stuck := self._stuck) != told:
                        pump.report_touch(stuck)
                        told = stuck
            snapshot = pump.next_snapshot(0.0)
