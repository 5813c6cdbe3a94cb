"""What a person does about an alarm, at the screen: by its buttons, in the order of touching them.

The pump's own sentences are for every face; where one names a command of the terminal, or an act
that is a button here, the touchscreen has another. A sentence without one is said as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ui.words import _, words

BY_TOUCH: Mapping[str, Callable[[], str]] = {
    "Acknowledge, then resume: the self-test runs first.": lambda: _(
        "I have seen it, then Basal, then Resume: the self-test runs first."
    ),
    "Resume, or acknowledge.": lambda: _("Basal, then Resume; or only: I have seen it."),
    "Every reason is listed: pumpctl status.": lambda: _(
        "I have seen it: the screen that follows lists every reason."
    ),
    "Then resume.": lambda: _("Put it right, and run the self-test again there."),
    "Compare the file with what you meant: pumpctl check-config.": lambda: _(
        "Compare the configuration file with what you meant."
    ),
    "Look at the buzzer, the lamps and their wires, then: pumpctl check-signals": lambda: _(
        "Look at the buzzer, the lamps and their wires, then: Menu, Light and sound."
    ),
    "Acknowledge, re-arm (pumpctl rearm), then resume.": lambda: _(
        "I have seen it, then Basal, then Re-arm, then Resume."
    ),
    "Go on with the cartridge and the set: pumpctl cartridge show": lambda: _(
        "Go on with the cartridge and the set: Cartridge, on the first screen."
    ),
    "Look at the sensor and its source: pumpctl keeper": lambda: _(
        "Look at the sensor and its source."
    ),
    "It comes back by itself; to have it back now: pumpctl glucose resume": lambda: _(
        "It comes back by itself; at once: Basal, then Have basal back."
    ),
}
"""The pump's sentence, and what stands in its place."""


def step_words(sentence: str) -> str:
    """Return one line of what to do, in the language in use."""
    by_touch = BY_TOUCH.get(sentence)
    return by_touch() if by_touch is not None else words.of_the_pump(sentence)
