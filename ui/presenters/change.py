"""A change of a setting: asked for, and where it waits for the PIN, asked for again after that."""

from __future__ import annotations

from collections.abc import Callable

from appliance.client import PumpClient, PumpError, Refused
from appliance.client.messages import PIN_NEEDED
from ui.presenters.desk import Desk
from ui.presenters.number import Question
from ui.presenters.reasons import reasons_of
from ui.presenters.typed import Pin
from ui.words import _, words


def why_not(error: PumpError) -> str:
    """Say every reason of an error in the language in use."""
    if isinstance(error, Refused) and error.reasons:
        return "\n".join(reasons_of(error.reasons))
    return words.of_the_pump(str(error))


def change(
    desk: Desk,
    act: Callable[[PumpClient], object],
    done: Callable[[], None],
    refused: Callable[[str], None],
    back: Callable[[], None],
) -> None:
    """Have ``act`` change a setting, then call ``done``; ``refused`` gets why it did not.

    Where the PIN is needed the person is asked for it, and then the change is asked for again;
    ``back`` is where Back leads from there.
    """

    def failed(error: PumpError) -> None:
        if isinstance(error, Refused) and [one.code for one in error.reasons] == [PIN_NEEDED]:
            ask_pin(desk, lambda: change(desk, act, done, refused, back), back)
        else:
            refused(why_not(error))

    desk.pump.ask(act, lambda _answer: done(), failed)


def ask_pin(desk: Desk, then: Callable[[], None], back: Callable[[], None]) -> None:
    """Ask for the PIN; ``then`` goes on once it was right."""

    def take(pin: str, refuse: Callable[[str], None]) -> None:
        def wrong(error: PumpError) -> None:
            typed.text = ""
            refuse(why_not(error))

        desk.pump.ask(lambda pump: pump.unlock(pin), lambda _answer: then(), wrong)

    typed = Pin()
    desk.go(
        "number",
        question=Question(
            title=_("Settings are locked"),
            caption=_("PIN"),
            typed=typed,
            take=take,
            back=back,
            ok=_("Unlock"),
            note=_("Settings lock again after 60 s without a change."),
        ),
    )


def unlocked(desk: Desk, then: Callable[[], None], back: Callable[[], None]) -> None:
    """Go on with ``then``; where a PIN is set and was not given, ask for it first."""

    def answered(shown: dict[str, object]) -> None:
        if shown.get("set") and not shown.get("unlocked"):
            ask_pin(desk, then, back)
        else:
            then()

    desk.pump.ask(lambda pump: pump.pin(), answered, lambda _error: then())
