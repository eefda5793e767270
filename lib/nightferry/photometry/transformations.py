"""From a catalogue's magnitudes to a standard band, by published relations in data files.

Each file of ``etc/transformations`` names its paper, the catalogues (release and all) that it holds
for, its range of colour and its scatter. Outside of the range there is no magnitude.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nightferry import yamlfile
from nightferry.errors import ConfigError, GiveUp

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """One band of a file. ``polynomial`` is magnitude - band, ``offset`` band - magnitude, both in
    rising powers of the colour; without a magnitude the file's, or the band of the same name."""

    system: str
    range: tuple[float, ...]
    scatter: float
    magnitude: str | None = None
    polynomial: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()


@dataclass(frozen=True)
class Document:
    """One file."""

    reference: str
    catalogs: tuple[str, ...]
    colour: tuple[str, ...]
    colour_reference: float
    bands: Mapping[str, Band]
    magnitude: str | None = None
    verified: str = ""  # when, and against what; without it the file serves only who names it


@dataclass(frozen=True)
class Transformation:
    """One band from one kind of catalogue.

    ``coefficients`` give band - magnitude in rising powers of colour[0] - colour[1].
    """

    name: str  # of its file
    band: str
    system: str  # AB or Vega
    catalogs: tuple[str, ...]
    magnitude: str
    colour: tuple[str, str]
    colour_reference: float  # the zero point is that of a star of this colour
    coefficients: tuple[float, ...]
    low: float
    high: float
    scatter: float  # mag, as published
    reference: str
    verified: str = ""

    @property
    def colour_name(self) -> str:
        return "-".join(self.colour)

    def apply(self, catalog: str, numbers: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Magnitudes, their errors and the colours of stars; NaN outside of the range.

        ``numbers`` holds the catalogue's magnitudes by band, and their errors as ``e_`` band.

        Raises:
            GiveUp: the relation was not made for this release of a catalogue.
        """
        if catalog not in self.catalogs:
            raise GiveUp(
                "wrong catalogue",
                f"{self.name} is for {' or '.join(self.catalogs)}, and not for {catalog}: "
                f"its coefficients hold for that release only ({self.reference})",
            )
        first, second = self.colour
        colour = numbers[first] - numbers[second]
        inside = (colour >= self.low) & (colour <= self.high)
        magnitude = numbers[self.magnitude] + _polynomial(self.coefficients, colour)
        slope = _polynomial(_derivative(self.coefficients), colour)
        # A band that is also in the colour counts once, with both of its parts.
        parts: dict[str, Array] = {self.magnitude: np.ones_like(colour)}
        for band, sign in ((first, 1.0), (second, -1.0)):
            parts[band] = parts.get(band, np.zeros_like(colour)) + sign * slope
        variance = sum(
            (part * np.nan_to_num(numbers[f"e_{band}"], nan=0.05)) ** 2
            for band, part in parts.items()
        )
        return np.where(inside, magnitude, np.nan), np.sqrt(variance), colour


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


def _derivative(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(k * c for k, c in enumerate(coefficients))[1:]


def load(folder: Path | None = None) -> list[Transformation]:
    """All transformations of a folder, which its owner answers for; without one, those that come
    with Nightferry and say what their numbers were verified against.

    Raises:
        ConfigError: a file is wrong; it, the line and the nearest key are named.
    """
    own = folder is not None
    folder = folder or yamlfile.shipped("transformations")
    found = [t for file in sorted(folder.glob("*.yaml")) for t in read(file)]
    return [t for t in found if own or t.verified]


def named(text: str) -> list[Transformation]:
    """Those of a file of one's own, or of one that comes with Nightferry, verified or not.

    Raises:
        ConfigError: there is neither; or as :func:`load`.
    """
    shipped = yamlfile.shipped("transformations")
    file = Path(text) if Path(text).is_file() else shipped / f"{text}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(f.stem for f in shipped.glob("*.yaml")))
        raise ConfigError(f"no transformation {text!r} and no such file; known: {known}")
    return read(file)


def read(file: Path) -> list[Transformation]:
    """The transformations of one file.

    Raises:
        ConfigError: as :func:`load`.
    """
    document = yamlfile.load(file, Document)
    if len(document.colour) != 2:
        raise ConfigError(f"{file}: colour: two bands, such as [BP, RP]")
    return [_transformation(file, document, name, band) for name, band in document.bands.items()]


def _transformation(file: Path, document: Document, name: str, band: Band) -> Transformation:
    if bool(band.polynomial) == bool(band.offset) or len(band.range) != 2:
        raise ConfigError(
            f"{file}: {name}: either polynomial: or offset:, and range: [from, to] of the colour"
        )
    if band.system not in ("AB", "Vega"):
        raise ConfigError(f"{file}: {name}: system: AB or Vega")
    return Transformation(
        name=file.stem,
        band=name,
        system=band.system,
        catalogs=document.catalogs,
        magnitude=band.magnitude or document.magnitude or name,
        colour=(document.colour[0], document.colour[1]),
        colour_reference=document.colour_reference,
        coefficients=band.offset or tuple(-c for c in band.polynomial),
        low=band.range[0],
        high=band.range[1],
        scatter=band.scatter,
        reference=document.reference,
        verified=document.verified,
    )
