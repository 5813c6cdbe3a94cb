"""The demo: the simulated bench and every program of the pump, on this computer.

It writes a folder with a configuration, starts the programs each in a session of its own, sets the
pump up as a person would (over its socket), and restarts a program that dies, as systemd would.
``pumpctl
--dir DIR`` speaks to it. BENCH use: nothing here is a medical device.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from appliance.adapters.clock import Start, real_monotonic_ns, real_sleep
from appliance.client.errors import NoPump, PumpFailed, Refused
from appliance.client.messages import FullSegment, Limits
from appliance.client.places import register_demo, unregister_demo
from appliance.client.pump import PumpClient
from appliance.config import Config, load
from appliance.errors import BadConfiguration, PumpError

_MAX_SOCKET_FOLDER_BYTES = 80
_RESTARTS = 3
_RESTART_WINDOW_NS = 300_000_000_000
_RESTART_S = 0.3
_READY_S = 30.0
_STOP_S = 10.0
_TOUR_S = 240.0
_LOOK_S = 0.05
_FORGIVE_LOOKS = 4
_BENCH_FIFO = 30

_PACKAGES = "libgl1 libegl1 libgles2 libmtdev1"

_CONFIGURATION = """\
# A demo's machine: the simulated bench. Every key is explained in docs/benchpump.example.toml.
schema_version = 1

[pump]
name = "Demo bench"
fluid = "water"
zone = "UTC"

[pins]
factory = "bench"
inputs = "same"
step = 17
direction = 27
enable_n = 22
alive = 23
readback = 5
enable_feedback_n = 6
end_stop_n = 24
driver_fault_n = 25
stop_button_n = 13
buzzer = 12
lamp_high = 16
lamp_medium = 20
lamp_low = 21

[mechanics]
bore_um = 8660
lead_um = 1000
full_steps = 200
microsteps = 16
concentration_u_per_ml = 100
capacity_uu = 300_000_000
hold = "reduced"
min_interval_us = 2000
step_pulse_us = 2
direction_inverted = false

[ceilings]
max_bolus_uu = 25_000_000
hourly_uu = 60_000_000
daily_uu = 300_000_000
max_basal_uu_per_h = 35_000_000

[safety]
realtime = "wanted"      # an ordinary user is refused it
watchdog = "none"        # there is no service manager here
readback = "required"
one_shot = "present"
stop_button = true
lease_uu = 50_000
signals = "feedback"     # nobody looks at simulated lamps; the bench says what draws current

[force]
kind = "bench"
required = false
threshold_mn = 12_000
friction_mn = 1_000      # as the bench's plunger and its tubing are
line_nl_per_kpa = 20

[battery]
kind = "bench"
capacity_mwh = 10_000
load_mw = 5_000

[users]
observe = []
report = []
operate = []
settings = []
bench = []

[paths]
state = {state}
runtime = {runtime}
"""

_LIMITS = Limits(
    max_bolus_uu=10_000_000,
    hourly_uu=15_000_000,
    daily_uu=60_000_000,
    max_basal_uu_per_h=5_000_000,
    min_interval_s=60,
)
_DAY = ((0, 800_000), (360, 1_100_000), (540, 900_000), (1_080, 1_000_000), (1_320, 850_000))
_RATIO_MG_PER_U, _SENSITIVITY_MG_DL_PER_U, _TARGET_MG_DL = 10_000, 40, 110
_CARTRIDGE_UU = 300_000_000


@dataclass(slots=True)
class Child:
    """One program of the demo: how it is started, and how often it had to be."""

    name: str
    words: list[str]
    log: Path
    restarts: bool = True
    ends_demo: bool = False
    """Whether the demo is over where it ends by itself, cleanly."""
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[int] = field(default_factory=deque)
    due_ns: int = 0
    given_up: str = ""

    def start(self) -> None:
        """Start it in a session of its own, with its words in its log."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def last_words(self) -> str:
        """Return the end of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-6:])


class Demo:
    """The programs of one folder, from the first to the last."""

    def __init__(self, folder: Path, speed: int, *, window: Sequence[str] = ()) -> None:
        self.folder = folder
        self._window = list(window)
        self.runtime = _runtime_of(folder)
        (folder / "log").mkdir(exist_ok=True)
        for each in (folder / "state", self.runtime):
            each.mkdir(exist_ok=True, mode=0o700)
        self._configuration = folder / "benchpump.toml"
        if not self._configuration.exists():
            text = _CONFIGURATION.format(
                state=_quoted(folder / "state"), runtime=_quoted(self.runtime)
            )
            self._configuration.write_text(text, encoding="utf-8")
        self.config, _ = load(self._configuration)
        self._clock = folder / "clock.json"
        start = Start.following(self._clock, speed)
        start.save(self._clock)
        self._children = self._programs(self.config, start)
        self.ending = threading.Event()

    def _programs(self, config: Config, start: Start) -> list[Child]:
        pins = ",".join(
            f"{name}={number}" for name, number in config.pins if isinstance(number, int)
        )
        table = config.mechanics
        bench = [
            f"--pins-socket={self.runtime / 'pins.sock'}",
            f"--control-socket={self.runtime / 'bench.sock'}",
            f"--pins={pins}",
            f"--bore-um={table.bore_um}",
            f"--lead-um={table.lead_um}",
            f"--full-steps={table.full_steps}",
            f"--microsteps={table.microsteps}",
            f"--capacity-nl={config.mechanics.capacity_uu // table.concentration_u_per_ml}",
            f"--zero-counts={config.force.zero_counts}",
            f"--un-per-count={config.force.un_per_count}",
            *(["--direction-inverted"] if table.direction_inverted else []),
            f"--hold={table.hold}",
            f"--one-shot={config.safety.one_shot}",
            f"--speed={start.speed}",
            f"--start-ns={start.mono_ns}",
            f"--fifo={_BENCH_FIFO}",
        ]
        both = [f"--config={self._configuration}", f"--clock-file={self._clock}"]

        def child(name: str, module: str, words: Sequence[str], *, restarts: bool = True) -> Child:
            log = self.folder / "log" / f"{name}.log"
            return Child(name, [sys.executable, "-P", "-m", module, *words], log, restarts)

        # In the order of their start; they are stopped in the order of ``_STOP_ORDER``.
        return [
            child("bench-sim", "drivers.mock", bench, restarts=False),
            child("pump-guard", "appliance.guard", both),
            child("pumpd", "appliance.pumpd", [*both, f"--runtime={self.runtime}"]),
            child("pump-keeper", "appliance.keeper", both),
        ]

    def open_window(self) -> None:
        """Open the touchscreen in a window. Closed by its frame it ends the demo, killed it comes
        again.
        """
        words = [sys.executable, "-P", "-m", "ui", f"--dir={self.folder}", *self._window]
        window = Child("pump-ui", words, self.folder / "log" / "pump-ui.log", ends_demo=True)
        window.start()
        self._children.append(window)

    def take_tour(self) -> str:
        """Have the touchscreen write pictures of itself; return what it said."""
        folder = self.folder / "pictures"
        words = [sys.executable, "-P", "-m", "ui", f"--dir={self.folder}", *self._window]
        log = self.folder / "log" / "pump-ui.log"
        with log.open("ab") as out:
            done = subprocess.run(
                [*words, f"--tour={folder}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,
                timeout=_TOUR_S,
                check=False,
            )
        if done.returncode == 0:
            return done.stdout.decode("utf-8", errors="replace").strip()
        last = Child("pump-ui", words, log).last_words()
        return f"the picture tour ended with status {done.returncode}:\n{last}"

    # ------------------------------------------------------------------ life

    def start(self, *, first_start: bool) -> None:
        """Start every program and set the pump up. Raises PumpError with what went wrong."""
        for child in self._children:
            child.start()
            if child.name == "bench-sim":
                self._wait_for(child, self.runtime / "pins.sock")
            if child.name == "pump-guard":
                self._wait_for(child, self.runtime / "guard.sock")
        self._wait_for_pump()
        if not first_start:
            self._set_up()

    def _wait_for(self, child: Child, door: Path) -> None:
        deadline_ns = real_monotonic_ns() + int(_READY_S * 1e9)
        while not door.exists():
            if self.ending.is_set():
                raise PumpError("stopped before the demo was ready")
            if child.process is None or child.process.poll() is not None:
                raise PumpError(f"{child.name} ended at its start:\n{child.last_words()}")
            if real_monotonic_ns() > deadline_ns:
                raise PumpError(f"{child.name} did not open {door} within {_READY_S:.0f} s")
            real_sleep(_LOOK_S)

    def _wait_for_pump(self) -> None:
        pumpd = next(one for one in self._children if one.name == "pumpd")
        self._wait_for(pumpd, self.runtime / "pumpd.sock")
        deadline_ns = real_monotonic_ns() + int(_READY_S * 1e9)
        while real_monotonic_ns() < deadline_ns and not self.ending.is_set():
            if pumpd.process is not None and pumpd.process.poll() is not None:
                break
            try:
                with PumpClient(self.runtime / "pumpd.sock") as pump:
                    if pump.status().state != "starting":
                        return
            except (NoPump, PumpFailed):
                pass
            real_sleep(_LOOK_S)
        raise PumpError(f"pumpd did not become ready:\n{pumpd.last_words()}")

    def _set_up(self) -> None:
        """Give a new pump limits, a profile and a cartridge, and start basal."""
        with PumpClient(self.runtime / "pumpd.sock") as pump:
            status = pump.status()
            if status.state == "stopped" and pump.limits().limits is None:
                pump.set_limits(_LIMITS)
                segments = [
                    FullSegment(
                        start_min_of_day=start,
                        rate_uu_per_h=rate,
                        carb_ratio_mg_per_u=_RATIO_MG_PER_U,
                        sensitivity_mg_dl_per_u=_SENSITIVITY_MG_DL_PER_U,
                        target_mg_dl=_TARGET_MG_DL,
                    )
                    for start, rate in _DAY
                ]
                pump.import_basal("Demo day", segments, replace=True)
                pump.use_basal("Demo day")
                pump.load_cartridge(_CARTRIDGE_UU)
            if status.state == "stopped":
                pump.resume()

    def supervise(self) -> str:
        """Restart what dies until told to end; return why it ended by itself, or nothing."""
        looks = 0
        while not self.ending.wait(_LOOK_S):
            looks += 1
            for child in self._children:
                why = self._look_at(child)
                if why:
                    return why
            if looks % _FORGIVE_LOOKS == 0 and any(child.deaths for child in self._children):
                self._forgive()
        return ""

    def _look_at(self, child: Child) -> str:
        process, now_ns = child.process, real_monotonic_ns()
        if child.given_up or process is None or process.poll() is None:
            return ""
        if child.ends_demo and process.returncode == 0:
            self.ending.set()
            return ""
        if not child.restarts:
            return f"{child.name} ended with status {process.returncode}:\n{child.last_words()}"
        if not child.due_ns:
            child.deaths.append(now_ns)
            while child.deaths and now_ns - child.deaths[0] > _RESTART_WINDOW_NS:
                child.deaths.popleft()
            if len(child.deaths) > _RESTARTS or process.returncode == 2:
                child.given_up = f"{child.name} ended with status {process.returncode} "
                _say(f"{child.given_up}and stays stopped:\n{child.last_words()}")
                self._leave_the_reason(child)
                return ""
            child.due_ns = now_ns + int(_RESTART_S * 1e9)
        elif now_ns >= child.due_ns:
            child.due_ns = 0
            child.start()
        return ""

    def _leave_the_reason(self, child: Child) -> None:
        """Say where screen and pumpctl look why there is no pump, as pumpd-down.service does."""
        why = self.runtime / "pumpd.why"
        if child.name != "pumpd" or why.exists():
            return  # what pumpd itself wrote about its last start says more
        why.write_text(
            "pumpd was started four times within five minutes, ended each time, and stays stopped\n"
            f"its last words: {child.log}\n"
            "once that is mended: start the demo anew\n",
            encoding="utf-8",
        )

    def _forgive(self) -> None:
        """Forget restarts once a person has acknowledged what happened (``protocol.md`` section
        7).
        """
        try:
            with PumpClient(self.runtime / "pumpd.sock") as pump:
                now = pump.status()
        except (NoPump, PumpError):
            return
        if now.state == "running" and all(one.acknowledged for one in now.alarms):
            for child in self._children:
                child.deaths.clear()

    def stop(self) -> None:
        """Stop pumpd first, so that it ends cleanly; the bench last, since it holds the truth."""
        order = {"pump-ui": 0, "pump-keeper": 1, "pumpd": 2, "pump-guard": 3, "bench-sim": 4}
        for child in sorted(self._children, key=lambda one: order[one.name]):
            process = child.process
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.runtime != self.folder / "run":
            shutil.rmtree(self.runtime, ignore_errors=True)


def _runtime_of(folder: Path) -> Path:
    """Return the folder for sockets: DIR/run, or a short one named in DIR/pumpd.path."""
    runtime = folder / "run"
    pointer = folder / "pumpd.path"
    if len(os.fsencode(runtime)) <= _MAX_SOCKET_FOLDER_BYTES:
        pointer.unlink(missing_ok=True)
        return runtime
    short = Path(tempfile.mkdtemp(prefix="bp-", dir="/tmp"))
    pointer.write_text(f"{short}\n", encoding="utf-8")
    # The configuration names the runtime folder, so an older one of this demo is written anew.
    (folder / "benchpump.toml").unlink(missing_ok=True)
    return short


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _pumpctl() -> Path:
    return Path(sys.executable).with_name("pumpctl")


def _prompt(demo: Demo) -> None:
    """Take pumpctl's words from a person until they say quit: the way in until there is a
    screen.
    """
    _say("Type a word of pumpctl (status, bolus 1, history, bench status, help), or quit.")
    while not demo.ending.is_set():
        try:
            line = input("benchpump> ").strip()
        except EOFError:
            break
        if line in ("quit", "exit", "q"):
            break
        if line in ("", "help", "?"):
            line = "--help"
        try:
            words = shlex.split(line)
        except ValueError as error:
            _say(f"{line!r} cannot be read: {error}")
            continue
        subprocess.run([_pumpctl(), "--dir", demo.folder, *words], check=False)
    demo.ending.set()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo until it is stopped; exit status 0 then, 1 where it could not start."""
    words = _words().parse_args(argv)
    folder = Path(words.dir or tempfile.mkdtemp(prefix="benchpump-")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        window = [f"--panel={words.panel}", f"--language={words.language}"]
        demo = Demo(folder, words.speed, window=window + (["--light"] if words.light else []))
    except BadConfiguration as fault:
        for text in fault.faults:
            _say(f"{fault.source}: {text}")
        return 1
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}")
        return 1

    def end(_number: int, _frame: FrameType | None) -> None:
        demo.ending.set()

    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, end)
    try:
        demo.start(first_start=words.first_start)
        register_demo(folder, os.getpid())
        _introduce(demo, words.speed)
        why = _shown(demo, headless=words.headless)
    except (PumpError, PumpFailed, Refused) as fault:
        why = str(fault)
    finally:
        unregister_demo(os.getpid())
        demo.stop()
    if why:
        _say(f"demo: {why}")
        return 1
    return 0


def _shown(demo: Demo, *, headless: bool) -> str:
    """Run with a window, or with pictures and a prompt; return why it ended by itself, or ""."""
    if headless:
        return demo.supervise()
    missing = _missing_libraries()
    if missing:
        _say(f"The touchscreen does NOT RUN here without {', '.join(missing)}. As root, once:")
        _say(f"  apt-get install --no-install-recommends {_PACKAGES}")
    elif os.environ.get("DISPLAY"):
        demo.open_window()
        _say("The touchscreen is in its window; closing it ends the demo.")
        return demo.supervise()
    else:
        _say("There is no display: the touchscreen is shown in pictures, about a minute ...")
        ended: list[str] = []
        # What dies meanwhile is started again as ever.
        supervisor = threading.Thread(target=lambda: ended.append(demo.supervise()))
        supervisor.start()
        try:
            _say(demo.take_tour())
        except subprocess.TimeoutExpired:
            _say(f"the picture tour was given up after {_TOUR_S:.0f} s")
        if demo.ending.is_set() or not sys.stdin.isatty():
            supervisor.join()
            return ended[0] if ended else ""
        demo.ending.set()
        supervisor.join()
        demo.ending.clear()
    return _with_prompt(demo) if sys.stdin.isatty() else demo.supervise()


def _missing_libraries() -> list[str]:
    """Return the system's libraries without which Kivy has no window."""
    missing = []
    for name in ("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2", "libmtdev.so.1"):
        try:
            ctypes.CDLL(name)
        except OSError:
            missing.append(name)
    return missing


def _with_prompt(demo: Demo) -> str:
    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.append(demo.supervise()), name="supervisor")
    thread.start()
    # At the prompt Ctrl-C is the shell's own habit: it ends the line, and here the demo.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _prompt(demo)
    except KeyboardInterrupt:
        _say("")
    demo.ending.set()
    thread.join()
    return ended[0] if ended else ""


def _introduce(demo: Demo, speed: int) -> None:
    command = f"{shlex.quote(str(_pumpctl()))} --dir {shlex.quote(str(demo.folder))}"
    pace = "" if speed == 1 else f" Time runs {speed} times as fast."
    _say(f"READY  BENCH use only, never on a person.{pace}")
    _say(f"  {command} status")
    _say(f"  {command} bolus 1 --yes")
    _say(f"  {command} bench status")


def _words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.sh demo", description="A pump on the simulated bench. BENCH use only."
    )
    parser.add_argument(
        "--headless", action="store_true", help="no touchscreen and no prompt; stay until stopped"
    )
    parser.add_argument(
        "--speed", type=_speed, default=1, metavar="N", help="run schedules N times as fast (1-600)"
    )
    parser.add_argument("--dir", metavar="DIR", help="the demo's folder (a new one without it)")
    parser.add_argument(
        "--panel",
        default="7-inch",
        choices=["7-inch", "7-inch-portrait", "5-inch-portrait"],
        help="the touchscreen's panel",
    )
    parser.add_argument("--language", default="en", choices=["de", "en"], help="its language")
    parser.add_argument("--light", action="store_true", help="its light colours")
    parser.add_argument(
        "--first-start", action="store_true", help="leave the pump as new: not set up"
    )
    return parser


def _speed(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 600:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 600")


if __name__ == "__main__":
    sys.exit(main())
