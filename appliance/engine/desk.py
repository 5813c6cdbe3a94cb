"""A desk answers a family of requests: the pump hands each request to the desk that has its verb.

A new family is a desk of its own and one line in the pump. What every desk needs stands here: how
an answer is given, how a refusal, and how a setting changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain.limits import Reason
from appliance.engine.context import Context
from appliance.engine.messages import Asked, Done, Refused, Reply
from appliance.ports import Row
from appliance.records import NO_LIMIT

Answers = Callable[[Asked], None]


class Desk:
    """What all desks have in common; ``verbs`` says which requests this one answers."""

    def __init__(self, context: Context) -> None:
        self._c = context

    @property
    def verbs(self) -> Mapping[str, Answers]:
        """Return the methods of the wire that this desk answers, each with what answers it."""
        raise NotImplementedError

    def tend(self) -> None:
        """Do what is due by now; called at every turn of the engine."""

    def against_bolus(self) -> Sequence[Reason]:
        """List what this desk has against any new bolus."""
        return ()

    def against_resume(self) -> Sequence[Reason]:
        """List what this desk has against delivering again."""
        return ()

    def in_snapshot(self) -> Mapping[str, Any]:
        """Return what this desk adds to the snapshot."""
        return {}

    def wake_ns(self) -> int:
        """Return when this desk has to be asked again, beside the engine's own wakes."""
        return NO_LIMIT

    def _done(self, asked: Asked, result: Mapping[str, Any]) -> None:
        self._c.add(Reply(asked.token, Done(result)))

    def _refuse(self, asked: Asked, reasons: Sequence[Reason]) -> None:
        self._c.add(Reply(asked.token, Refused(reasons)))

    def _set(
        self, asked: Asked, name: str, new: object, then: Callable[[], None] | None = None
    ) -> None:
        """Change a setting: a row with old and new value, and only then in force (SR-66)."""
        old = self._c.book.settings.get(name)
        self._change(asked, [(name, old, new)], {"name": name, "new": new}, then)

    def _change(
        self,
        asked: Asked,
        changes: Sequence[tuple[str, object, object]],
        result: Mapping[str, Any],
        then: Callable[[], None] | None = None,
    ) -> None:
        """Change several settings (name, old, new) in one transaction, and then answer."""

        def durable(_rows: Sequence[Row]) -> None:
            if then is not None:
                then()
            self._done(asked, result)

        by = f"uid {asked.uid}"
        bodies = [{"name": n, "old": old, "new": new, "by": by} for n, old, new in changes]
        self._c.write([self._c.entry("setting", body) for body in bodies], durable)
