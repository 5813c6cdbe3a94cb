"""A profile that is being edited: nothing of it is the pump's until it is kept there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from appliance.client.messages import FullSegment, SegmentShown


@dataclass(frozen=True, slots=True)
class Piece:
    """A rate from a minute of the day on, and what a calculator takes there."""

    start_min_of_day: int
    rate_uu_per_h: int
    carb_ratio_mg_per_u: int | None = None
    sensitivity_mg_dl_per_u: int | None = None
    target_mg_dl: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """The profile as it would be, beside what it was when editing began."""

    name: str
    pieces: tuple[Piece, ...]
    before: tuple[Piece, ...] = ()
    new: bool = False
    in_use: bool = False

    @classmethod
    def of(cls, name: str, segments: Sequence[SegmentShown], *, in_use: bool) -> Self:
        """Begin with a profile of the pump's."""
        pieces = tuple(
            Piece(
                one.start_min_of_day,
                one.rate_uu_per_h,
                one.carb_ratio_mg_per_u,
                one.sensitivity_mg_dl_per_u,
                one.target_mg_dl,
            )
            for one in segments
        )
        return cls(name, pieces, pieces, in_use=in_use)

    @property
    def changed(self) -> bool:
        """Whether there is something to keep."""
        return self.pieces != self.before

    def put(self, piece: Piece, instead_of: int | None) -> Draft:
        """Return it with ``piece``, in the place of the one that began at ``instead_of``."""
        kept = [one for one in self.pieces if one.start_min_of_day != instead_of]
        ordered = sorted([*kept, piece], key=lambda one: one.start_min_of_day)
        return replace(self, pieces=tuple(ordered))

    def without(self, start_min: int) -> Draft:
        """Return it without the piece that begins at ``start_min``."""
        kept = tuple(one for one in self.pieces if one.start_min_of_day != start_min)
        return replace(self, pieces=kept)

    def segments(self) -> list[FullSegment]:
        """Return it as the pump takes it."""
        return [
            FullSegment(
                start_min_of_day=one.start_min_of_day,
                rate_uu_per_h=one.rate_uu_per_h,
                carb_ratio_mg_per_u=one.carb_ratio_mg_per_u,
                sensitivity_mg_dl_per_u=one.sensitivity_mg_dl_per_u,
                target_mg_dl=one.target_mg_dl,
            )
            for one in self.pieces
        ]
