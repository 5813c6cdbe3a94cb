"""What went out within a sliding window, looked up before every lease: it must not be summed anew.

The book keeps amounts by minutes; all but the newest are final. Their running sums are kept here,
so that a look costs two searches and not a walk over a day.
"""

from __future__ import annotations

from bisect import bisect_left

from appliance.domain.mechanics import Mechanics
from appliance.engine.book import Book, Spent

_TRIMMED = 8_192


class Windows:
    """The running sums of one book's final amounts, rounded up one by one as limits count them."""

    def __init__(self, book: Book, mechanics: Mechanics, boot_id: str) -> None:
        self._book = book
        self._mechanics = mechanics
        self._boot_id = boot_id
        self._instants: list[int] = []
        self._sums = [0]
        self._newest: Spent | None = None

    def used_uu(self, since_ns: int) -> int | None:
        """Return what was counted at ``since_ns`` or later; None where a part of it is of an older
        boot, whose instants have to be proved one by one.
        """
        spent = self._book.spent
        if not spent:
            return 0
        if spent[0].boot != self._boot_id:
            return None
        self._catch_up()
        used_uu = self._sums[-1] - self._sums[bisect_left(self._instants, since_ns)]
        last = spent[-1]
        if last.mono_ns >= since_ns:
            used_uu += self._mechanics.uu_of_up(last.steps)
        return used_uu

    def _catch_up(self) -> None:
        """Take in what has become final since the last look."""
        spent = self._book.spent
        new: list[Spent] = []
        for back in range(2, len(spent) + 1):
            one = spent[-back]
            if one is self._newest:
                break
            new.append(one)
        else:
            self._instants, self._sums = [], [0]
        if len(self._instants) > _TRIMMED:
            half = _TRIMMED // 2
            self._instants, self._sums = self._instants[half:], self._sums[half:]
        for one in reversed(new):
            self._instants.append(one.mono_ns)
            self._sums.append(self._sums[-1] + self._mechanics.uu_of_up(one.steps))
            self._newest = one
