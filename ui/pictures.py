"""Pictures of what is on the screen: read back from the window, written as PNG."""

from __future__ import annotations

from pathlib import Path

from kivy.graphics.opengl import GL_RGBA, GL_UNSIGNED_BYTE, glReadPixels
from kivy.graphics.texture import Texture

_BYTES_PER_PIXEL = 4


def save_picture(path: Path, width_px: int, height_px: int) -> None:
    """Write the window's lower left corner, as last drawn, to ``path`` (a .png)."""
    pixels = glReadPixels(0, 0, width_px, height_px, GL_RGBA, GL_UNSIGNED_BYTE)
    opaque = bytearray(pixels)
    opaque[_BYTES_PER_PIXEL - 1 :: _BYTES_PER_PIXEL] = b"\xff" * (width_px * height_px)
    texture = Texture.create(size=(width_px, height_px), colorfmt="rgba")
    texture.blit_buffer(bytes(opaque), colorfmt="rgba", bufferfmt="ubyte")
    texture.save(str(path), flipped=True)
