"""Reasons of the pump as the touchscreen says them: by their code, else by their own sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from appliance.client import Reason
from appliance.client.words import in_words
from ui.presenters import numbers
from ui.words import _, words

_COMMAND = re.compile(r":? pumpctl .*$| \(pumpctl [^)]*\)")
"""A command of the terminal at the end of a sentence, or in it: nobody types one here."""
_RANGE = re.compile(r"(\d+) to (\d+)(, or 0 for off)?")
_UNITS: Mapping[str, Callable[[int], str]] = {
    "_uu_per_h": lambda number: f"{numbers.rate(number)} U/h",
    "_uu": numbers.units,
    "_s": in_words,
    "_h": lambda number: f"{number} h",
    "_min": lambda number: f"{number} min",
    "_days": lambda number: f"{number} d",
}
"""How a number is written, by the end of its field's name."""


def reason_words(reason: Reason) -> str:
    """Return one reason in the language in use.

    Where the pump's sentence names a command of the terminal, the screen has its own.
    """
    match reason.code:
        case "no_limits":
            return _("No limits are set, so nothing is delivered: Menu, Settings, Limits.")
        case "no_cartridge":
            return _("No cartridge is loaded: Cartridge, on the first screen.")
        case "no_profile":
            return _("No basal profile is in use: Menu, Profiles.")
        case "unacknowledged":
            return _("An alarm of high priority waits for: I have seen it.")
        case "locked":
            return _("Alarms have locked delivery: find out why, then Re-arm.")
        case "signals_lost" if _COMMAND.search(reason.text):
            return _("An alarm might not be seen or heard: Menu, Light and sound.")
        case "signals_unchecked":
            return _("Light and sound are unchecked since the start: Menu, Light and sound.")
        case "pin_needed":
            return _("Settings are locked: the PIN is needed.")
        case "token":
            return _("The review is over: review the dose again.")
        case "no_pin":
            return _("No PIN is set: Menu, Settings.")
        case "pin_missing":
            return _("The PIN's file is gone: set a new one.")
        case "out_of_range" if allowed := range_words(reason):
            return allowed
    return words.sentence(_COMMAND.sub("", reason.text))


def range_words(reason: Reason) -> str:
    """Say what is allowed in the unit of its field; "" where the pump's own sentence says more."""
    found = _RANGE.fullmatch(reason.range or "")
    field = reason.field or ""
    for ending, write in _UNITS.items():
        if found is not None and field.endswith(ending):
            low, high = write(int(found[1])), write(int(found[2]))
            if found[3]:
                return _("Allowed are {low} to {high}, or 0 for off.").format(low=low, high=high)
            return _("Allowed are {low} to {high}.").format(low=low, high=high)
    return ""


def reasons_of(reasons: Sequence[Reason]) -> list[str]:
    """Return all reasons, in the pump's order."""
    return [reason_words(reason) for reason in reasons]
