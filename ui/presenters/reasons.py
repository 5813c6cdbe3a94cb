"""Reasons of the pump as the touchscreen says them: by their code, else by their own sentence."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.client import Reason
from ui.words import _, words


def reason_words(reason: Reason) -> str:
    """Return one reason in the language in use.

    Where the pump's sentence names a command of the terminal, the screen has its own.
    """
    match reason.code:
        case "no_limits":
            return _("No limits are set, so nothing is delivered: Menu, Settings, Limits.")
        case "no_cartridge":
            return _("No cartridge is loaded: Cartridge, on the first screen.")
        case "signals_unchecked":
            return _("Light and sound have not been checked since the start: Menu, Check.")
        case "pin_needed":
            return _("Settings are locked: the PIN is needed.")
        case "token":
            return _("The review is over: review the dose again.")
    return words.sentence(reason.text)


def reasons_of(reasons: Sequence[Reason]) -> list[str]:
    """Return all reasons, in the pump's order."""
    return [reason_words(reason) for reason in reasons]
