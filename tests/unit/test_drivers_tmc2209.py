"""The TMC2209's driver against a chip on the wire: datagrams, checksums, echo and all."""

import pytest

from appliance.errors import PinFault
from drivers.tmc2209 import DriverSettings, Tmc2209, crc8, current_scale

SETTINGS = DriverSettings(microsteps=16, run_ma=500, hold_ma=200, sense_mohm=110, stall_threshold=0)


class Chip:
    """A TMC2209 and its one wire, as the data sheet tells; ``port`` is this end of the wire."""

    def __init__(self, address: int = 0) -> None:
        self.address = address
        self.registers = {0x00: 0x41, 0x01: 0x01, 0x06: 0x2100_0040, 0x6C: 0x1000_0053, 0x6F: 0}
        self.writes = 0
        self.deaf_writes = 0
        self.spoilt_answers = 0
        self.echo = True
        self.closed = False
        self._out = b""

    def reset_input_buffer(self) -> None:
        self._out = b""

    def write(self, data: bytes) -> None:
        if self.echo:
            self._out += data
        if data[0] != 0x05 or data[1] != self.address or crc8(data[:-1]) != data[-1]:
            return
        register = data[2] & 0x7F
        if data[2] & 0x80:
            if self.deaf_writes:
                self.deaf_writes -= 1
                return
            self.writes += 1
            value = int.from_bytes(data[3:7], "big")
            self.registers[register] = (
                self.registers[register] & ~value if register == 0x01 else value
            )
            return
        value = self.writes & 0xFF if register == 0x02 else self.registers.get(register, 0)
        answer = bytes([0x05, 0xFF, register]) + value.to_bytes(4, "big")
        answer += bytes([crc8(answer)])
        if self.spoilt_answers:
            self.spoilt_answers -= 1
            answer = answer[:4] + bytes([answer[4] ^ 1]) + answer[5:]
        self._out += answer

    def read(self, size: int) -> bytes:
        data, self._out = self._out[:size], self._out[size:]
        return data

    def close(self) -> None:
        self.closed = True


def test_the_checksum_is_that_of_the_data_sheet() -> None:
    # A read of GCONF at address 0, and one of IFCNT: computed by hand, bit by bit.
    assert crc8(bytes([0x05, 0x00, 0x00])) == 0x48
    assert crc8(b"") == 0


@pytest.mark.parametrize("microsteps", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_the_chip_makes_the_microsteps_that_the_doses_are_counted_in(microsteps: int) -> None:
    chip = Chip()
    Tmc2209(chip, 0).set_up(
        DriverSettings(microsteps, run_ma=500, hold_ma=200, sense_mohm=110, stall_threshold=0)
    )
    assert 2 ** (8 - (chip.registers[0x6C] >> 24 & 0xF)) == microsteps
    assert chip.registers[0x00] & 1 << 7  # by register, not by the pins MS1 and MS2


def test_currents_are_never_above_what_was_asked_for() -> None:
    for run_ma in range(60, 1_700, 7):
        scale, fine = current_scale(run_ma, 110)
        volts = 0.180 if fine else 0.325
        one_ma = volts / 0.130 / 2**0.5 / 32 * 1_000
        assert one_ma * (scale + 1) <= run_ma + 1
        assert one_ma * (scale + 2) > run_ma - 1 or scale == 31
    for wrong in (0, 20, 1_800):
        with pytest.raises(
            PinFault, match=rf"driver.run_ma = {wrong} is out of range: .* 30 to 1767"
        ):
            current_scale(wrong, 110)


def test_hold_and_stall_are_as_configured() -> None:
    chip = Chip(address=2)
    Tmc2209(chip, 2).set_up(
        DriverSettings(microsteps=16, run_ma=500, hold_ma=0, sense_mohm=110, stall_threshold=80)
    )
    assert chip.registers[0x10] & 0x1F == 0
    assert chip.registers[0x40] == 80
    assert chip.registers[0x14] == 0xF_FFFF  # stall is looked for at every speed


def test_a_write_that_the_chip_did_not_take_is_a_fault() -> None:
    chip = Chip()
    chip.deaf_writes = 1
    with pytest.raises(PinFault, match="took 6 of 7 settings"):
        Tmc2209(chip, 0).set_up(SETTINGS)


def test_a_register_that_reads_otherwise_is_a_fault() -> None:
    class Stubborn(Chip):
        def write(self, data: bytes) -> None:
            super().write(data)
            self.registers[0x6C] = 0x1000_0053

    with pytest.raises(PinFault, match="register 0x6c reads"):
        Tmc2209(Stubborn(), 0).set_up(SETTINGS)


def test_one_spoilt_answer_is_asked_for_again_and_three_are_a_fault() -> None:
    chip = Chip()
    chip.spoilt_answers = 2
    Tmc2209(chip, 0).set_up(SETTINGS)
    chip.spoilt_answers = 3
    with pytest.raises(PinFault, match=r"at address 0 answers 05 ff 06"):
        Tmc2209(chip, 0).set_up(SETTINGS)


def test_no_chip_no_wire_and_another_chip_are_told_apart() -> None:
    with pytest.raises(PinFault, match="at address 3 answers nothing"):
        Tmc2209(Chip(address=1), 3).set_up(SETTINGS)
    cut = Chip()
    cut.echo = False
    with pytest.raises(PinFault, match="check its wire"):
        Tmc2209(cut, 0).set_up(SETTINGS)
    other = Chip()
    other.registers[0x06] = 0x1100_0000
    with pytest.raises(PinFault, match="version 0x11"):
        Tmc2209(other, 0).set_up(SETTINGS)


@pytest.mark.parametrize(("bit", "text"), [(1, "too hot"), (2, "phase A"), (5, "phase B")])
def test_f60_what_the_chip_reports_as_broken_is_said(bit: int, text: str) -> None:
    chip = Chip()
    chip.registers[0x6F] = 1 << bit
    with pytest.raises(PinFault, match=text):
        Tmc2209(chip, 0).set_up(SETTINGS)


def test_f61_a_port_that_fails_is_a_fault() -> None:
    class Gone(Chip):
        def write(self, data: bytes) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(PinFault, match="UART of the motor driver"):
        Tmc2209(Gone(), 0).set_up(SETTINGS)
