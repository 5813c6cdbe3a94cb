"""The words of the touchscreen in the language in use; numbers are never translated (SR-12).

Catalogues are gettext's: ``ui/locale/LANGUAGE/LC_MESSAGES/benchpump.mo``, made by
``tools/words.sh`` from the ``.po`` beside it. English is what stands in the code.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Mapping
from pathlib import Path

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
"""The languages there are, each by its own name."""

DOMAIN = "benchpump"
LOCALE = Path(__file__).parent / "locale"

_NUMBER = re.compile(r"\d+(?:[.:]\d+)*")


class Words:
    """The catalogue in use, and whoever wants to hear that it has changed."""

    def __init__(self) -> None:
        self.language = "en"
        self._catalogue: gettext.NullTranslations = gettext.NullTranslations()
        self._listeners: list[Callable[[], None]] = []

    def use(self, language: str) -> None:
        """Speak another of LANGUAGES from now on. Raises ValueError where there is no such one."""
        if language not in LANGUAGES:
            raise ValueError(f"language = {language!r} must be one of {', '.join(LANGUAGES)}")
        if language == "en":
            self._catalogue = gettext.NullTranslations()
        else:
            self._catalogue = gettext.translation(DOMAIN, LOCALE, [language])
        self.language = language
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each change."""
        self._listeners.append(listener)

    def leave(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` no more."""
        self._listeners.remove(listener)

    def text(self, message: str) -> str:
        """Return ``message`` in the language in use; an empty one stays empty."""
        return self._catalogue.gettext(message) if message else ""

    def plural(self, one: str, many: str, count: int) -> str:
        """Return the form of the message that goes with ``count``."""
        return self._catalogue.ngettext(one, many, count)

    def sentence(self, message: str) -> str:
        """Return ``of_the_pump`` as a sentence: with a capital, and a full stop."""
        said = self.of_the_pump(message)
        end = "" if said[-1:] in ("", ".", "!", "?", ":", "…") else "."
        return said[:1].upper() + said[1:] + end

    def of_the_pump(self, message: str) -> str:
        """Return a sentence of the pump's in the language in use.

        Its numbers are taken out before it is looked up, and put back as they were: the catalogue
        has "the hour has {0} U left". A sentence that the catalogue lacks stays as it came.
        """
        numbers: list[str] = []

        def taken(match: re.Match[str]) -> str:
            numbers.append(match[0])
            return f"{{{len(numbers) - 1}}}"

        known = message if self.text(message) != message else _NUMBER.sub(taken, message)
        found = self.text(known)
        if found == known:
            return message
        return re.sub(r"\{(\d+)\}", lambda match: numbers[int(match[1])], found)


words = Words()
"""The words of this process."""


def _(message: str) -> str:
    """Return ``message`` in the language in use."""
    return words.text(message)


def ngettext(one: str, many: str, count: int) -> str:
    """Return the form that goes with ``count``, in the language in use."""
    return words.plural(one, many, count)
