"""Links over real wires: an HTTP server that keeps what it is sent, Mosquitto and Prometheus.

Each link is cut and comes back: nothing is lost, and nothing stands twice.
"""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from appliance.adapters.ledger import SqliteLedger
from appliance.client.messages import Snapshot
from appliance.errors import BadConfiguration, SourceFault
from appliance.keeper.links import LinkThread, Progress
from appliance.keeper.links.metrics import Prometheus, metrics
from appliance.keeper.links.mqtt import Mqtt
from appliance.keeper.links.upload import NightscoutUpload
from appliance.keeper.queries import Queries
from appliance.keeper.rollup import Look, Rollup
from appliance.keeper.sources import Place
from appliance.keeper.take_away import take_away, targets, write_report
from appliance.ports import Entry

S = 1_000_000_000
UTC_NS = 1_763_769_600 * S
LIMIT_S = 20.0


def entry(kind: str, at_s: int, **body: Any) -> Entry:
    return Entry(kind, "b", at_s * S, UTC_NS + at_s * S, 0, "synchronised", body)


def reading(number: int) -> Entry:
    body = {"reading": "sensor", "source": "t", "id": str(number), "mg_dl": 90 + number % 60}
    return entry("glucose", number * 300, **body, age_s=0, by="u")


def bolus(number: int, at_s: int) -> list[Entry]:
    own = str(UUID(int=number, version=4))
    amount = {"programmed_uu": 100_000, "programmed_steps": 54}
    steps = {"issued_steps": 54, "confirmed_steps": 54, "maximum_steps": 54}
    return [
        entry(
            "intent", at_s, request_id=own, dose="bolus", rate_uu_per_h=90_000_000,
            programme=number, run=1, by="u", **amount,
        ),
        entry(
            "closed", at_s + 5, request_id=own, outcome="done", why="", certainty="exact",
            confirmed_by="count", shift_ns=0, **amount, **steps,
        ),
    ]  # fmt: skip


class Kept:
    """A ledger and the keeper's database beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sums = folder / "keeper.db"
        self.ledger = SqliteLedger(folder / "ledger.db")
        self.rollup = Rollup(self.sums, folder / "ledger.db")
        mechanics = {"ratio_uu": 5_890_141, "ratio_steps": 3_200}
        self.add(entry("start", 0, mechanics=mechanics, version="0", clean_before=True, checks=[]))
        self.count = 0

    def add(self, *entries: Entry) -> None:
        self.ledger.append(entries)
        self.rollup.follow_to_the_end()

    def more(self, readings: int) -> None:
        for _ in range(readings):
            self.count += 1
            self.add(reading(self.count))

    @property
    def place(self) -> Place:
        return Place("one", None, self.folder, self.folder)  # type: ignore[arg-type]

    def close(self) -> None:
        self.rollup.close()
        self.ledger.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    one = Kept(tmp_path)
    yield one
    one.close()


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# --- Nightscout -----------------------------------------------------------------------------------


class Server:
    """A server that keeps what it is sent by its identifier, and may be broken in three ways."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.posts: list[tuple[str, int]] = []
        self.secrets: set[str] = set()
        self.broken = ""
        outer = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                rows = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.secrets.add(self.headers["api-secret"])
                if outer.broken == "refuses":
                    self.send_error(500)
                    return
                for row in rows:
                    outer.kept[row["identifier"]] = row
                outer.posts.append((self.path, len(rows)))
                if outer.broken == "loses its answer":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"[]")

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def values(self, kind: str) -> list[int]:
        rows = [one for one in self.kept.values() if kind in one]
        return [one[kind] for one in sorted(rows, key=lambda one: int(one["date"]))]

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def upload(kept: Kept, url: str, hosts: list[str] | None = None) -> NightscoutUpload:
    secret = kept.folder / "secret"
    secret.write_text("secret = tell-nobody-12\n")
    secret.chmod(0o600)
    options = {"url": url, "credentials": str(secret)}
    return NightscoutUpload(options, kept.place, hosts or ["127.0.0.1"], kept.sums)


def test_readings_and_boluses_are_uploaded_once_and_in_batches(kept: Kept, server: Server) -> None:
    kept.more(120)
    kept.add(*bolus(1, 40_000))
    link = upload(kept, server.url)
    link.step()
    assert [size for path, size in server.posts if "entries" in path] == [50, 50, 20]
    assert server.values("sgv") == [90 + n % 60 for n in range(1, 121)]
    before = len(server.posts)
    link.step()
    assert len(server.posts) == before  # nothing new, nothing sent
    (treatment,) = [one for one in server.kept.values() if "eventType" in one]
    assert (treatment["eventType"], treatment["insulin"]) == ("Bolus", 0.0994)
    assert not any("tell-nobody" in secret for secret in server.secrets)


@pytest.mark.parametrize("broken", ["refuses", "loses its answer"])
def test_after_an_outage_nothing_is_lost_and_nothing_stands_twice(
    kept: Kept, server: Server, broken: str
) -> None:
    link = upload(kept, server.url)
    kept.more(30)
    link.step()
    server.broken = broken
    kept.more(70)
    for _ in range(3):
        with pytest.raises(SourceFault):
            link.step()
    kept.more(10)
    server.broken = ""
    # The program was started anew meanwhile: it goes on from its file.
    upload(kept, server.url).step()
    assert server.values("sgv") == [90 + n % 60 for n in range(1, 111)]
    assert len([key for key in server.kept if "status" not in key]) == 110


def test_a_dose_that_ends_late_is_sent_when_it_has_ended(kept: Kept, server: Server) -> None:
    long, short = bolus(1, 100), bolus(2, 200)
    link = upload(kept, server.url)
    kept.add(long[0], *short)
    link.step()
    kept.add(long[1])
    link.step()
    sent = [one for one in server.kept.values() if "eventType" in one]
    assert len(sent) == 2


def test_a_host_that_is_not_listed_is_never_talked_to(kept: Kept, server: Server) -> None:
    with pytest.raises(BadConfiguration, match=r"'127.0.0.1' is not in hosts"):
        upload(kept, server.url, ["example.org"])
    assert server.posts == []


def test_a_server_that_is_gone_is_tried_less_and_less_often(kept: Kept, server: Server) -> None:
    link = upload(kept, "http://127.0.0.1:9")
    kept.more(1)
    died: list[BaseException] = []
    thread = LinkThread("ns", link, died.append)
    assert [thread.once() for _ in range(4)] == [15, 30, 60, 120]
    assert thread.shown()["state"] == "failed"
    assert "does not answer" in thread.shown()["text"]


def test_progress_that_is_damaged_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[1]")
    progress = Progress(tmp_path / "p.json")
    assert progress.of("entries") == 0
    progress.came_to("entries", 7)
    assert Progress(tmp_path / "p.json").of("entries") == 7


# --- Prometheus -----------------------------------------------------------------------------------


def snapshot(**changed: Any) -> Snapshot:
    raw = {
        "state": "running",
        "basal_uu_per_h": 850_000,
        "reservoir_uu": 212_400_000,
        "delivering": True,
        "alarms": [{"number": 1, "code": "A03", "name": "Low", "priority": "low", "text": "x"}],
        "iob_uu": {"total": 1_250_000},
        "glucose": {"state": "ok", "units": "mg/dL", "mg_dl": 142, "age_s": 60},
    }
    return Snapshot.of(raw | changed)


def test_the_numbers_are_those_of_the_pump_and_an_old_glucose_is_none() -> None:
    text = metrics('Bench "1"', snapshot(), {"boluses": 3})
    for line in (
        'benchpump_up{pump="Bench \\"1\\""} 1',
        'benchpump_basal_units_per_hour{pump="Bench \\"1\\""} 0.85',
        'benchpump_reservoir_units{pump="Bench \\"1\\""} 212.4',
        'benchpump_state{pump="Bench \\"1\\"",state="running"} 1',
        'benchpump_state{pump="Bench \\"1\\"",state="faulted"} 0',
        'benchpump_alarms{pump="Bench \\"1\\"",priority="low"} 1',
        'benchpump_glucose_mg_dl{pump="Bench \\"1\\""} 142',
        'benchpump_boluses_total{pump="Bench \\"1\\""} 3',
    ):
        assert line in text.splitlines()
    stale = {"state": "stale", "units": "mg/dL", "mg_dl": 142, "age_s": 1_200}
    assert "benchpump_glucose_mg_dl" not in metrics("x", snapshot(glucose=stale), {})
    assert metrics("x", None, {}).splitlines()[-1] == 'benchpump_up{pump="x"} 0'


def answering(kept: Kept, port: int = 0) -> Prometheus:
    def totals() -> dict[str, int]:
        with Look(kept.sums) as look:
            return Queries(look).totals()

    return Prometheus({"port": port}, kept.place, "Bench 1", snapshot, totals)


@pytest.fixture
def endpoint(kept: Kept) -> Iterator[Prometheus]:
    link = answering(kept)
    yield link
    link.end()


def test_a_scrape_answers_metrics_and_nothing_else(kept: Kept, endpoint: Prometheus) -> None:
    kept.more(3)
    finger = {"reading": "finger", "source": "finger", "id": "f", "mg_dl": 101, "age_s": 0}
    kept.add(entry("glucose", 9_000, **finger, by="u"))
    url = f"http://127.0.0.1:{endpoint.port}"
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    assert 'benchpump_glucose_readings_total{pump="Bench 1"} 4' in text
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/", timeout=5)  # noqa: S310
    with pytest.raises(BadConfiguration, match="cannot be served"):
        Prometheus({"port": endpoint.port}, kept.place, "x", snapshot, dict)


def test_a_counter_goes_on_where_it_was_when_the_keeper_was_gone_for_a_while(kept: Kept) -> None:
    def counted(port: int) -> int:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        name = 'benchpump_glucose_readings_total{pump="Bench 1"} '
        (found,) = [line.removeprefix(name) for line in lines if line.startswith(name)]
        return int(found)

    kept.more(3)
    first = answering(kept)
    assert counted(first.port) == 3
    first.end()
    with pytest.raises(urllib.error.URLError):
        counted(first.port)
    kept.more(4)
    second = answering(kept, first.port)
    try:
        assert [counted(first.port), counted(first.port)] == [7, 7]
    finally:
        second.end()


def test_debians_prometheus_scrapes_it_and_an_outage_loses_and_doubles_nothing(kept: Kept) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("NOT RUN: needs prometheus; apt-get install prometheus")
    kept.more(5)
    endpoint = answering(kept)
    port = free_port()
    (kept.folder / "prometheus.yml").write_text(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: pumps\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{endpoint.port}']}}]\n"
    )
    words = [
        program, f"--config.file={kept.folder}/prometheus.yml",
        f"--storage.tsdb.path={kept.folder}/t", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip

    def asked(query: str) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{port}/api/v1/query?query={query}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return list(json.load(answer)["data"]["result"])
        except OSError:
            return []

    def value(query: str) -> str:
        found = asked(query)
        return str(found[0]["value"][1]) if found else ""

    counter = "benchpump_glucose_readings_total"
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            until(lambda: value(counter) == "5", "Prometheus has scraped five readings")
            kept.more(2)
            until(lambda: value(counter) == "7", "Prometheus has scraped seven readings")
            endpoint.end()
            until(lambda: value("up") == "0", "Prometheus sees that the link is cut")
            kept.more(3)
            endpoint = answering(kept, endpoint.port)
            until(lambda: value(counter) == "10", "Prometheus has scraped ten readings")
            (series,) = asked(f"{counter}[5m]")
            values = [int(text) for _, text in series["values"]]
            assert (values[0], values[-1]) == (5, 10)
            assert values == sorted(values)
            assert value(f"resets({counter}[5m])") == "0"
        finally:
            endpoint.end()
            running.terminate()


# --- MQTT -----------------------------------------------------------------------------------------


class Broker:
    """A real Mosquitto that may be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers, "the broker answers")

    def _answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Listener:
    """Keeps every message, in order, and listens again after an outage."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, str]] = []
        self.on = threading.Event()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="listener", clean_session=True
        )
        self.client.reconnect_delay_set(0.05, 0.1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.on.set()
        self.client.on_disconnect = lambda *_: self.on.clear()
        self.client.on_message = lambda _c, _u, one: self.heard.append(
            (one.topic, one.payload.decode())
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.on.wait(LIMIT_S)

    def rows(self, stream: str) -> list[int]:
        return [json.loads(text)["seq"] for topic, text in self.heard if topic.endswith(stream)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_a_shelf_hears_of_the_pump_and_after_an_outage_nothing_is_lost_or_doubled(
    kept: Kept,
) -> None:
    if shutil.which("mosquitto") is None and not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("NOT RUN: needs mosquitto; apt-get install mosquitto")
    broker = Broker(kept.folder)
    listener = Listener(broker.port)
    options = {"host": "127.0.0.1", "port": broker.port}
    link = Mqtt(options, kept.place, ["127.0.0.1"], pump="Bench 1", ask=snapshot, sums=kept.sums)
    try:
        kept.more(5)
        link.step()
        until(lambda: len(listener.rows("/entries")) == 5, "five readings are heard")
        topics = dict(listener.heard)
        state = json.loads(topics["benchpump/one/state"])
        assert (state["glucose_mg_dl"], state["state"], state["bench"]) == (142, "running", True)
        config = json.loads(topics["homeassistant/sensor/benchpump_one/glucose_mg_dl/config"])
        assert config["state_topic"] == "benchpump/one/state"
        assert "BENCH" in config["device"]["name"]
        assert topics["benchpump/one/availability"] == "online"

        broker.stop()
        kept.more(5)
        until(lambda: _fails(link), "the link notices that the broker is gone")
        kept.more(5)
        broker.start()
        assert listener.on.wait(LIMIT_S)
        until(lambda: not _fails(link), "the link is back")
        until(lambda: len(listener.rows("/entries")) == 15, "fifteen readings are heard")
        assert listener.rows("/entries") == sorted(set(listener.rows("/entries")))
    finally:
        link.end()
        until(lambda: listener.heard[-1][1] == "offline", "it says that it goes")
        listener.close()
        broker.stop()


def _fails(link: Mqtt) -> bool:
    try:
        link.step()
    except SourceFault:
        return True
    return False


# --- a stick --------------------------------------------------------------------------------------


def test_a_stick_is_a_target_while_it_is_plugged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick, folder = tmp_path / "media" / "pi" / "STICK", tmp_path / "media" / "pi" / "no-mount"
    stick.mkdir(parents=True)
    folder.mkdir()
    media = (tmp_path / "media", tmp_path / "none")
    assert targets(tmp_path, media) == {"here": tmp_path / "exports"}
    monkeypatch.setattr("os.path.ismount", lambda path: path == stick)
    assert targets(tmp_path, media) == {"here": tmp_path / "exports", "STICK": stick}


def test_a_second_export_of_a_day_has_a_folder_of_its_own(kept: Kept, tmp_path: Path) -> None:
    kept.more(3)
    for number in ("", "-2"):
        text = take_away(kept.sums, tmp_path, 20_000, days=1, pump="Bench 1", costs={})
        assert text == f"12 files in {tmp_path}/benchpump-2024-10-04{number}"
    report = write_report(kept.sums, tmp_path / "r", 20_000, days=1, pump="Bench 1", costs={})
    assert report == f"3 pages in {tmp_path}/r/report-2024-10-04.pdf"
