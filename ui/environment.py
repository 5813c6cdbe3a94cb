"""What has to be said before Kivy is imported for the first time: it reads it once and for all.

Kivy eats command lines, writes into HOME, falls back to another window in silence and takes each
touch twice, unless it is told otherwise. Nothing here imports Kivy before the words are said.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Literal

from ui.panels import Panel

Display = Literal["offscreen", "KMSDRM", "x11"]
"""SDL's video driver: pictures and tests, the kiosk on a Pi, a window on a desktop."""

_INPUTS: Mapping[Display, Mapping[str, str]] = {
    "offscreen": {},
    "KMSDRM": {"mtdev_%(name)s": "probesysfs,provider=mtdev"},
    "x11": {"mouse": "mouse,disable_multitouch"},
}
_SLACK_DPI = 96  # the theme has the true one; Kivy's own lengths are not used


def panels_card(drm: Path = Path("/sys/class/drm")) -> int | None:
    """Return the number of the graphics card that has a screen: a panel before a monitor, or None.

    On a Pi 5 the panel is a card of its own, and its number changes from start to start; SDL would
    take the first card, and fail.
    """
    found = []
    for status in sorted(drm.glob("card*-*/status")):
        card, _, connector = status.parent.name.partition("-")
        if status.read_text().strip() == "connected":
            found.append((not connector.startswith("DSI"), int(card.removeprefix("card"))))
    return min(found)[1] if found else None


def has_display(drm: Path = Path("/sys/class/drm")) -> bool:
    """Return whether a display may be there: False where the kernel calls each one disconnected.

    A driver that cannot tell says "unknown", and counts as one that has a display; a connector that
    only writes into memory counts for nothing.
    """
    states = []
    for status in drm.glob("card*-*/status"):
        if "Writeback" in status.parent.name:
            continue
        try:
            states.append(status.read_text().strip())
        except OSError:  # its card has gone between the two looks
            states.append("disconnected")
    return not states or any(state != "disconnected" for state in states)


def prepare(
    panel: Panel,
    display: Display,
    *,
    home: Path,
    fullscreen: bool = False,
    environment: MutableMapping[str, str] = os.environ,
) -> None:
    """Set environment and configuration for ``panel``. Call it once, before anything names Kivy.

    ``home`` is a folder that may be written: Kivy wants one, and keeps nothing there.
    """
    environment.update(
        KIVY_NO_ARGS="1",
        KIVY_NO_CONFIG="1",
        KIVY_NO_ENV_CONFIG="1",
        KIVY_NO_FILELOG="1",
        KIVY_NO_CONSOLELOG="1",
        KIVY_LOG_MODE="PYTHON",
        KIVY_HOME=str(home),
        KIVY_WINDOW="sdl2",
        KIVY_TEXT="sdl2",
        KIVY_IMAGE="sdl2",
        KIVY_DPI=str(_SLACK_DPI),
        KIVY_METRICS_DENSITY="1",
        KIVY_METRICS_FONTSCALE="1",
        SDL_VIDEODRIVER=display,
    )
    card = panels_card() if display == "KMSDRM" else None
    if card is not None:
        environment["SDL_KMSDRM_DEVICE_INDEX"] = str(card)
    logging.getLogger("kivy").addFilter(lambda said: said.levelno >= logging.WARNING)
    from kivy.config import Config

    for section in ("input", "modules"):
        for name, _ in Config.items(section):
            Config.remove_option(section, name)
    for name, provider in _INPUTS[display].items():
        Config.set("input", name, provider)
    settings = {
        "width": panel.width_px,
        "height": panel.height_px,
        "maxfps": 30,
        "position": "auto",
        "multisamples": 0,  # edges are drawn smooth; a Pi Zero has no samples to spare
        "resizable": 0,
        "borderless": int(fullscreen),
        "fullscreen": "auto" if fullscreen else 0,
        "allow_screensaver": 0,
        "show_cursor": int(display == "x11"),
    }
    for name, value in settings.items():
        Config.set("graphics", name, str(value))
    Config.set("kivy", "exit_on_escape", "0")
    Config.set("kivy", "keyboard_mode", "")
    Config.set("kivy", "log_enable", "0")
    Config.set("kivy", "log_level", "warning")
    Config.set("postproc", "double_tap_time", "400")
