"""The lock desk: settings wait for the PIN, once there is one (SR-65).

A connection that gave the right PIN may change settings until it has left them alone for 60 s.
Every try is a durable row before the PIN is looked at, so that no restart gives a try back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from appliance.domain.limits import Reason
from appliance.domain.pin import AUTO_LOCK_NS, FREE_TRIES, is_pin, wait_ns
from appliance.domain.units import NS_PER_S
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked, PinTask

_SETTING = "pin"
_NO_PIN = Reason("bad_pin", "a PIN has 6 to 12 digits")
"""Without its value: a PIN is never shown."""


class LockDesk(Desk):
    """Knows who has the PIN, and has one checked at a time."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._open_until_ns: dict[int, int] = {}
        self._then: dict[int, Callable[[str], None]] = {}

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "pin.show": self._show,
            "pin.unlock": self._unlock,
            "pin.lock": self._lock,
            "pin.set": self._set_pin,
            "pin.clear": self._clear,
        }

    @property
    def _is_set(self) -> bool:
        return self._c.book.settings.get(_SETTING) is not None

    def in_snapshot(self) -> Mapping[str, Any]:
        return {"pin": {"set": self._is_set, "wait_s": self._wait_s()}}

    def bars(self, asked: Asked) -> bool:
        """Refuse a change of a setting whose connection has not given the PIN; say whether."""
        if asked.method not in self._c.machine.guarded or not self._is_set:
            return False
        now_ns = self._c.now_ns
        if self._open_until_ns.get(asked.connection, now_ns) > now_ns:
            self._open_until_ns[asked.connection] = now_ns + self._real(AUTO_LOCK_NS)
            return False
        self._refuse(asked, [Reason("pin_needed", "settings are locked: the PIN is needed")])
        return True

    def gone(self, connection: int) -> None:
        """Forget what a connection has unlocked."""
        self._open_until_ns.pop(connection, None)

    # ------------------------------------------------------------------ requests

    def _show(self, asked: Asked) -> None:
        self._done(
            asked,
            {
                "set": self._is_set,
                "wrong_tries": self._c.book.pin_tries,
                "wait_s": self._wait_s(),
                "unlocked": self._open_until_ns.get(asked.connection, 0) > self._c.now_ns,
            },
        )

    def _unlock(self, asked: Asked) -> None:
        def right() -> None:
            self._open_until_ns[asked.connection] = self._c.now_ns + self._real(AUTO_LOCK_NS)
            self._done(asked, {"unlocked_s": AUTO_LOCK_NS // NS_PER_S})

        if not self._is_set:
            self._refuse(asked, [Reason("no_pin", "no PIN is set: pumpctl pin set")])
        else:
            self._check(asked, asked.params["pin"], right, may_be_missing=False)

    def _lock(self, asked: Asked) -> None:
        self._open_until_ns = {}
        self._done(asked, {})

    def _set_pin(self, asked: Asked) -> None:
        new = asked.params["new"]
        if not is_pin(new):
            self._refuse(asked, [_NO_PIN])
        elif self._is_set:
            self._check(asked, asked.params["old"] or "", lambda: self._store(asked, new))
        else:
            self._store(asked, new)

    def _clear(self, asked: Asked) -> None:
        def forgotten(verdict: str) -> None:
            if verdict == "forgotten":
                self._set(asked, _SETTING, None)
            else:
                self._refuse(asked, [Reason("disk", verdict)])

        if not self._is_set:
            self._refuse(asked, [Reason("no_pin", "no PIN is set")])
            return
        self._check(
            asked,
            asked.params["old"],
            lambda: self._task(asked, "forget", "", forgotten),
            may_be_missing=False,
        )

    def _store(self, asked: Asked, new: str) -> None:
        def stored(verdict: str) -> None:
            if verdict == "stored":
                self._open_until_ns = {}
                self._set(asked, _SETTING, "set")  # that there is one; never what it is
            else:
                self._refuse(asked, [Reason("disk", verdict)])

        self._task(asked, "store", new, stored)

    # ------------------------------------------------------------------ one try

    def _check(
        self, asked: Asked, pin: str, right: Callable[[], None], *, may_be_missing: bool = True
    ) -> None:
        """Have a PIN checked: the try is durable first. A file that is gone lets a new one in."""
        if not is_pin(pin) and not (may_be_missing and not pin):
            self._refuse(asked, [_NO_PIN])  # it cannot be the one, so it is no try
            return
        if wait_s := self._wait_s():
            text = f"{self._c.book.pin_tries} wrong tries: wait {wait_s} s"
            self._refuse(asked, [Reason("pin_wait", text, "wait_s", str(wait_s))])
            return
        if self._then:
            self._refuse(asked, [Reason("busy", "another PIN is being looked at")])
            return
        by = f"uid {asked.uid}"

        def judged(verdict: str) -> None:
            if verdict == "right" or (verdict == "missing" and may_be_missing):
                body = {"event": verdict, "by": by}
                self._c.write([self._c.entry("pin", body)], lambda _rows: right())
            elif verdict == "missing":
                text = "the PIN's file is gone: set a new one (pumpctl pin set)"
                self._refuse(asked, [Reason("pin_missing", text)])
            else:
                left = max(0, FREE_TRIES - self._c.book.pin_tries)
                text = f"wrong PIN; {left} tries are left" if left else "wrong PIN"
                wait_s = self._wait_s()
                text += f": wait {wait_s} s" if wait_s else ""
                self._refuse(asked, [Reason("wrong_pin", text)])

        self._then[asked.token] = judged
        self._c.write(
            [self._c.entry("pin", {"event": "tried", "by": by})],
            lambda _rows: self._c.add(PinTask(asked.token, "check", pin)),
        )

    def _task(self, asked: Asked, verb: str, pin: str, then: Callable[[str], None]) -> None:
        self._then[asked.token] = then
        self._c.add(PinTask(asked.token, verb, pin))

    def hear(self, token: int, verdict: str) -> None:
        """Take what came of a task."""
        then = self._then.pop(token, None)
        if then is not None:
            then(verdict)

    def _wait_s(self) -> int:
        book = self._c.book
        if not book.pin_tries:
            return 0
        boot, at_ns = book.pin_tried
        since_ns = at_ns if boot == self._c.machine.boot_id else self._c.start_ns
        left_ns = since_ns + self._real(wait_ns(book.pin_tries)) - self._c.now_ns
        return max(0, -(-left_ns // self._real(NS_PER_S)))

    def _real(self, duration_ns: int) -> int:
        return duration_ns * self._c.machine.speed
