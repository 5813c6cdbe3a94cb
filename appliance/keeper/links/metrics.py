"""Prometheus: an endpoint on this computer that a scraper reads, and the numbers on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from appliance.client.messages import Snapshot
from appliance.domain.units import UU_PER_U
from appliance.errors import BadConfiguration
from appliance.keeper.sources import Options, Place

_STATES = ("starting", "inhibited", "stopped", "running", "suspended", "faulted")
_PRIORITIES = ("low", "medium", "high")
_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Ask = Callable[[], Snapshot | None]


def metrics(pump: str, snapshot: Snapshot | None, sums: Mapping[str, int]) -> str:
    """Write the numbers in Prometheus's text format; ``sums`` are totals of the whole ledger."""
    lines: list[str] = []

    def add(name: str, kind: str, text: str, rows: Iterator[tuple[str, float]]) -> None:
        found = list(rows)
        if found:
            lines.append(f"# HELP benchpump_{name} {text} (BENCH)")
            lines.append(f"# TYPE benchpump_{name} {kind}")
            lines.extend(f"benchpump_{name}{{{labels}}} {number:g}" for labels, number in found)

    label = f'pump="{_escaped(pump)}"'

    def one(number: float | None) -> Iterator[tuple[str, float]]:
        if number is not None:
            yield label, number

    add("up", "gauge", "Whether pumpd answers", one(0 if snapshot is None else 1))
    for name, value in sums.items():
        add(f"{name}_total", "counter", name.replace("_", " "), one(value))
    if snapshot is None:
        return "\n".join(lines) + "\n"
    add("snapshot_age_seconds", "gauge", "Age of what pumpd said", one(snapshot.age_ms / 1_000))
    add(
        "state",
        "gauge",
        "1 for the state that it is in",
        ((f'{label},state="{name}"', float(snapshot.state == name)) for name in _STATES),
    )
    add("basal_units_per_hour", "gauge", "Basal now", one(snapshot.basal_uu_per_h / UU_PER_U))
    held = snapshot.reservoir_uu
    add("reservoir_units", "gauge", "Left at least", one(None if held is None else held / UU_PER_U))
    add("delivering", "gauge", "Whether the motor is at it", one(float(snapshot.delivering)))
    on_board = (snapshot.iob_uu or {}).get("total")
    on_board_u = on_board / UU_PER_U if isinstance(on_board, int) else None
    add("insulin_on_board_units", "gauge", "Still to act", one(on_board_u))
    standing = [one.priority for one in snapshot.alarms if not one.acknowledged]
    add(
        "alarms",
        "gauge",
        "Alarms that nobody has acknowledged",
        ((f'{label},priority="{name}"', float(standing.count(name))) for name in _PRIORITIES),
    )
    glucose = snapshot.glucose
    if glucose is not None and glucose.state == "ok":  # an old value is not the present
        add("glucose_mg_dl", "gauge", "Newest reading", one(glucose.mg_dl))
    if glucose is not None and glucose.age_s is not None:
        add("glucose_age_seconds", "gauge", "Age of the newest reading", one(glucose.age_s))
        suspended = glucose.protection is not None and glucose.protection.suspended
        add("suspended_by_glucose", "gauge", "Whether basal is held back", one(float(suspended)))
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


class Prometheus:
    """The link of the kind ``prometheus``: options ``port`` and ``address`` (this computer's own
    where none is named). It answers; it sends nothing.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        place: Place,
        pump: str,
        ask: Ask,
        sums: Callable[[], Mapping[str, int]],
    ) -> None:
        """``ask`` returns the pump's snapshot or None. Raises BadConfiguration."""
        taken = Options(options, place)
        port, address = taken.whole("port", 9_469, 0, 65_535), taken.text("address", "127.0.0.1")
        taken.end()

        class Door(BaseHTTPRequestHandler):
            """Answers a scrape."""

            timeout = 10.0

            def do_GET(self) -> None:
                """Answer ``/metrics``, and nothing else."""
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(404)
                    return
                body = metrics(pump, ask(), sums()).encode()
                self.send_response(200)
                self.send_header("Content-Type", _TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """A scrape every few seconds is no news."""

        try:
            self._server = ThreadingHTTPServer((address, port), Door)
        except OSError as error:
            text = f"{address}:{port} cannot be served: {error.strerror}"
            raise BadConfiguration(f"link {place.name}", [text]) from error
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True
        )
        self._thread.start()

    def step(self) -> str:
        return f"answers on port {self.port}"

    def pause_s(self) -> float:
        return 60.0

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
