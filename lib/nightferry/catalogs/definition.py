"""What a catalogue's columns mean: ``etc/catalogs/*.yaml``, one file a catalogue and release."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nightferry import yamlfile
from nightferry.errors import ConfigError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Marks:
    """How a file is recognised: VizieR's identifier in it, columns that no other has, or the
    reference epoch that Gaia's tables carry."""

    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    reference_epoch: float | None = None


@dataclass(frozen=True)
class Rejection:
    """Stars that do not serve, by a number (or a difference of two) above or below a limit."""

    why: str
    number: str | None = None
    difference: tuple[str, ...] = ()
    above: tuple[float, ...] = ()  # in rising powers of the colour
    below: float | None = None
    bits: int | None = None  # all of these are set
    colour: tuple[str, ...] = ()

    def holds(self, numbers: Mapping[str, Array]) -> NDArray[np.bool_]:
        """For which stars it does. What is unknown is not held against them."""
        if self.number is not None:
            value = numbers[self.number]
        else:
            value = numbers[self.difference[0]] - numbers[self.difference[1]]
        with np.errstate(invalid="ignore"):
            if self.bits is not None:
                return np.asarray(np.nan_to_num(value).astype(int) & self.bits == self.bits)
            if self.below is not None:
                return np.asarray(value < self.below)
            if not self.colour:
                return np.asarray(value > self.above[0])
            colour = numbers[self.colour[0]] - numbers[self.colour[1]]
            limit = np.polynomial.polynomial.polyval(colour, np.array(self.above))
            return np.asarray(value > limit)


@dataclass(frozen=True)
class Tap:
    """The remote archive that has it: its address, and what to ask there (ADQL), with {most}, {ra},
    {dec} and {radius} in degrees."""

    url: str
    query: str


@dataclass(frozen=True)
class Definition:
    """One catalogue. Each of ``numbers`` is found in the first of its columns that a file has."""

    ra: tuple[str, ...]
    dec: tuple[str, ...]
    numbers: Mapping[str, tuple[str, ...]]
    brightness: str  # the number by which stars are bright
    title: str = ""
    epoch: float | None = None  # Julian year of the positions; absent: unknown
    id: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    sparse: bool = False
    positions: float = 0.0  # arcsec by which they may be off
    missing: float | None = None  # what its files write where they have no number
    over_error: Mapping[str, str] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    recognise: Marks = field(default_factory=Marks)
    tap: Tap | None = None
    key: str = ""  # its name here: that of its file

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers, in the order in which they are stored."""
        return tuple(self.numbers)


def definitions(folder: Path | None = None) -> dict[str, Definition]:
    """All catalogues of a folder; without one, those that come with Nightferry.

    Raises:
        ConfigError: a file is wrong; it, the line and the nearest key are named.
    """
    folder = folder or yamlfile.shipped("catalogs")
    found = {}
    for file in sorted(folder.glob("*.yaml")):
        read = replace(yamlfile.load(file, Definition), key=file.stem)
        if read.brightness not in read.numbers:
            raise ConfigError(f"{file}: brightness: {read.brightness!r} is none of its numbers")
        found[file.stem] = read
    return found
