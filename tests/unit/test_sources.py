"""Sources of glucose: files, servers over real HTTP, accounts, and what happens when they fail."""

import hashlib
import json
import os
import socket
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from appliance.client.errors import NoPump
from appliance.client.messages import SensorReading
from appliance.domain.living import Exercise
from appliance.errors import BadConfiguration, SourceFault
from appliance.keeper.sources import Found, Place, credentials, kinds, make
from appliance.keeper.sources.feeding import Feeder, FeederThread
from appliance.keeper.sources.replay import read_readings
from appliance.ports import ClockQuality, ClockReading

S = 1_000_000_000
MIN = 60 * S
NOW_NS = 1_790_000_000 * S


class TurnedClock:
    """A clock that the test turns."""

    speed = 1

    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def read(self) -> ClockReading:
        return ClockReading(self.now_ns - NOW_NS, self.now_ns, 0, ClockQuality.SET)

    def real_timeout_s(self, wake_ns: int) -> float:
        return 0.0


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def place(tmp_path: Path, clock: TurnedClock) -> Place:
    return Place("one", clock, tmp_path, tmp_path)


def secret(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


# --- plug-ins and options -------------------------------------------------------------------------


def test_the_sources_are_found_by_their_entry_points() -> None:
    assert set(kinds()) >= {"file", "patient", "nightscout", "dexcom", "libre"}


def test_an_unknown_kind_and_an_unknown_option_are_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="'crystal-ball' is not installed; known: dexcom"):
        make("crystal-ball", {}, place)
    (tmp_path / "f.csv").write_text("time,mg_dl\n2026-01-01T00:00,100\n")
    with pytest.raises(BadConfiguration, match="colour: no such option"):
        make("file", {"path": str(tmp_path / "f.csv"), "colour": "red"}, place)
    with pytest.raises(BadConfiguration, match="speed = 0 is out of range: 1 to 1000"):
        make("file", {"path": str(tmp_path / "f.csv"), "speed": 0}, place)
    with pytest.raises(BadConfiguration, match="'giant' is not one of adult, child"):
        make("patient", {"person": "giant"}, place)
    with pytest.raises(BadConfiguration, match="is not a local time of day"):
        make("patient", {"meals": [{"at": "7", "carbs_g": 40}]}, place)


def test_credentials_that_others_may_read_are_refused(tmp_path: Path) -> None:
    path = Path(secret(tmp_path, "# mine\nusername = a\npassword = b = c\n"))
    assert credentials(path, "username", "password") == {"username": "a", "password": "b = c"}
    with pytest.raises(BadConfiguration, match=r"has no token = \.\.\."):
        credentials(path, "token")
    path.chmod(0o640)
    with pytest.raises(BadConfiguration, match="chmod 600"):
        credentials(path, "username")
    with pytest.raises(BadConfiguration, match="No such file"):
        credentials(tmp_path / "none", "username")
    if os.geteuid() == 0:
        path.chmod(0o600)
        os.chown(path, 12_345, -1)
        with pytest.raises(BadConfiguration, match="belongs to user 12345"):
            credentials(path, "username")


# --- a file ---------------------------------------------------------------------------------------


def test_csv_and_nightscout_json_are_read_and_the_first_bad_line_is_named() -> None:
    csv = "Time,Glucose,note\n2026-01-01T00:05:00Z,105,x\n2026-01-01 00:00+00:00,100.4,\n"
    start_ns = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * S
    wanted = [(start_ns, 100), (start_ns + 5 * MIN, 105)]
    assert read_readings(csv, "f") == wanted
    entries = [
        {"type": "sgv", "sgv": 105, "date": (start_ns + 5 * MIN) // 1_000_000},
        {"type": "mbg", "mbg": 99, "date": 0},
        {"sgv": 100, "dateString": "2026-01-01T00:00:00.000Z"},
    ]
    assert read_readings(json.dumps(entries), "f") == wanted
    for text, said in (
        ("a,b\n1,2\n", "line 1: needs a column time"),
        ("time,mg_dl\nyesterday,100\n", "line 2: Invalid isoformat"),
        ("time,mg_dl\n2026-01-01T00:00Z,7\n", "line 2: glucose = 7 mg/dL is out of range"),
        ("time,mg_dl\n2026-01-01T00:00Z\n", "line 2"),
        ('[{"sgv": 100}]', "entry 1: 'dateString'"),
        ("[]", "has no reading"),
        ("{", "Expecting"),
    ):
        with pytest.raises(BadConfiguration, match=said):
            read_readings(text, "f")


def csv_of(folder: Path, *values: int) -> str:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    rows = [f"{(start + timedelta(minutes=5 * n)).isoformat()},{v}" for n, v in enumerate(values)]
    path = folder / "f.csv"
    path.write_text("\n".join(["time,mg_dl", *rows]))
    return str(path)


def test_a_file_is_replayed_from_now_on_at_its_pace_or_faster(
    tmp_path: Path, place: Place, clock: TurnedClock
) -> None:
    path = csv_of(tmp_path, 100, 110, 120)
    source = make("file", {"path": path}, place)
    assert [(one.mg_dl, one.utc_ns) for one in source.poll()] == [(100, NOW_NS)]
    clock.now_ns += 5 * MIN - 1
    assert source.poll() == []
    clock.now_ns += 1
    assert [one.mg_dl for one in source.poll()] == [110]
    # Started again it goes on, and tells what it told before under the same ids.
    again = make("file", {"path": path}, place)
    clock.now_ns += 5 * MIN
    assert [one.mg_dl for one in again.poll()] == [100, 110, 120]
    assert len({one.id for one in make("file", {"path": path}, place).poll()}) == 3
    fast = make("file", {"path": path, "speed": 10}, place)
    began = fast.poll()[0].utc_ns
    clock.now_ns += MIN
    assert [one.utc_ns - began for one in fast.poll()] == [30 * S, 60 * S]


# --- handing in -----------------------------------------------------------------------------------


class Scripted:
    """A source that answers as the test says."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def poll(self) -> list[Found]:
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    def pause_s(self) -> float:
        return 60.0


class Pump:
    """Takes readings, or does not."""

    def __init__(self) -> None:
        self.taken: list[SensorReading] = []
        self.up = True

    def give(self, _name: str, readings: list[SensorReading]) -> int:
        if not self.up:
            raise NoPump(Path("pumpd.sock"), "there is no socket")
        self.taken += readings
        return len(readings)


def found(number: int, at_ns: int = NOW_NS) -> Found:
    return Found(f"r{number}", 100 + number % 100, at_ns)


def test_a_source_that_fails_is_asked_ever_less_often_and_then_as_before(
    clock: TurnedClock,
) -> None:
    source, pump = Scripted(), Pump()
    feeder = Feeder("one", source, clock, pump.give)
    source.answers = [SourceFault("no answer")] * 9 + [[found(1)], SourceFault("gone")]
    waits = [feeder.step() for _ in range(9)]
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert (feeder.shown()["state"], feeder.shown()["text"]) == ("failed", "no answer")
    assert feeder.step() == 60
    assert feeder.shown()["state"] == "ok"
    assert feeder.step() == 15


def test_what_the_pump_could_not_take_is_handed_in_later_once_and_in_order(
    clock: TurnedClock,
) -> None:
    source, pump = Scripted(), Pump()
    feeder = Feeder("one", source, clock, pump.give)
    pump.up = False
    many = [found(n, NOW_NS - (60 - n) * MIN) for n in range(60)]
    source.answers = [many[:40], many[20:], many]
    feeder.step()
    feeder.step()
    assert (feeder.shown()["state"], feeder.shown()["waiting"]) == ("no pump", 60)
    pump.up = True
    clock.now_ns += 10 * MIN
    feeder.step()
    assert [one.id for one in pump.taken] == [f"r{n}" for n in range(60)]
    assert [one.age_s for one in pump.taken[:2]] == [70 * 60, 69 * 60]
    assert (feeder.shown()["waiting"], feeder.shown()["readings"]) == (0, 60)


def test_a_reading_of_a_clock_that_differs_is_of_now_and_one_of_another_day_is_left_out(
    clock: TurnedClock,
) -> None:
    source, pump = Scripted(), Pump()
    times = (NOW_NS + 4 * MIN, NOW_NS + 6 * MIN, NOW_NS - 25 * 60 * MIN, NOW_NS - 30 * S)
    source.answers = [[found(n, at) for n, at in enumerate(times)]]
    Feeder("one", source, clock, pump.give).step()
    assert [(one.id, one.age_s) for one in pump.taken] == [("r0", 0), ("r3", 30)]


def test_the_thread_ends_when_it_is_told_to(clock: TurnedClock) -> None:
    source, pump, stepped = Scripted(), Pump(), threading.Event()
    feeder = Feeder("one", source, clock, pump.give)
    source.poll = lambda: [stepped.set() or found(1)]  # type: ignore[method-assign, func-returns-value]
    died: list[BaseException] = []
    thread = FeederThread(feeder, died.append)
    thread.start()
    assert stepped.wait(10)
    thread.end()
    thread.join(10)
    assert (thread.is_alive(), died) == (False, [])


# --- servers, over real HTTP ----------------------------------------------------------------------


class Door(BaseHTTPRequestHandler):
    """Answers from its server's script, and keeps what it was asked."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        server: Any = self.server
        server.asked.append((self.path, dict(self.headers), body))
        status, raw = server.script(self.path.partition("?")[0])
        self.send_response(status)
        if status == 302:
            self.send_header("location", raw)
            raw = ""
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    serving: Any = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    serving.asked = []
    serving.script = lambda _path: (200, "[]")
    thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
    thread.start()
    serving.url = f"http://127.0.0.1:{serving.server_port}"
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_nightscout_is_asked_with_the_hash_of_the_secret(
    server: Any, place: Place, tmp_path: Path
) -> None:
    options = {"url": server.url, "credentials": secret(tmp_path, "secret = tell-nobody-12\n")}
    source = make("nightscout", options, place)
    rows = [
        {"_id": "b", "type": "sgv", "sgv": 150, "date": 1_790_000_300_000},
        {"_id": "a", "type": "sgv", "sgv": 140, "date": 1_790_000_000_000},
    ]
    server.script = lambda _path: (200, json.dumps(rows))
    assert source.poll() == [Found("a", 140, NOW_NS), Found("b", 150, NOW_NS + 5 * MIN)]
    ((path, headers, _),) = server.asked
    assert path == "/api/v1/entries/sgv.json?count=24"
    hashed = hashlib.sha1(b"tell-nobody-12").hexdigest()  # noqa: S324 - Nightscout's own way
    assert {name.lower(): text for name, text in headers.items()}["api-secret"] == hashed
    assert "tell-nobody" not in str(server.asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, "no"), "answers 401"),
        ((200, "<html>"), "what is no list"),
        ((200, '[{"sgv": 9000, "date": 1}]'), "9000 is no whole number of 20 to 600"),
        ((200, '{"sgv": 90}'), "what is no list"),
        ((302, "http://127.0.0.1:9/"), "answers 302"),
        ((200, " " * 1_000_001), "more than 1000000 bytes"),
    ],
)
def test_a_nightscout_that_answers_nonsense_is_a_fault_and_no_reading(
    server: Any, place: Place, tmp_path: Path, answer: tuple[int, str], said: str
) -> None:
    options = {"url": server.url, "credentials": secret(tmp_path, "secret = x\n")}
    source = make("nightscout", options, place)
    server.script = lambda _path: answer
    with pytest.raises(SourceFault, match=said):
        source.poll()


def test_a_secret_goes_over_https_or_to_this_computer_alone(place: Place, tmp_path: Path) -> None:
    words = secret(tmp_path, "secret = x\n")
    for url in ("http://example.org", "ftp://example.org", "https://u:p@example.org", "example"):
        with pytest.raises(BadConfiguration, match="url = "):
            make("nightscout", {"url": url, "credentials": words}, place)
    make("nightscout", {"url": "https://example.org/", "credentials": words}, place)


def test_dexcom_share_is_read_by_the_real_library_over_http(
    server: Any, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pydexcom.const as const

    urls = dict.fromkeys(const.Region, f"{server.url}/Services/")
    monkeypatch.setattr("pydexcom.dexcom.DEXCOM_BASE_URLS", urls)
    uuid = "123e4567-e89b-12d3-a456-426614174000"
    reading = {
        "WT": "Date(1790000000000)", "ST": "Date(1790000000000)",
        "DT": "Date(1790000000000+0000)", "Value": 141, "Trend": "Flat",
    }  # fmt: skip
    up = True

    def script(path: str) -> tuple[int, str]:
        if "Publisher/Read" in path:
            return (200, json.dumps([reading])) if up else (500, '{"Code": "Other"}')
        return (200, json.dumps(uuid))

    server.script = script
    words = secret(tmp_path, "username = someone\npassword = x\n")
    source = make("dexcom", {"credentials": words, "region": "ous"}, place)
    assert source.poll() == [Found("1790000000000", 141, NOW_NS)]
    up = False
    with pytest.raises(SourceFault, match="Dexcom Share: "):
        source.poll()
    up = True
    assert len(source.poll()) == 1


def test_librelinkup_readings_are_those_of_the_patient_that_was_chosen(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pylibrelinkup.exceptions import AuthenticationError

    def measured(minute: int, value: int) -> Any:
        at = datetime.fromtimestamp(1_790_000_000 + 60 * minute, UTC)
        return SimpleNamespace(factory_timestamp=at, value_in_mg_per_dl=value)

    class Account:
        fails = False

        def __init__(self, email: str, password: str, api_url: object) -> None:
            assert (email, password) == ("a@b.c", "x")
            assert api_url

        def authenticate(self) -> None:
            if Account.fails:
                raise AuthenticationError("no")

        def get_patients(self) -> list[str]:
            return ["first", "second"]

        def graph(self, patient: str) -> list[Any]:
            return [measured(-15, 100), measured(0, 120)] if patient == "second" else []

        def latest(self, patient: str) -> Any:
            return measured(0, 120)

    monkeypatch.setattr("appliance.keeper.sources.libre.PyLibreLinkUp", Account)
    words = secret(tmp_path, "email = a@b.c\npassword = x\n")
    source = make("libre", {"credentials": words, "patient": 1, "region": "eu"}, place)
    assert [(one.mg_dl, one.utc_ns) for one in source.poll()] == [
        (100, NOW_NS - 15 * MIN),
        (120, NOW_NS),
    ]
    with pytest.raises(SourceFault, match="shares 2 patients"):
        make("libre", {"credentials": words, "patient": 2}, place).poll()
    Account.fails = True
    with pytest.raises(SourceFault, match="AuthenticationError"):
        make("libre", {"credentials": words}, place).poll()


@pytest.mark.parametrize(("kind", "keys"), [("libre", "email"), ("dexcom", "username")])
def test_a_server_that_takes_a_call_and_says_nothing_holds_no_source(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, keys: str
) -> None:
    """The libraries themselves have no time limit; the server is a real one that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if kind == "libre":
            import appliance.keeper.sources.libre as libre

            monkeypatch.setattr(libre, "_REGIONS", {"us": SimpleNamespace(value=address)})
        else:
            import pydexcom.const as const

            import appliance.keeper.sources.dexcom  # noqa: F401 - it sets the limit

            urls = dict.fromkeys(const.Region, f"{address}/")
            monkeypatch.setattr("pydexcom.dexcom.DEXCOM_BASE_URLS", urls)
        monkeypatch.setattr("appliance.keeper.sources.timed.ANSWER_S", 0.2)
        words = secret(tmp_path, f"{keys} = a@b.c\npassword = x\n")
        source = make(kind, {"credentials": words}, place)
        with pytest.raises(SourceFault, match="ReadTimeout"):
            source.poll()


# --- the virtual patient --------------------------------------------------------------------------


class FakeBench:
    """Stands for both sockets: what has left the needle, and the pump's state."""

    volume_nl = 0.0
    state = "running"

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> "FakeBench":
        return self

    def __exit__(self, *_: object) -> None: ...

    def status(self) -> Any:
        return SimpleNamespace(volume_nl=FakeBench.volume_nl, state=FakeBench.state)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> type[FakeBench]:
    FakeBench.volume_nl, FakeBench.state = 0.0, "running"
    monkeypatch.setattr("appliance.keeper.sources.virtual.BenchClient", FakeBench)
    monkeypatch.setattr("appliance.keeper.sources.virtual.PumpClient", FakeBench)
    return FakeBench


def live(source: Any, clock: TurnedClock, minutes: int, u_per_h: float = 0.0) -> list[int]:
    values = []
    for _ in range(minutes):
        clock.now_ns += MIN
        FakeBench.volume_nl += u_per_h * 10_000 / 60
        values += [one.mg_dl for one in source.poll()]
    return values


def test_the_patient_receives_what_the_plant_delivered_and_is_read_every_five_minutes(
    place: Place, clock: TurnedClock, bench: type[FakeBench]
) -> None:
    def after(u_per_h: float) -> list[int]:
        source = make("patient", {"noise": 0}, place)
        source.poll()
        return live(source, clock, 360, u_per_h)

    held, none, much = after(0.41), after(0.0), after(1.5)
    assert len(held) == 72
    assert abs(held[-1] - 110) <= 4
    assert none[-1] > held[-1] + 60
    assert much[-1] < held[-1] - 40


def test_what_leaves_the_needle_while_the_pump_stands_is_priming_and_reaches_nobody(
    place: Place, clock: TurnedClock, bench: type[FakeBench]
) -> None:
    source = make("patient", {"noise": 0}, place)
    source.poll()
    bench.state = "suspended"
    source.poll()
    bench.volume_nl += 100_000  # 10 U
    assert live(source, clock, 180)[-1] > 110


def test_meals_are_eaten_at_their_local_time(
    place: Place, clock: TurnedClock, bench: type[FakeBench]
) -> None:
    at = datetime.fromtimestamp(NOW_NS // S, UTC) + timedelta(minutes=30)
    meals = [{"at": f"{at:%H:%M}", "carbs_g": 60}]
    source = make("patient", {"noise": 0, "meals": meals}, place)
    source.poll()
    before = live(source, clock, 25, 0.41)
    after = live(source, clock, 90, 0.41)
    assert max(before) < 115
    assert max(after) > 180


def test_a_reading_is_told_after_the_delay_with_its_own_instant(
    place: Place, clock: TurnedClock, bench: type[FakeBench]
) -> None:
    source = make("patient", {"noise": 0, "delay_min": 5}, place)
    source.poll()
    clock.now_ns += 5 * MIN
    assert source.poll() == []
    clock.now_ns += 5 * MIN
    (one,) = source.poll()
    assert one.utc_ns == clock.now_ns - 5 * MIN


@pytest.fixture
def simglucose(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What of simglucose the source names, in its place: the library is no part of the tests."""

    class Patient:
        lived: ClassVar[list[Any]] = []

        @classmethod
        def withName(cls, name: str) -> "Patient":  # noqa: N802 - its own name
            assert name == "child#003"
            cls.lived = []
            return cls()

        def step(self, action: Any) -> None:
            Patient.lived.append(action)

    class Sensor:
        @classmethod
        def withName(cls, name: str, seed: int) -> "Sensor":  # noqa: N802 - its own name
            assert (name, seed) == ("Dexcom", 4)
            return cls()

        def measure(self, patient: Patient) -> float:
            return 100.4 + len(patient.lived)

    action = namedtuple("Action", ["CHO", "insulin"])
    parts = {"patient.t1dpatient": {"Action": action, "T1DPatient": Patient}}
    parts["sensor.cgm"] = {"CGMSensor": Sensor}
    for name in ("simglucose", "simglucose.patient", "simglucose.sensor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, content in parts.items():
        module = ModuleType(f"simglucose.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, f"simglucose.{name}", module)
    monkeypatch.delitem(sys.modules, "appliance.keeper.sources.simglucose", raising=False)
    from appliance.keeper.sources.simglucose import SimGlucose

    yield SimpleNamespace(source=SimGlucose, patient=Patient)
    sys.modules.pop("appliance.keeper.sources.simglucose", None)


def test_a_patient_of_simglucose_lives_minute_by_minute_on_what_the_plant_delivered(
    place: Place, clock: TurnedClock, bench: type[FakeBench], simglucose: Any
) -> None:
    at = datetime.fromtimestamp(NOW_NS // S, UTC) + timedelta(minutes=30)
    options = {"person": "child#003", "seed": 4, "meals": [{"at": f"{at:%H:%M}", "carbs_g": 40}]}
    source = simglucose.source(options, place)
    assert source.poll() == []
    values = live(source, clock, 59, 0.6)
    clock.now_ns += MIN // 2
    bench.volume_nl += 50
    assert source.poll() == []  # half a minute is not lived yet, and its insulin waits
    clock.now_ns += MIN // 2
    (last,) = source.poll()
    assert last.utc_ns == clock.now_ns
    assert [*values, last.mg_dl] == list(range(105, 161, 5))
    lived = simglucose.patient.lived
    assert len(lived) == 60
    given_u = sum(action.insulin for action in lived)
    assert given_u == pytest.approx(59 / 60 * 0.6 + 0.005)
    assert [n for n, action in enumerate(lived) if action.CHO] == [30]
    bench.state = "suspended"
    source.poll()
    bench.volume_nl += 100_000  # primed: it reaches nobody
    live(source, clock, 5)
    assert sum(action.insulin for action in lived) == pytest.approx(given_u)


def test_options_of_simglucose_that_cannot_be_are_named(place: Place, simglucose: Any) -> None:
    with pytest.raises(
        BadConfiguration, match=r"person = 'adult#011' is not one of adolescent#001"
    ):
        simglucose.source({"person": "adult#011"}, place)
    with pytest.raises(BadConfiguration, match="at = '25:00' is not a local time"):
        simglucose.source({"meals": [{"at": "25:00", "carbs_g": 40}]}, place)


def test_without_a_bench_there_is_no_patient(place: Place) -> None:
    with pytest.raises(SourceFault, match="no simulated bench"):
        make("patient", {}, place).poll()


def test_exercise_goes_over_midnight() -> None:
    late = Exercise(1_410, 60, 40)
    minutes = (1_409, 1_410, 1_439, 0, 29, 30)
    assert [late.goes_on(one) for one in minutes] == [False, True, True, True, True, False]
