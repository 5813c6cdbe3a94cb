"""The rules of the PIN: what it may be, and how long a wrong one has to wait (SR-65).

Five tries are free; after each further one the wait doubles. The wait is counted on the monotonic
clock, and from the start of the pump where the last try was in an earlier life of it: neither a
restart nor a clock that is set shortens it.
"""

from __future__ import annotations

from appliance.domain.units import NS_PER_H, NS_PER_S

MIN_DIGITS, MAX_DIGITS = 6, 12
FREE_TRIES = 5
AUTO_LOCK_NS = 60 * NS_PER_S
_FIRST_WAIT_NS = 30 * NS_PER_S
_LONGEST_WAIT_NS = NS_PER_H


def wait_ns(wrong_tries: int) -> int:
    """Return how long the next try has to wait after ``wrong_tries`` in a row."""
    if wrong_tries < FREE_TRIES:
        return 0
    doublings = min(wrong_tries - FREE_TRIES, 20)
    return min(_FIRST_WAIT_NS << doublings, _LONGEST_WAIT_NS)


def is_pin(text: str) -> bool:
    """Say whether a text can be a PIN: 6 to 12 ASCII digits."""
    return text.isascii() and text.isdigit() and MIN_DIGITS <= len(text) <= MAX_DIGITS
