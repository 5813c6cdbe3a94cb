"""The I2C bus of a Pi, for sensors that speak it."""

from __future__ import annotations

from appliance.errors import SensorFault
from drivers.gpio import Untyped


def open_bus(number: int, wanted_by: str) -> Untyped:
    """Open bus ``number`` for what ``wanted_by`` names. Raises SensorFault, which says what to do.

    smbus2 is imported here: a machine without such a sensor does not need it.
    """
    try:
        from smbus2 import SMBus
    except ImportError as error:
        raise SensorFault(f'{wanted_by} needs smbus2: install the extra "instruments"') from error
    try:
        return SMBus(number)
    except OSError as error:
        raise SensorFault(
            f"/dev/i2c-{number} cannot be opened ({error.strerror}): switch I2C on, and put the "
            'program\'s user in the group "i2c"'
        ) from error
