"""Pins of a Raspberry Pi through lgpio: gpiozero's factory, repaired (``platform.md`` 2.3).

The chip is found by what the device tree says it is, never by a number; an output is claimed once,
at its first level, so ENABLE never blips; and what lgpio raises becomes a PinFault. This is the one
module that imports lgpio, so it is imported only when the configuration names it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lgpio
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

from appliance.errors import PinFault
from drivers.gpio import Untyped

SYSFS = Path("/sys/bus/gpio/devices")
COMPATIBLES = ("raspberrypi,rp1-gpio", "brcm,bcm2711-gpio", "brcm,bcm2835-gpio")
"""Pi 5; Pi 4; Pi 3 and Zero 2 W."""
LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")

_NAME = "gpiochip"


def find_chip(sysfs: Path, label_of: Callable[[int], str]) -> int:
    """Return the number of the chip that carries the header's pins.

    By device-tree compatible first, then by the label that ``label_of`` gives for a chip number.
    Raises PinFault, which lists what was seen, where neither names one. There is no default: a Pi
    has a second chip, and their numbers change from kernel to kernel.
    """
    numbers = sorted(
        int(entry.name[len(_NAME) :])
        for entry in (sysfs.iterdir() if sysfs.is_dir() else ())
        if entry.name.startswith(_NAME) and entry.name[len(_NAME) :].isdigit()
    )
    if not numbers:
        raise PinFault(
            f"no GPIO chip in {sysfs}: this is no Raspberry Pi, or its kernel has no GPIO driver; "
            'off a Pi, set pins.factory = "bench"'
        )
    compatibles = {number: _compatibles(sysfs / f"{_NAME}{number}") for number in numbers}
    for wanted in COMPATIBLES:
        for number in numbers:
            if wanted in compatibles[number]:
                return number
    labels = {number: label_of(number) for number in numbers}
    for wanted in LABELS:
        for number in numbers:
            if labels[number] == wanted:
                return number
    seen = "; ".join(
        f"{_NAME}{number}: compatible {', '.join(compatibles[number]) or 'none'}, "
        f"label {labels[number] or 'none'}"
        for number in numbers
    )
    raise PinFault(f"no chip of this machine carries a Raspberry Pi's header ({seen})")


def _compatibles(chip: Path) -> tuple[str, ...]:
    """Return the device tree's names for a chip; none where it has no node there."""
    try:
        raw = (chip / "of_node" / "compatible").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode("ascii", "replace") for part in raw.split(b"\0") if part)


def _label(number: int) -> str:
    """Ask the kernel for a chip's label; a chip that may not be opened has none for us."""
    try:
        handle = lgpio.gpiochip_open(number)
    except lgpio.error:
        return ""
    try:
        return str(lgpio.gpio_get_chip_info(handle)[3])
    except lgpio.error:
        return ""
    finally:
        lgpio.gpiochip_close(handle)


class PiPin(LGPIOPin):  # type: ignore[misc]  # gpiozero ships no types
    """A line of the header: one owner, no blip, and every error a PinFault."""

    def __init__(self, factory: PiLineFactory, info: Untyped) -> None:
        try:
            super().__init__(factory, info)
        except lgpio.error as error:
            raise _claim_fault(info.name, error) from error

    def output_with_state(self, state: object) -> None:
        """Claim the line as an output once, at its first level: the stock pin claims it at 0."""
        self.when_changed = None
        try:
            lgpio.gpio_claim_output(self.factory.handle, self._number, int(bool(state)))
        except lgpio.error as error:
            raise _claim_fault(self.info.name, error) from error

    def _set_function(self, value: str) -> None:
        try:
            super()._set_function(value)
        except lgpio.error as error:
            raise _claim_fault(self.info.name, error) from error

    def _set_pull(self, value: str) -> None:
        try:
            super()._set_pull(value)
        except lgpio.error as error:
            raise _claim_fault(self.info.name, error) from error

    def _enable_event_detect(self) -> None:
        try:
            super()._enable_event_detect()
        except lgpio.error as error:
            raise _claim_fault(self.info.name, error) from error

    def _get_state(self) -> Untyped:
        try:
            return super()._get_state()
        except lgpio.error as error:
            raise PinFault(f"{self.info.name} cannot be read: {error}") from error

    def _set_state(self, value: object) -> None:
        try:
            super()._set_state(value)
        except lgpio.error as error:
            raise PinFault(f"{self.info.name} cannot be written: {error}") from error


class PiLineFactory(LGPIOFactory):  # type: ignore[misc]  # gpiozero ships no types
    """The header of this Pi through lgpio. Raises PinFault where there is none."""

    def __init__(self, sysfs: Path = SYSFS) -> None:
        chip = find_chip(sysfs, _label)
        try:
            super().__init__(chip=chip)
        except lgpio.error as error:
            raise PinFault(
                f"/dev/{_NAME}{chip} cannot be opened: {error}; the program's user must be in the "
                'group "gpio"'
            ) from error
        self.pin_class = PiPin

    @property
    def handle(self) -> int:
        """The open chip, as lgpio calls it."""
        return int(self._handle)


def _claim_fault(name: str, error: Exception) -> PinFault:
    text = f"{name} cannot be claimed: {error}"
    if "busy" in str(error).lower():
        text += "; another program holds it: see `gpioinfo`"
    return PinFault(text)
