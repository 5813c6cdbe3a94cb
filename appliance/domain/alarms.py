"""The alarms: one table. A code is never used again for anything else; the ledger keeps it.

Priorities follow IEC 60601-1-8. An alarm is about stopped or uncertain delivery or its near future,
so it latches: it stays after its cause until a person acknowledges it (SR-51). A reminder does not:
it goes with its cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Priority(IntEnum):
    """The standard's three priorities; the highest active one has light and sound."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


class AlarmCode(StrEnum):
    """The name of each condition."""

    OCCLUSION = "A01"
    EMPTY = "A02"
    LOW_RESERVOIR = "A03"
    VERY_LOW_RESERVOIR = "A04"
    END_OF_TRAVEL = "A05"
    MOTOR_FAULT = "A06"
    GUARD_TRIP = "A07"
    LEDGER_FAILURE = "A08"
    DELIVERY_UNCERTAIN = "A09"
    CLOCK_NOT_SET = "A10"
    TIMING_FAULT = "A11"
    UNCLEAN_RESTART = "A12"
    LIMIT_HELD = "A13"
    SENSOR_FAULT = "A14"
    NO_LIVE_STOP = "A15"
    HISTORY_UNKNOWN = "A16"
    CLOCK_STEPPED = "A17"
    SELF_TEST = "A18"
    RECORD_DAMAGED = "A19"
    CONFIG_CHANGED = "A20"
    TOO_HOT = "A21"
    POWER_WEAK = "A22"
    BATTERY_LOW = "A23"
    POWER_FAILS = "A24"
    BATTERY_GAUGE = "A25"
    TOUCH_STUCK = "A26"
    SLEPT = "A27"
    CHANNEL_LOST = "A30"
    DELIVERY_STOPPED = "A31"
    AUTO_OFF_SOON = "A32"
    AUTO_OFF = "A33"
    LOCKED = "A34"
    UNFINISHED = "A35"
    SITE_DUE = "A36"
    CHECK_GLUCOSE = "A37"
    MISSED_MEAL = "A38"
    REMINDER = "A39"
    URGENT_LOW_GLUCOSE = "A40"
    LOW_GLUCOSE = "A41"
    HIGH_GLUCOSE = "A42"
    GLUCOSE_FALLING = "A43"
    GLUCOSE_RISING = "A44"
    LOW_PREDICTED = "A45"
    GLUCOSE_LOST = "A46"
    BASAL_SUSPENDED = "A47"
    PROTECTION_HELD = "A48"


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """One row: how urgent, what it is called, and what a person does."""

    priority: Priority
    name: str
    what_to_do: tuple[str, ...]
    latching: bool = True


_RESUME = "Acknowledge, then resume: the self-test runs first."

TABLE: Mapping[AlarmCode, AlarmKind] = {
    AlarmCode.OCCLUSION: AlarmKind(
        Priority.HIGH,
        "Occlusion",
        ("Free the line and let the pressure go.", "What escapes is no delivery.", _RESUME),
    ),
    AlarmCode.EMPTY: AlarmKind(
        Priority.HIGH, "Reservoir empty", ("Load a fresh cartridge.", _RESUME)
    ),
    AlarmCode.LOW_RESERVOIR: AlarmKind(
        Priority.LOW, "Low reservoir", ("Keep a fresh cartridge at hand.",)
    ),
    AlarmCode.VERY_LOW_RESERVOIR: AlarmKind(
        Priority.MEDIUM, "Very low reservoir", ("Load a fresh cartridge soon.",)
    ),
    AlarmCode.END_OF_TRAVEL: AlarmKind(
        Priority.HIGH,
        "End of travel",
        ("The plunger is at its end: load a fresh cartridge.", _RESUME),
    ),
    AlarmCode.MOTOR_FAULT: AlarmKind(
        Priority.HIGH,
        "Motor fault",
        ("Look at the motor driver, its supply and its wires.", _RESUME),
    ),
    AlarmCode.GUARD_TRIP: AlarmKind(
        Priority.HIGH, "Guard trip", ("The second channel cut the motor off.", _RESUME)
    ),
    AlarmCode.LEDGER_FAILURE: AlarmKind(
        Priority.HIGH,
        "Ledger failure",
        ("The record of doses cannot be written: look at the disk.", _RESUME),
    ),
    AlarmCode.DELIVERY_UNCERTAIN: AlarmKind(
        Priority.HIGH,
        "Delivery uncertain",
        ("Read both bounds in the history: limits count the larger.", _RESUME),
    ),
    AlarmCode.CLOCK_NOT_SET: AlarmKind(
        Priority.MEDIUM, "Clock not set", ("Set the time: the basal schedule follows it.",)
    ),
    AlarmCode.TIMING_FAULT: AlarmKind(
        Priority.HIGH, "Steps came late", ("The computer was too busy for the motor.", _RESUME)
    ),
    AlarmCode.UNCLEAN_RESTART: AlarmKind(
        Priority.HIGH,
        "Stopped unexpectedly",
        ("The pump program ended without a stop; nothing was resumed.", _RESUME),
    ),
    AlarmCode.LIMIT_HELD: AlarmKind(
        Priority.MEDIUM,
        "Basal held by a limit",
        ("Basal goes on by itself when the window has room; nothing is made up.",),
    ),
    AlarmCode.SENSOR_FAULT: AlarmKind(
        Priority.MEDIUM, "Force sensor fault", ("Occlusions are not seen: look at the sensor.",)
    ),
    AlarmCode.NO_LIVE_STOP: AlarmKind(
        Priority.MEDIUM,
        "Bolus stopped: nobody could have",
        ("The program that started the bolus went away, and no other way to stop it was live.",),
    ),
    AlarmCode.HISTORY_UNKNOWN: AlarmKind(
        Priority.HIGH,
        "Earlier doses unknown",
        ("The record is missing, older than the guard's, or broken.", _RESUME),
    ),
    AlarmCode.CLOCK_STEPPED: AlarmKind(
        Priority.LOW, "Clock changed", ("The basal schedule follows the new time from now on.",)
    ),
    AlarmCode.SELF_TEST: AlarmKind(
        Priority.HIGH,
        "Self-test failed",
        ("Every reason is listed: pumpctl status.", "Then resume."),
    ),
    AlarmCode.RECORD_DAMAGED: AlarmKind(
        Priority.HIGH,
        "The record is damaged",
        (
            "A row of the ledger is not what was written: the next start would stay down on it.",
            "Keep the file and its backups for study; look at the disk.",
        ),
    ),
    AlarmCode.CONFIG_CHANGED: AlarmKind(
        Priority.HIGH,
        "Configuration changed",
        ("Compare the file with what you meant: pumpctl check-config.", _RESUME),
    ),
    AlarmCode.TOO_HOT: AlarmKind(
        Priority.MEDIUM,
        "Too hot",
        ("Give the computer air and shade; delivery is stopped.", _RESUME),
    ),
    AlarmCode.POWER_WEAK: AlarmKind(
        Priority.MEDIUM,
        "Weak supply",
        ("Look at the computer's supply and its cable; no new bolus begins.",),
    ),
    AlarmCode.BATTERY_LOW: AlarmKind(
        Priority.MEDIUM,
        "Battery low",
        ("Connect the supply, or change the battery.", "No bolus begins that it may not last for."),
    ),
    AlarmCode.POWER_FAILS: AlarmKind(
        Priority.HIGH,
        "The supply fails",
        ("Connect the supply: delivery is stopped and recorded.", _RESUME),
    ),
    AlarmCode.BATTERY_GAUGE: AlarmKind(
        Priority.MEDIUM,
        "Battery not known",
        (
            "Its gauge, or the power-fail line, says nothing that can be true: look at the wires.",
            "Delivery goes on; no new bolus begins.",
        ),
    ),
    AlarmCode.TOUCH_STUCK: AlarmKind(
        Priority.LOW,
        "A touch is stuck",
        (
            "Take everything off the screen and wipe it dry: entry comes back by itself.",
            "STOP counts at every touch.",
        ),
        latching=False,
    ),
    AlarmCode.SLEPT: AlarmKind(
        Priority.HIGH,
        "The computer slept",
        ("Nothing was delivered meanwhile. Keep it from sleeping.", _RESUME),
    ),
    AlarmCode.CHANNEL_LOST: AlarmKind(
        Priority.MEDIUM,
        "Light or sound is lost",
        (
            "An alarm may not be seen or heard, so no new bolus is given.",
            "Look at the buzzer, the lamps and their wires, then: pumpctl check-signals",
        ),
    ),
    AlarmCode.DELIVERY_STOPPED: AlarmKind(
        Priority.MEDIUM,
        "Delivery is stopped",
        ("No basal is delivered, and none of it is made up.", "Resume, or acknowledge."),
        latching=False,
    ),
    AlarmCode.AUTO_OFF_SOON: AlarmKind(
        Priority.MEDIUM,
        "Auto-off is near",
        ("Nobody has used the pump for hours. Acknowledge, and delivery goes on.",),
        latching=False,
    ),
    AlarmCode.AUTO_OFF: AlarmKind(
        Priority.HIGH,
        "Auto-off",
        ("Nobody used the pump for the time that was set, so it stopped.", _RESUME),
    ),
    AlarmCode.LOCKED: AlarmKind(
        Priority.HIGH,
        "Delivery is locked",
        (
            "Alarms stopped delivery three times within 10 minutes: find out why first.",
            "Acknowledge, re-arm (pumpctl rearm), then resume.",
        ),
    ),
    AlarmCode.UNFINISHED: AlarmKind(
        Priority.LOW,
        "A step is unfinished",
        ("Go on with the cartridge and the set: pumpctl cartridge show",),
        latching=False,
    ),
    AlarmCode.SITE_DUE: AlarmKind(
        Priority.LOW,
        "Change the site",
        ("The set has been in for the days that were set.",),
        latching=False,
    ),
    AlarmCode.CHECK_GLUCOSE: AlarmKind(
        Priority.LOW, "Check glucose", ("It is time after the bolus.",), latching=False
    ),
    AlarmCode.MISSED_MEAL: AlarmKind(
        Priority.LOW, "No meal bolus", ("None was given in this window.",), latching=False
    ),
    AlarmCode.REMINDER: AlarmKind(
        Priority.LOW, "Reminder", ("It was set for this time of day.",), latching=False
    ),
    AlarmCode.URGENT_LOW_GLUCOSE: AlarmKind(
        Priority.HIGH,
        "Urgent low glucose",
        ("Treat the low on the bench: the patient is under 55 mg/dL.",),
        latching=False,
    ),
    AlarmCode.LOW_GLUCOSE: AlarmKind(
        Priority.MEDIUM, "Low glucose", ("It is under the limit that was set.",), latching=False
    ),
    AlarmCode.HIGH_GLUCOSE: AlarmKind(
        Priority.LOW, "High glucose", ("It is over the limit that was set.",), latching=False
    ),
    AlarmCode.GLUCOSE_FALLING: AlarmKind(
        Priority.MEDIUM, "Glucose falls fast", ("Look at it again soon.",), latching=False
    ),
    AlarmCode.GLUCOSE_RISING: AlarmKind(
        Priority.LOW, "Glucose rises fast", ("Look at it again soon.",), latching=False
    ),
    AlarmCode.LOW_PREDICTED: AlarmKind(
        Priority.MEDIUM, "A low is near", ("By its trend glucose will be low.",), latching=False
    ),
    AlarmCode.GLUCOSE_LOST: AlarmKind(
        Priority.MEDIUM,
        "No glucose signal",
        ("Look at the sensor and its source: pumpctl keeper", "Nothing is decided by old values."),
        latching=False,
    ),
    AlarmCode.BASAL_SUSPENDED: AlarmKind(
        Priority.LOW,
        "Basal is suspended by glucose",
        ("It comes back by itself; to have it back now: pumpctl glucose resume",),
        latching=False,
    ),
    AlarmCode.PROTECTION_HELD: AlarmKind(
        Priority.MEDIUM,
        "Basal goes on at a low",
        ("Protection would suspend it, and its limit of time is reached.",),
        latching=False,
    ),
}
