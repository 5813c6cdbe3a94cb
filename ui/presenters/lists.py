"""Rows of a list that scrolls, as a presenter says them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Choice", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a small lead (a time), what it is, and its value on the right.

    ``tone`` is the name of the value's colour, ``ground`` that of the row's own, if it has one. A
    heading stands between rows and cannot be picked.
    """

    key: str
    text: str
    value: str = ""
    lead: str = ""
    tone: str = "text"
    ground: str = ""
    heading: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several buttons in a row, of which one is chosen."""

    key: str
    text: str
    enabled: bool = True
