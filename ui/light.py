"""The panel's light: bright while somebody is there, dim after a while, dark after longer.

On a Pi the backlight is a file under /sys/class/backlight; elsewhere the frame's shade is all.
"""

from __future__ import annotations

from pathlib import Path

DIM_AFTER_S = 60.0
DARK_AFTER_S = 180.0
DIM_SHARE = 0.35
DARK_SHARE = 0.05
BACKLIGHTS = Path("/sys/class/backlight")


def share_of(idle_s: float) -> float:
    """Return how bright the panel is, 0 to 1, after nobody has been there for so long."""
    if idle_s < DIM_AFTER_S:
        return 1.0
    return DIM_SHARE if idle_s < DARK_AFTER_S else DARK_SHARE


class Backlight:
    """Every backlight that this user may set; none is no fault."""

    def __init__(self, folder: Path = BACKLIGHTS) -> None:
        self._lights = []
        for light in sorted(folder.glob("*")) if folder.is_dir() else []:
            try:
                most = int((light / "max_brightness").read_text("ascii"))
            except (OSError, ValueError):
                continue
            self._lights.append((light / "brightness", most))

    def set(self, share: float) -> None:
        """Set every light to a share of its most; a light that cannot be set stays as it is."""
        for path, most in self._lights:
            try:
                path.write_text(f"{max(1, round(most * share))}\n", "ascii")
            except OSError:
                continue
