"""An upload to a Nightscout server: entries, treatments and how the pump stands."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appliance.keeper.export import Exporter, Row
from appliance.keeper.links import Progress, check_host
from appliance.keeper.rollup import Look
from appliance.keeper.sources import Options, Place, credentials
from appliance.keeper.sources.nightscout import ask, base_url

BATCH = 50
_STREAMS = ("entries", "treatments")


class NightscoutUpload:
    """The link of the kind ``nightscout``: options ``url``, ``credentials`` (``secret = ...``)."""

    def __init__(
        self, options: Mapping[str, Any], place: Place, hosts: list[str], sums: Path
    ) -> None:
        """``sums`` is the keeper's database. Raises BadConfiguration."""
        taken = Options(options, place)
        source = f"link {place.name}"
        self._url = base_url(taken.text("url"), source)
        check_host(urlsplit(self._url).hostname, hosts, source)
        secret = credentials(Path(taken.text("credentials")), "secret")["secret"]
        taken.end()
        self._hash = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
        self._sums = sums
        self._progress = Progress(place.state / f"link-{place.name}.json")
        self._told_seq = 0

    def step(self) -> str:
        sent = 0
        with Look(self._sums) as look:
            exporter = Exporter(look)
            sources: dict[str, Callable[[int], Iterator[Row]]] = {
                "entries": exporter.entries,
                "treatments": exporter.treatments,
            }
            for stream in _STREAMS:
                sent += self._send(stream, sources[stream](self._progress.of(stream)))
            if look.seq != self._told_seq:
                for status in exporter.devicestatus():
                    self._post("devicestatus", [status])
                self._told_seq = look.seq
        return f"{sent} rows sent, up to {self._progress.of('treatments')}"

    def _send(self, stream: str, rows: Iterator[Row]) -> int:
        """Send a stream in batches. What the server has taken is kept before the next one."""
        sent = 0
        while batch := list(islice(rows, BATCH)):
            self._post(stream, batch)
            self._progress.came_to(stream, max(row["seq"] for row in batch))
            sent += len(batch)
        return sent

    def _post(self, collection: str, rows: list[Row]) -> None:
        body = json.dumps([{k: v for k, v in row.items() if k != "seq"} for row in rows])
        request = urllib.request.Request(  # noqa: S310 - http only to this computer
            f"{self._url}/api/v1/{collection}.json",
            data=body.encode(),
            headers={"api-secret": self._hash, "content-type": "application/json"},
            method="POST",
        )
        ask(request)

    def pause_s(self) -> float:
        return 60.0

    def end(self) -> None:
        """Nothing stays open."""
