"""Simulated frames of a simulated sky: what a catalogue has, what a camera writes, and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from nightferry.calibrating import Result, Source
from nightferry.images import Darkroom, run
from nightferry.instruments import Instruments
from nightferry.photometry import transformations
from nightferry.photometry.measured import Reading
from nightferry.photometry.result import Request
from nightferry.testing import sky
from nightferry.testing.sky import Camera, Moffat
from numpy.typing import NDArray

from tests.unit.photometry_sky import DEC, RA, InMemory, catalogue, evans_r

Array = NDArray[np.float64]
SECONDS = 60.0
EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]
INSTRUMENTS = Instruments.load()


@dataclass(frozen=True)
class Shot:
    """A frame with its sky, and what it was made with."""

    content: bytes
    sky: InMemory
    camera: Camera
    zero_point: float  # e-/s, of a star of BP-RP = 1
    colour_term: float


def field(rng: np.random.Generator, n: int, camera: Camera) -> InMemory:
    """``n`` stars as Gaia DR2 has them, over a camera's field and a little more."""
    made = catalogue(rng, n)
    half = [side * camera.scale / 3600 * 0.53 for side in camera.shape]
    ra = RA + rng.uniform(-half[1], half[1], n) / np.cos(np.radians(DEC))
    dec = DEC + rng.uniform(-half[0], half[0], n)
    return replace(made, stars=replace(made.stars, ra=ra, dec=dec))


def apart(stars: InMemory, arcsec: float) -> InMemory:
    """Only those with no other so near."""
    ra, dec = stars.stars.ra * np.cos(np.radians(DEC)), stars.stars.dec
    away = np.hypot(ra[:, None] - ra, dec[:, None] - dec) * 3600
    np.fill_diagonal(away, np.inf)
    return replace(stars, stars=stars.stars.pick(away.min(axis=1) > arcsec))


def shoot(
    seed: int, *, stars: int = 120, camera: Camera | None = None, scatter: float = 0.01,
    apart_by: float = 12.0, cosmic: int = 0, off: tuple[float, float] = (7.0, -4.0),
    dim: float = 0.0, clouds: float = 0.0, **cards: Any,
) -> Shot:  # fmt: skip
    """A frame in R. Its header's WCS is ``off`` by so many arcsec; ``dim`` magnitudes of cloud are
    even, ``clouds`` go from none at the left to so many at the right."""
    rng = np.random.default_rng(seed)
    if camera is None:
        psf = Moffat(
            rng.uniform(2.6, 5.5), rng.uniform(2.6, 4.8), rng.uniform(0.88, 1.0),
            rng.uniform(0, 180),
        )  # fmt: skip
        camera = Camera(psf=psf, sky=rng.uniform(60, 600), overscan=32)
    known = field(rng, stars, camera)
    if apart_by:
        known = apart(known, apart_by)
    s = known.stars
    zero, term = rng.uniform(23.8, 24.6), rng.normal(0, 0.05)
    x, y = sky.to_pixels(camera, RA, DEC, s.ra, s.dec)
    colour = s.numbers["BP"] - s.numbers["RP"] - 1.0
    magnitude = evans_r(s) - zero - term * colour + rng.normal(0, scatter, len(s))
    magnitude = magnitude + dim + clouds * x / camera.shape[1]
    flux = SECONDS * 10 ** (-0.4 * magnitude)
    electrons = sky.light(camera.shape, x, y, flux, camera.psf) + camera.sky
    image = sky.read_out(camera, electrons, rng)
    sky.cosmic_rays(image, cosmic, rng)
    header = sky.cards_of(camera)
    header |= sky.wcs_cards(
        camera, RA + off[0] / 3600 / np.cos(np.radians(DEC)), DEC + off[1] / 3600
    )
    header |= {k.replace("_", "-"): v for k, v in cards.items()}
    return Shot(sky.fits_file(image, header), known, camera, zero, term)


def no_database(statement: str, **values: object) -> list[Any]:
    """A ledger without targets, masters and raw frames."""
    return []


def calibrated(
    content: bytes, known: InMemory | None, *, cosmic_rays: bool = False, min_stars: int = 5,
    reading: Reading | None = None, bands: Sequence[Any] = EVANS, darkroom: Darkroom | None = None,
) -> Result:  # fmt: skip
    """What comes of a file, with no database and no masters."""
    if darkroom is None:
        darkroom = Darkroom(INSTRUMENTS, _no_file, lambda new: None, cosmic_rays=cosmic_rays)
    (result,) = run(
        content, Source("frame.fits", "a test"), reading or Reading(),
        Request(transformations=bands, min_stars=min_stars),
        {} if known is None else {"gaia-dr2": known}, no_database, darkroom,
    )  # fmt: skip
    return result


def _no_file(path: str) -> Any:
    raise FileNotFoundError(path)
