"""Libraries without what they take along where they find it, and nobody here uses.

A program's memory is a figure that is promised: what is imported is in it for as long as it runs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Have imports in this block find these modules missing; nothing that is here already goes."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # to an import it is not there
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
