"""MQTT, by way of paho (``pip install 'benchpump[mqtt]'``): a pump in Home Assistant.

The state goes out retained, with Home Assistant's discovery beside it; what happened (readings,
boluses) goes out in order with quality 1, and the next row only when the broker has taken the one
before. ``availability`` says offline by the broker's own will where this program goes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from appliance.client.messages import Snapshot
from appliance.domain.units import UU_PER_U
from appliance.errors import SourceFault
from appliance.keeper.export import Exporter, Row
from appliance.keeper.links import Progress, check_host
from appliance.keeper.rollup import Look
from appliance.keeper.sources import Options, Place, credentials

_TAKEN_S = 10.0
_BATCH = 200
_SENSORS = (
    ("state", "State", None, None),
    ("glucose_mg_dl", "Glucose", "mg/dL", "measurement"),
    ("reservoir_u", "Reservoir", "U", "measurement"),
    ("basal_u_per_h", "Basal", "U/h", "measurement"),
    ("iob_u", "Insulin on board", "U", "measurement"),
    ("alarms", "Alarms", None, "measurement"),
)


class Mqtt:
    """The link of the kind ``mqtt``: options ``host``, ``port``, ``topic``, ``discovery``,
    ``credentials`` (``username`` and ``password``; none where it is not given).
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        place: Place,
        hosts: list[str],
        *,
        pump: str,
        ask: Callable[[], Snapshot | None],
        sums: Path,
    ) -> None:
        """Raises BadConfiguration. Nothing is connected before the first step."""
        taken = Options(options, place)
        self._host = check_host(taken.text("host"), hosts, f"link {place.name}")
        self._port = taken.whole("port", 1_883, 1, 65_535)
        self._topic = taken.text("topic", f"benchpump/{place.name}")
        self._discovery = taken.text("discovery", "homeassistant")
        words = taken.text("credentials", "-")
        taken.end()
        self._pump, self._ask, self._sums = pump, ask, sums
        self._progress = Progress(place.state / f"link-{place.name}.json")
        self._name = place.name
        self._words = credentials(Path(words), "username", "password") if words != "-" else {}
        self._client = self._new_client()
        self._on = False
        self._greeted = False

    def step(self) -> str:
        if not self._client.is_connected():
            self._connect()
        if not self._greeted:
            for topic, body in self._discoveries():
                self._publish(topic, body, retain=True)
            self._publish(f"{self._topic}/availability", "online", retain=True)
            self._greeted = True
        self._publish(f"{self._topic}/state", json.dumps(self._state()), retain=True)
        sent = 0
        with Look(self._sums) as look:
            exporter = Exporter(look)
            for stream, rows in (
                ("entries", exporter.entries(self._progress.of("entries"))),
                ("treatments", exporter.treatments(self._progress.of("treatments"))),
            ):
                sent += self._send(stream, islice(rows, _BATCH))
        return f"{sent} rows sent"

    def _send(self, stream: str, rows: Iterator[Row]) -> int:
        sent = 0
        for row in rows:
            self._publish(f"{self._topic}/{stream}", json.dumps(row), retain=False)
            self._progress.came_to(stream, row["seq"])
            sent += 1
        return sent

    def _new_client(self) -> paho.Client:
        """Return a client that holds nothing: an old one sends again what it had under way."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"benchpump-{self._name}", clean_session=True
        )
        if self._words:
            client.username_pw_set(self._words["username"], self._words["password"])
        client.will_set(f"{self._topic}/availability", "offline", qos=1, retain=True)
        return client

    def _connect(self) -> None:
        """Connect anew, and have paho's own thread turn. Raises SourceFault."""
        self._greeted = False
        self._stop()
        self._client = self._new_client()
        try:
            self._client.connect(self._host, self._port, keepalive=30)
        except (OSError, ValueError) as error:
            raise SourceFault(f"{self._host}:{self._port} cannot be reached: {error}") from None
        self._client.loop_start()
        self._on = True

    def _publish(self, topic: str, body: str, *, retain: bool) -> None:
        """Publish and wait until the broker has taken it. Raises SourceFault."""
        told = self._client.publish(topic, body, qos=1, retain=retain)
        try:
            told.wait_for_publish(_TAKEN_S)
            taken = told.is_published()
        except (RuntimeError, ValueError) as error:
            self._stop()
            raise SourceFault(f"{self._host}:{self._port}: {error}") from None
        if not taken:
            self._stop()  # it is not to go out later, behind our back
            raise SourceFault(f"{self._host}:{self._port} takes nothing")

    def _discoveries(self) -> Iterator[tuple[str, str]]:
        device = {"identifiers": [f"benchpump-{self._name}"], "name": f"{self._pump} (BENCH)"}
        for key, name, unit, kind in _SENSORS:
            body: dict[str, Any] = {
                "name": name,
                "unique_id": f"benchpump-{self._name}-{key}",
                "state_topic": f"{self._topic}/state",
                "availability_topic": f"{self._topic}/availability",
                "value_template": f"{{{{ value_json.{key} }}}}",
                "device": device,
            }
            body |= {"unit_of_measurement": unit} if unit else {}
            body |= {"state_class": kind} if kind else {}
            yield f"{self._discovery}/sensor/benchpump_{self._name}/{key}/config", json.dumps(body)

    def _state(self) -> dict[str, Any]:
        snapshot = self._ask()
        if snapshot is None:
            return {"bench": True, "state": "no answer"}
        glucose = snapshot.glucose
        held = snapshot.reservoir_uu
        on_board = (snapshot.iob_uu or {}).get("total")
        return {
            "bench": True,
            "state": snapshot.state,
            "glucose_mg_dl": glucose.mg_dl if glucose and glucose.state == "ok" else None,
            "reservoir_u": None if held is None else held / UU_PER_U,
            "basal_u_per_h": snapshot.basal_uu_per_h / UU_PER_U,
            "iob_u": on_board / UU_PER_U if isinstance(on_board, int) else None,
            "alarms": sum(not one.acknowledged for one in snapshot.alarms),
        }

    def pause_s(self) -> float:
        return 30.0

    def _stop(self) -> None:
        if self._on:
            self._on = False
            self._client.disconnect()
            self._client.loop_stop()

    def end(self) -> None:
        if self._client.is_connected():
            self._client.publish(f"{self._topic}/availability", "offline", qos=1, retain=True)
        self._stop()
