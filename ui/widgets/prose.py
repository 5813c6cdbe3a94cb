"""Sentences that fit into their box."""

from __future__ import annotations

from ui.widgets.plain import Text

_SIZES = (1.0, 0.92, 0.85, 0.78, 0.7, 0.62)


class Prose(Text):
    """Sentences in a box of a given size: they wrap, and their letters shrink until all fit."""

    def _fit(self, *_: object) -> None:
        self.text_size = (self.width, None)
        for share in _SIZES:
            self.font_size = int(self.size_px * share)
            self.texture_update()
            if self.texture_size[1] <= self.height:
                break
        self.text_size = self.size


__all__ = ["Prose"]
