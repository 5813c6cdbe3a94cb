"""The pins that the configuration names: found by what they are, and missed by name."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from gpiozero.pins import local

from appliance.errors import PinFault
from drivers.edge_counter import EdgeCounter
from drivers.factory import build_factory
from drivers.lines import Line, Output


class LgpioError(Exception):
    """What lgpio raises."""


class Kernel(ModuleType):
    """lgpio over a make-believe kernel: it keeps every call, and one owner for a line."""

    error = LgpioError
    BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.labels = {0: "pinctrl-bcm2711", 1: "raspberrypi-exp-gpio"}
        self.calls: list[tuple[Any, ...]] = []
        self.levels: dict[int, int] = {}
        self.outputs: set[int] = set()
        self.flags: dict[int, int] = {}
        self.taken: set[int] = set()
        self.fails: str | None = None
        self.callbacks: dict[int, Callable[..., None]] = {}

    def gpiochip_open(self, chip: int) -> int:
        if chip not in self.labels:
            raise LgpioError("can not open gpiochip")
        return 100 + chip

    def gpiochip_close(self, handle: int) -> int:
        return 0

    def gpio_get_chip_info(self, handle: int) -> list[Any]:
        return [0, 54, f"gpiochip{handle - 100}", self.labels[handle - 100]]

    def _claim(self, gpio: int) -> None:
        if gpio in self.taken:
            raise LgpioError("GPIO busy")

    def gpio_claim_input(self, handle: int, gpio: int, flags: int = 0) -> int:
        self._claim(gpio)
        self.calls.append(("input", gpio, flags))
        self.outputs.discard(gpio)
        self.flags[gpio] = flags
        return 0

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, flags: int = 0) -> int:
        self._claim(gpio)
        self.calls.append(("output", gpio, level))
        self.outputs.add(gpio)
        self.levels[gpio] = level
        return 0

    def gpio_claim_alert(self, handle: int, gpio: int, edges: int, flags: int = 0) -> int:
        self._claim(gpio)
        self.calls.append(("alert", gpio, edges))
        return 0

    def gpio_free(self, handle: int, gpio: int) -> int:
        return 0

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        return (2 if gpio in self.outputs else 0) | self.flags.get(gpio, 0)

    def gpio_read(self, handle: int, gpio: int) -> int:
        if self.fails:
            raise LgpioError(self.fails)
        return self.levels.get(gpio, 0)

    def gpio_write(self, handle: int, gpio: int, level: int) -> int:
        if self.fails:
            raise LgpioError(self.fails)
        self.calls.append(("write", gpio, int(level)))
        self.levels[gpio] = int(level)
        return 0

    def callback(self, handle: int, gpio: int, edges: int, function: Any) -> Any:
        self.callbacks[gpio] = function
        kernel = self

        class Callback:
            def cancel(self) -> None:
                kernel.callbacks.pop(gpio, None)

        return Callback()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    kernel = Kernel()
    forgotten = ("drivers.lgpio_pins", "gpiozero.pins.lgpio", "gpiozero.pins.rpigpio")
    for name in forgotten:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "lgpio", kernel)
    monkeypatch.setattr(local, "get_pi_revision", lambda: 0xC03111)
    monkeypatch.setattr(local.LocalPiFactory, "pins", {})
    monkeypatch.delenv("LG_WD", raising=False)
    yield kernel
    for name in forgotten:
        sys.modules.pop(name, None)


def chips(folder: Path, *compatibles: str | None) -> Path:
    """Lay out /sys/bus/gpio/devices with these chips, from gpiochip0 on; None has no node."""
    for number, compatible in enumerate(compatibles):
        node = folder / f"gpiochip{number}" / "of_node"
        node.parent.mkdir(parents=True)
        if compatible is not None:
            node.mkdir()
            (node / "compatible").write_bytes(compatible.encode() + b"\0")
    (folder / "gpiochip0_of_something_else").mkdir(parents=True, exist_ok=True)
    return folder


def pi(kernel: Kernel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("drivers.lgpio_pins")
    sysfs = chips(folder / "sys", "brcm,bcm2711-gpio", "raspberrypi,firmware-gpio")
    monkeypatch.setattr(module.PiLineFactory.__init__, "__defaults__", (sysfs,))


# ------------------------------------------------------------------ the chip


@pytest.mark.parametrize(
    ("compatibles", "number"),
    [
        (["brcm,bcm2835-gpio"], 0),
        (["raspberrypi,firmware-gpio", "brcm,bcm2711-gpio"], 1),
        (["brcm,brcmstb-gpio", "brcm,brcmstb-gpio", None, "raspberrypi,rp1-gpio"], 3),
        (["x\0brcm,bcm2711-gpio\0brcm,bcm2835-gpio"], 0),
    ],
)
def test_the_chip_is_the_one_whose_device_tree_says_so(
    kernel: Kernel, tmp_path: Path, compatibles: list[str | None], number: int
) -> None:
    find_chip = importlib.import_module("drivers.lgpio_pins").find_chip
    assert find_chip(chips(tmp_path, *compatibles), lambda _: "") == number


def test_else_it_is_the_one_whose_label_says_so(kernel: Kernel, tmp_path: Path) -> None:
    find_chip = importlib.import_module("drivers.lgpio_pins").find_chip
    labels = {0: "raspberrypi-exp-gpio", 1: "", 2: "pinctrl-rp1"}
    assert find_chip(chips(tmp_path, "x", None, "y"), labels.__getitem__) == 2


def test_else_there_is_none_and_what_was_seen_is_said(kernel: Kernel, tmp_path: Path) -> None:
    find_chip = importlib.import_module("drivers.lgpio_pins").find_chip
    with pytest.raises(PinFault, match="gpiochip1: compatible none, label a thing"):
        find_chip(chips(tmp_path, "some,chip", None), lambda number: ["", "a thing"][number])
    with pytest.raises(PinFault, match=r'pins\.factory = "bench"'):
        find_chip(tmp_path / "nothing here", lambda _: "")


# ------------------------------------------------------------------ lgpio


def build_lgpio(folder: Path) -> Any:
    return build_factory("lgpio", owner="a test", now_ns=lambda: 0, work_dir=folder)


def test_an_output_is_claimed_once_at_its_first_level_so_enable_never_blips(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    pins = build_lgpio(tmp_path)
    kernel.levels[22] = 1
    enable = Output(pins, 22, name="ENABLE", active_low=True)
    enable.set(active=True)
    enable.set(active=False)
    assert kernel.calls == [
        ("input", 22, kernel.SET_PULL_NONE),
        ("output", 22, 1),
        ("write", 22, 0),
        ("write", 22, 1),
    ]
    enable.close()
    assert kernel.calls[-1] == ("input", 22, kernel.SET_PULL_NONE)
    pins.close()


def test_inputs_have_their_pull_and_edges_are_counted_on_lgpios_callback(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    pins = build_lgpio(tmp_path)
    line = Line(pins, 24, name="end stop")
    assert kernel.flags[24] == kernel.SET_PULL_DOWN
    assert line.is_active()
    kernel.levels[24] = 1
    assert not line.is_active()
    counter = EdgeCounter(pins, 5)
    assert ("alert", 5, kernel.RISING_EDGE) in kernel.calls
    for ticks in range(3):
        kernel.callbacks[5](100, 5, 1, ticks)
    assert counter.count() == 3
    counter.close()
    line.close()
    pins.close()


def test_f61_what_lgpio_raises_is_a_pin_fault_that_names_the_line(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    pins = build_lgpio(tmp_path)
    kernel.taken.add(17)
    with pytest.raises(PinFault, match="STEP on GPIO17: GPIO17 cannot be claimed: GPIO busy"):
        Output(pins, 17, name="STEP")
    line = Line(pins, 24, name="end stop")
    output = Output(pins, 12, name="buzzer")
    kernel.fails = "no permission"
    with pytest.raises(PinFault, match="end stop on GPIO24: GPIO24 cannot be read: no permission"):
        line.is_active()
    with pytest.raises(PinFault, match="buzzer on GPIO12: GPIO12 cannot be written"):
        output.set(active=True)
    kernel.fails = None
    output.set(active=True)


def test_a_chip_that_may_not_be_opened_says_which_group_to_join(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    kernel.labels.clear()
    with pytest.raises(PinFault, match=r'/dev/gpiochip0 cannot be opened.*group "gpio"'):
        build_lgpio(tmp_path)


def test_lgpio_writes_its_pipe_where_it_is_told(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    build_lgpio(tmp_path).close()
    own = tmp_path / "lgpio-a test"  # two programs that run there both call their pipe .lgd-nfy0
    assert os.environ["LG_WD"] == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    with pytest.raises(PinFault, match="must be able to write into"):
        build_lgpio(tmp_path / "not there")
    monkeypatch.delenv("LG_WD")


# ------------------------------------------------------------------ what is missing


def test_without_lgpio_nothing_else_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.delitem(sys.modules, "drivers.lgpio_pins", raising=False)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.setenv("LG_WD", "")
    for name in ("lgpio", "rpigpio"):
        with pytest.raises(PinFault, match=r"lgpio is not installed .*python3-lgpio"):
            build_factory(name, owner="a test", now_ns=lambda: 0, work_dir=tmp_path)


def test_without_rpi_gpio_nothing_else_is_tried(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "RPi", None)
    with pytest.raises(PinFault, match=r"RPi.GPIO cannot be used .*a Pi 5 needs"):
        build_factory("rpigpio", owner="a test", now_ns=lambda: 0, work_dir=tmp_path)


class Registers(ModuleType):
    """RPi.GPIO, as far as gpiozero's outputs use it."""

    IN, OUT, I2C, SPI, HARD_PWM, SERIAL, UNKNOWN = 1, 0, 42, 41, 43, 40, -1
    PUD_UP, PUD_DOWN, PUD_OFF = 22, 21, 20
    BOTH, RISING, FALLING, BCM = 33, 31, 32, 11

    def __init__(self) -> None:
        super().__init__("RPi.GPIO")
        self.calls: list[tuple[Any, ...]] = []
        self.levels: dict[int, int] = {}

    def setmode(self, mode: int) -> None:
        assert mode == self.BCM

    def setwarnings(self, flag: object) -> None:
        pass

    def setup(self, pin: int, way: int, pull: int = 20, initial: int | None = None) -> None:
        self.calls.append(("setup", pin, "in" if way == self.IN else "out", initial))
        if initial is not None:
            self.levels[pin] = initial

    def output(self, pin: int, level: int) -> None:
        self.levels[pin] = level

    def input(self, pin: int) -> int:
        return self.levels.get(pin, 0)

    def cleanup(self, pin: int | None = None) -> None:
        self.calls.append(("cleanup", pin))


def test_with_rpigpio_outputs_go_through_it_and_inputs_through_lgpio(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(kernel, tmp_path, monkeypatch)
    registers = Registers()
    package = ModuleType("RPi")
    package.GPIO = registers
    monkeypatch.setitem(sys.modules, "RPi", package)
    monkeypatch.setitem(sys.modules, "RPi.GPIO", registers)
    pins = build_factory("rpigpio", owner="a test", now_ns=lambda: 0, work_dir=tmp_path)
    enable = Output(pins, 22, name="ENABLE", active_low=True)
    enable.set(active=True)
    assert registers.calls == [("setup", 22, "in", None), ("setup", 22, "out", True)]
    assert registers.levels == {22: 0}
    end_stop = Line(pins, 24, name="end stop")
    assert end_stop.is_active()
    assert [call[:2] for call in kernel.calls] == [("input", 24)] * 3
    pins.close()


def test_a_name_that_is_none_of_ours_is_refused() -> None:
    for name in ("", "mock", "native", "pigpio", "LGPIO"):
        with pytest.raises(PinFault, match="is not one of lgpio, rpigpio, bench"):
            build_factory(name, owner="a test", now_ns=lambda: 0)


def test_the_bench_needs_a_path_and_a_bench(tmp_path: Path) -> None:
    with pytest.raises(PinFault, match="needs the path"):
        build_factory("bench", owner="a test", now_ns=lambda: 0)
    with pytest.raises(PinFault, match=r"no bench-sim answers at .*/nowhere .*start bench-sim"):
        build_factory("bench", owner="a test", now_ns=lambda: 0, bench_socket=tmp_path / "nowhere")
    long = tmp_path / ("x" * 100)
    with pytest.raises(PinFault, match="more than 100: choose a shorter folder"):
        build_factory("bench", owner="a test", now_ns=lambda: 0, bench_socket=long)
