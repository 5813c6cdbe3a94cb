"""The way from other threads to Kivy's: calls in order, and of snapshots the newest alone."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue

from kivy.clock import Clock


class Inbox:
    """Carries calls to the Kivy thread; many posts make one draw a frame."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = Clock.create_trigger(self._drain)

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` called on the Kivy thread, after those before it. Safe from any thread."""
        self._queue.put(call)
        self._wake()

    def _drain(self, _dt: float) -> None:
        for _ in range(self._queue.qsize()):  # what is posted meanwhile comes in the next frame
            self._queue.get_nowait()()
