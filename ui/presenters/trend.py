"""The last hours as a graph: basal as delivered, boluses above it. History is the keeper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.client import HistoryRow, KeeperClient, PumpError
from appliance.client.messages import HistoryParams
from appliance.client.words import NS_PER_S
from ui.presenters.desk import Desk

HOURS = (3, 6, 12, 24)
_MOST_ROWS = 500
_AGAIN_S = 20.0
_DAY_NS = 24 * 3_600 * NS_PER_S
_BOLUSES = frozenset({"bolus", "extended"})


@dataclass(frozen=True, slots=True)
class Trend:
    """Instants are UTC nanoseconds; rates have start and end, boluses what is confirmed."""

    from_ns: int = 0
    to_ns: int = 0
    offset_s: int = 0
    basal: tuple[tuple[int, int, int], ...] = ()
    boluses: tuple[tuple[int, int], ...] = ()
    glucose: tuple[tuple[int, int], ...] = ()


class History:
    """Asks the keeper for the last day, again and again, and keeps what it said."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rows: list[HistoryRow] = []
        self._asked_s = float("-inf")
        self._asking = False
        self.available = True

    def look(self, *, now: bool = False) -> None:
        """Ask, where the last answer is old, or at once."""
        snapshot = self._desk.state.live
        if self._asking or snapshot is None or snapshot.clock is None:
            return
        again_s = _AGAIN_S / max(1, min(10, snapshot.speed))
        if not now and self._desk.now_s() - self._asked_s < again_s:
            return
        self._asking, self._asked_s = True, self._desk.now_s()
        since_ns = max(0, snapshot.clock.utc_ns - _DAY_NS)
        since = HistoryParams(since_utc_ns=since_ns, limit=_MOST_ROWS, glucose=True)

        def page(keeper: KeeperClient) -> list[HistoryRow]:
            return keeper.page(since).rows

        self._desk.pump.ask_keeper(page, self._heard, self._failed)

    def _heard(self, rows: list[HistoryRow]) -> None:
        self._asking, self.available, self._rows = False, True, rows

    def _failed(self, _error: PumpError) -> None:
        self._asking, self.available = False, False

    def last_bolus(self) -> HistoryRow | None:
        """Return the newest bolus that has ended; None where the last day has none."""
        return next((one for one in self._rows if one.kind == "bolus" and one.outcome), None)

    def trend(self, hours: int) -> Trend:
        """Return the last ``hours``."""
        snapshot = self._desk.state.live
        if snapshot is None or snapshot.clock is None:
            return Trend()
        # A minute is less than a pixel: the picture moves once in it.
        to_ns = snapshot.clock.utc_ns // (60 * NS_PER_S) * 60 * NS_PER_S
        from_ns = to_ns - hours * 3_600 * NS_PER_S
        return Trend(
            from_ns,
            to_ns,
            snapshot.clock.offset_s,
            tuple(_basal(self._rows, from_ns, to_ns)),
            tuple(_boluses(self._rows, from_ns)),
            tuple(_glucose(self._rows, from_ns)),
        )


def _basal(rows: Sequence[HistoryRow], from_ns: int, to_ns: int) -> list[tuple[int, int, int]]:
    found = []
    for row in rows:
        rate = row.raw.get("rate_uu_per_h")
        if row.kind != "basal" or row.utc_ns is None or not isinstance(rate, int):
            continue
        ended = row.raw.get("ended_utc_ns")
        end_ns = min(to_ns, ended if isinstance(ended, int) else to_ns)
        start_ns = max(from_ns, row.utc_ns)
        if end_ns > start_ns:
            found.append((start_ns, end_ns, rate))
    return found


def _boluses(rows: Sequence[HistoryRow], from_ns: int) -> list[tuple[int, int]]:
    found = []
    for row in rows:
        if row.kind not in _BOLUSES or row.utc_ns is None or row.utc_ns < from_ns:
            continue
        if row.programmed_uu and row.programmed_steps and row.confirmed_steps:
            share_uu = row.programmed_uu * row.confirmed_steps // row.programmed_steps
            found.append((row.utc_ns, share_uu))
    return found


def _glucose(rows: Sequence[HistoryRow], from_ns: int) -> list[tuple[int, int]]:
    found = []
    for row in rows:
        mg_dl = row.raw.get("mg_dl")
        if isinstance(mg_dl, int) and row.utc_ns is not None and row.utc_ns >= from_ns:
            found.append((row.utc_ns, mg_dl))
    return found
