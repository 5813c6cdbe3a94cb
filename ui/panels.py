"""The panels the touchscreen is laid out for: pixels and true millimetres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MM_PER_UNIT = 25.4 / 133
"""The look is drawn in units: pixels of a panel of 133 dots an inch."""
TARGET_MM = 9.0
"""No target of a finger is smaller than this, either way."""

_SHRINK_BELOW_UNITS = 460
"""A panel narrower than so many units has its type smaller, at most by a quarter."""
_SHRINK_MOST = 0.75


@dataclass(frozen=True, slots=True)
class Panel:
    """One display. Pixels need not be square: the 7-inch 800x480 has 132 by 142 to the inch."""

    name: str
    width_px: int
    height_px: int
    width_mm: float
    height_mm: float

    @property
    def portrait(self) -> bool:
        """Whether it stands upright."""
        return self.height_px > self.width_px

    @property
    def dpi(self) -> float:
        """Dots an inch, from the diagonal."""
        dots = (self.width_px**2 + self.height_px**2) ** 0.5
        return float(dots / (self.width_mm**2 + self.height_mm**2) ** 0.5 * 25.4)

    @property
    def px_per_unit(self) -> float:
        """How many pixels one unit of the look has here."""
        true_px = self.dpi / 25.4 * MM_PER_UNIT
        width_units = min(self.width_px, self.height_px) / true_px
        return true_px * max(_SHRINK_MOST, min(1.0, width_units / _SHRINK_BELOW_UNITS))

    @property
    def target_px(self) -> float:
        """The side in pixels of a square that is a finger's target on both axes."""
        finest = max(self.width_px / self.width_mm, self.height_px / self.height_mm)
        return TARGET_MM * finest


PANELS: Mapping[str, Panel] = {
    panel.name: panel
    for panel in (
        Panel("7-inch", 800, 480, 154.08, 85.92),
        Panel("7-inch-portrait", 720, 1280, 88.0, 155.0),
        Panel("5-inch-portrait", 720, 1280, 62.0, 110.0),
    )
}
"""By name. Sizes: data sheets of the Raspberry Pi Touch Display and Touch Display 2."""
