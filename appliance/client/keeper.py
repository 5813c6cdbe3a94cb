"""The housekeeper's socket: what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from appliance import __version__
from appliance.client.messages import KEEPER_METHODS, HistoryPage, HistoryParams, HistoryRow
from appliance.client.rpc import RpcClient

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
    ) -> Iterator[HistoryRow]:
        """Yield what happened, newest first, page by page; at most ``rows`` of it.

        ``steps`` adds the leases and counts under each dose; ``request_id`` asks for one dose
        alone.
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
                )
            )
            yield from page.rows
            left = None if left is None else left - len(page.rows)
            if page.next_before_seq is None or (
                before_seq is not None and page.next_before_seq >= before_seq
            ):
                return  # the last page; one that does not go back would be asked for ever
            before_seq = page.next_before_seq
