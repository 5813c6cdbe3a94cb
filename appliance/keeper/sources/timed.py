"""``requests`` with a time limit, for libraries of accounts that set none: a server that takes a
call and says nothing would hold its source for ever.

NOTE: pydexcom and pylibrelinkup reach ``requests`` as a name of their modules and have no parameter
for a limit. This goes when they take one.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import requests

ANSWER_S = 20.0
"""How long a server may take to answer, and between two pieces of its answer."""


class _Session(requests.Session):
    """A session whose every call ends."""

    def request(self, *words: Any, **named: Any) -> requests.Response:  # noqa: ANN401
        """Send one call. Raises requests.Timeout after ``ANSWER_S`` of silence."""
        named.setdefault("timeout", ANSWER_S)
        return super().request(*words, **named)


def _get(url: str, **named: Any) -> requests.Response:  # noqa: ANN401
    with _Session() as session:
        return session.get(url, **named)


def _post(url: str, **named: Any) -> requests.Response:  # noqa: ANN401
    with _Session() as session:
        return session.post(url, **named)


def in_time(library: ModuleType) -> None:
    """Have a library's module call with a time limit. Raises KeyError where it names no requests:
    it is then another library than the one that this was written for.
    """
    names = vars(library)
    timed = ModuleType("requests with a time limit")
    vars(timed).update(vars(names["requests"]))
    vars(timed).update(Session=_Session, get=_get, post=_post)
    names["requests"] = timed
