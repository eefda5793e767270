"""What every source of catalogue stars promises.

- ``field()`` gives every star that the catalogue has inside of the field, at the catalogue's epoch,
  and says which part of the sky it answers for: outside of that, absence means nothing.
- A field of which it can answer for nothing is ``MissingTile``; an archive that does not answer is
  ``Unavailable``. Neither is ever an empty list.
- Angles are degrees (ICRS), magnitudes in the system that the catalogue's definition names, proper
  motions in mas a year with the cosine of the declination in. What is unknown is NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs.definition import Definition
from nightferry.catalogs.sky import Coverage, separation
from nightferry.errors import Unavailable

Array = NDArray[np.float64]
Ask = Callable[..., list[Any]]  # (statement, **values) -> rows: a named statement that only reads
_MAS_A_DEGREE = 3.6e6


class MissingTile(Unavailable):
    """The catalogue has no tile there, and nobody to ask for one."""


@dataclass(frozen=True)
class Field:
    """A cone on the sky, in degrees."""

    ra: float
    dec: float
    radius: float

    def __str__(self) -> str:
        return f"{self.ra:.4f} {self.dec:+.4f}, radius {self.radius * 60:.1f}′"


@dataclass(frozen=True)
class Stars:
    """Stars of one catalogue, in arrays of one length."""

    id: NDArray[np.int64]
    ra: Array
    dec: Array
    numbers: Mapping[str, Array]  # by the names of the definition
    names: tuple[str, ...] = ()  # where stars have one

    def __len__(self) -> int:
        return len(self.ra)

    def at(self, definition: Definition, year: float) -> "Stars":
        """The same stars where they were in ``year``. Those without a proper motion stay.

        Linear on the sphere's tangent, which for a century is right within a milliarcsecond but
        for the few stars beside a pole.
        """
        if definition.epoch is None or "pmra" not in self.numbers:
            return self
        years = year - definition.epoch
        pmra = np.nan_to_num(self.numbers["pmra"]) * years / _MAS_A_DEGREE
        pmdec = np.nan_to_num(self.numbers["pmdec"]) * years / _MAS_A_DEGREE
        ra = np.mod(self.ra + pmra / np.maximum(np.cos(np.radians(self.dec)), 1e-6), 360.0)
        return Stars(self.id, ra, np.clip(self.dec + pmdec, -90, 90), self.numbers, self.names)

    def inside(self, field: Field) -> "Stars":
        near = separation(self.ra, self.dec, field.ra, field.dec) <= field.radius
        return self.pick(near)

    def pick(self, which: NDArray[Any]) -> "Stars":
        """Those of a mask or of indices."""
        numbers = {name: values[which] for name, values in self.numbers.items()}
        names = tuple(np.asarray(self.names, dtype=object)[which]) if self.names else ()
        return Stars(self.id[which], self.ra[which], self.dec[which], numbers, names)


@dataclass(frozen=True)
class Found:
    """Stars of a field, and the part of the sky that they are all of."""

    stars: Stars
    coverage: Coverage


class Catalog(Protocol):
    """A source of stars."""

    @property
    def definition(self) -> Definition: ...

    def field(self, field: Field) -> Found:
        """Every star inside of ``field``.

        Raises:
            MissingTile: nothing is known of any part of it.
            Unavailable: a remote archive does not answer, or not in full.
        """
