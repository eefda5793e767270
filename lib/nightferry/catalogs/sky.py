"""The sky in HEALPix cells (nested, order 29), and parts of it as ranges of cells."""

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

ORDER = 29  # of the index: cells of 0.4 mas
TILE_ORDER = 15  # of the record of what is complete, at the finest: tiles of 6"
_CELL_OF_ORDER_0 = 58.6323  # degrees, the side of a square of the same area


def index(ra: Array, dec: Array) -> Index:
    """The cells of positions in degrees."""
    cells = nested.lonlat_to_healpix(Longitude(ra * u.deg), Latitude(dec * u.deg), ORDER)
    return np.atleast_1d(np.asarray(cells)).astype(np.int64)


def eastward(ra: Array, ra0: float) -> Array:
    """How far right ascensions are east of another, -180 to 180 degrees of it: 0.1 is 0.2 east of
    359.9."""
    return np.asarray(np.mod(ra - ra0 + 180.0, 360.0) - 180.0)


def separation(ra: Array, dec: Array, ra0: float, dec0: float) -> Array:
    """Degrees between positions and one other (haversine: exact when small)."""
    a, d = np.radians(ra), np.radians(dec)
    a0, d0 = np.radians(ra0), np.radians(dec0)
    h = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.minimum(1.0, np.sqrt(h)))))


@dataclass(frozen=True)
class Coverage:
    """A part of the sky: ranges [low, high) of cells of order 29, ascending and apart."""

    low: Index
    high: Index

    def __bool__(self) -> bool:
        return len(self.low) > 0

    @classmethod
    def of(cls, low: Any, high: Any) -> "Coverage":
        """Of any ranges, in any order."""
        first, last = np.asarray(low, np.int64), np.asarray(high, np.int64)
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order]) if len(last) else last
        if not len(first):
            return cls(first, last)
        begins = np.concatenate(([True], first[1:] > last[:-1]))
        starts = np.flatnonzero(begins)
        return cls(first[starts], np.maximum.reduceat(last, starts))

    @classmethod
    def of_tiles(cls, cells: Index, order: int) -> "Coverage":
        """Of all the tiles of an order that hold one of ``cells`` (of order 29)."""
        shift = 2 * (ORDER - order)
        tiles = np.unique(cells >> shift)
        return cls.of(tiles << shift, (tiles + 1) << shift)

    @classmethod
    def whole_sky(cls) -> "Coverage":
        return cls.of([0], [12 << (2 * ORDER)])

    def holds(self, cells: Index) -> NDArray[np.bool_]:
        """Which of the cells lie inside."""
        at = np.searchsorted(self.low, cells, side="right") - 1
        inside = at >= 0
        inside[inside] = cells[inside] < self.high[at[inside]]
        return inside

    def contains(self, other: "Coverage") -> bool:
        """Whether all of ``other`` lies inside."""
        at = np.searchsorted(self.low, other.low, side="right") - 1
        return bool((at >= 0).all() and (other.high <= self.high[at]).all())

    @property
    def square_degrees(self) -> float:
        return float((self.high - self.low).sum() / (12 * 4.0**ORDER) * 41252.96125)

    def __str__(self) -> str:
        """As PostgreSQL writes an int8multirange."""
        return "{" + ",".join(f"[{a},{b})" for a, b in zip(self.low, self.high, strict=True)) + "}"

    @classmethod
    def from_text(cls, text: str) -> "Coverage":
        """Of what PostgreSQL writes as an int8multirange."""
        pairs = [part.split(",") for part in text.strip("{}").replace("[", "").split(")") if part]
        ends = [[int(x) for x in pair if x] for pair in pairs]
        return cls.of([e[0] for e in ends], [e[1] for e in ends])


def cone(ra: float, dec: float, radius: float) -> Coverage:
    """The cells that a cone touches, in at most about a hundred ranges."""
    depth = int(np.clip(np.floor(np.log2(_CELL_OF_ORDER_0 / max(radius, 1e-7))), 0, 27)) + 2
    cells, depths, _ = nested.cone_search(
        Longitude(ra % 360 * u.deg), Latitude(dec * u.deg), radius * u.deg, min(depth, 28)
    )
    shift = 2 * (ORDER - np.asarray(depths, np.int64))
    low = np.asarray(cells).astype(np.int64)
    return Coverage.of(low << shift, (low + 1) << shift)


def tiles_inside(ra: float, dec: float, radius: float) -> Coverage:
    """The tiles that lie wholly within a cone, which are complete if the cone is."""
    depth = int(np.clip(np.ceil(np.log2(_CELL_OF_ORDER_0 / radius)) + 7, 3, TILE_ORDER))
    cells, depths, whole = nested.cone_search(
        Longitude(ra % 360 * u.deg), Latitude(dec * u.deg), radius * u.deg, depth
    )
    inside = np.asarray(whole).astype(bool)
    shift = 2 * (ORDER - np.asarray(depths, np.int64)[inside])
    low = np.asarray(cells).astype(np.int64)[inside]
    return Coverage.of(low << shift, (low + 1) << shift)
