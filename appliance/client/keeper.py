"""The housekeeper's socket: what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from appliance import __version__
from appliance.client.messages import (
    KEEPER_METHODS,
    DaysParams,
    DaySums,
    Graph,
    GraphParams,
    HistoryPage,
    HistoryParams,
    HistoryRow,
    KeeperExportParams,
    KeeperRunParams,
    KeeperShown,
    Nothing,
    Summary,
)
from appliance.client.rpc import RpcClient
from appliance.errors import ProtocolFault

PAGE_ROWS = 100


class KeeperClient:
    """One conversation with ``pump-keeper``: synchronous, a context manager.

    Raises what PumpClient raises; NoPump means "history not available", and dosing goes on without
    it.
    """

    def __init__(
        self, path: Path | str, *, client: str = f"benchpump-client {__version__}"
    ) -> None:
        self._rpc = RpcClient(path, KEEPER_METHODS, client=client)

    def __enter__(self) -> Self:
        self._rpc.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._rpc.close()

    @property
    def rpc(self) -> RpcClient:
        """The calls underneath; ``rpc.hello.utc_ns`` is the pump's own time."""
        return self._rpc

    def page(self, params: HistoryParams) -> HistoryPage:
        """Return one page of history, newest first."""
        return HistoryPage.of(self._rpc.call("history", params))

    def history(
        self,
        *,
        since_utc_ns: int | None = None,
        rows: int | None = None,
        steps: bool = False,
        request_id: str | None = None,
        glucose: bool = False,
    ) -> Iterator[HistoryRow]:
        """Yield what happened, newest first, page by page; at most ``rows`` of it.

        ``glucose`` adds the readings of a sensor, ``steps`` the leases and counts under each dose;
        ``request_id`` asks for one dose alone.
        """
        left, before_seq = rows, None
        while left is None or left > 0:
            page = self.page(
                HistoryParams(
                    since_utc_ns=since_utc_ns,
                    before_seq=before_seq,
                    limit=PAGE_ROWS if left is None else min(left, PAGE_ROWS),
                    steps=steps,
                    request_id=request_id,
                    glucose=glucose,
                )
            )
            yield from page.rows
            left = None if left is None else left - len(page.rows)
            if page.next_before_seq is None or (
                before_seq is not None and page.next_before_seq >= before_seq
            ):
                return  # the last page; one that does not go back would be asked for ever
            before_seq = page.next_before_seq

    # --- from the keeper's own database: PumpFailed while it has not read the whole ledger -------

    def graph(self, hours: int = 3, until_utc_ns: int | None = None) -> Graph:
        """Return what a graph of ``hours`` (1 to 72) draws, up to an instant or to now."""
        params = GraphParams(hours=hours, until_utc_ns=until_utc_ns)
        return Graph.of(self._rpc.call("graph", params))

    def days(self, days: int = 14, until: str | None = None) -> list[DaySums]:
        """Return the sums of each local day up to "2026-11-26", or today; newest first."""
        listed = self._rpc.call("days", DaysParams(days=days, until=until)).get("days")
        if not isinstance(listed, list):
            raise ProtocolFault("the answer has no list of days")
        return [DaySums.of(one) for one in listed]

    def summary(self, days: int = 14, until: str | None = None) -> Summary:
        """Return the sums of so many local days together, and a day's mean."""
        return Summary.of(self._rpc.call("summary", DaysParams(days=days, until=until)))

    def profile_of_day(self, days: int = 14, until: str | None = None) -> list[dict[str, float]]:
        """Return the ambulatory glucose profile: percentiles in each quarter of an hour.

        Each has ``min_of_day``, ``readings`` and ``p5``, ``p25``, ``p50``, ``p75``, ``p95``.
        """
        rows = self._rpc.call("agp", DaysParams(days=days, until=until)).get("slots")
        if not isinstance(rows, list):
            raise ProtocolFault("the answer has no list of slots")
        return [dict(one) for one in rows]

    def conservation(self) -> dict[str, object]:
        """Return whether what left the cartridge adds up, by leases and by doses."""
        return self._rpc.call("conservation", Nothing())

    def keeper(self) -> KeeperShown:
        """Return the keeper's jobs, how far its database is, and its sources of glucose."""
        return KeeperShown.of(self._rpc.call("keeper", Nothing()))

    def run_job(self, name: str) -> None:
        """Have a job done as soon as the others leave room."""
        self._rpc.call("keeper.run", KeeperRunParams(job=name))

    def export(self, target: str = "here") -> None:
        """Have everything exported, with a report; ``keeper`` names the targets, and then says in
        its job "export" where it went.
        """
        self._rpc.call("keeper.export", KeeperExportParams(target=target))
