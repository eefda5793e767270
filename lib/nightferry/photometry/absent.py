"""Standards that a frame should show and does not: where there is a star of their brightness near
by, the list is wrong rather than the sky."""

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs import Definition
from nightferry.catalogs.sky import eastward, separation
from nightferry.photometry.result import Calibration

FAR = 120.0  # arcsec
Array = NDArray[np.float64]
_ALIKE = 0.15  # mag
_OUTSIDE = 5.0  # arcsec from the edge of what was measured


def notes(done: Calibration, definition: Definition) -> tuple[str, ...]:
    """A sentence for each star of a list of standards that is in the field and was not found."""
    fit, stars, relation = done.fit, done.catalog_stars, done.transformation
    if fit is None or stars is None or relation is None or not definition.sparse:
        return ()
    e = done.exposure
    seen = np.isfinite(e.ra + e.dec + done.magnitude)
    if not seen.any():
        return ()
    magnitude, _, _ = relation.apply(definition.key, stars.numbers)
    free = seen & (done.catalog_id < 0)
    told = []
    for k in np.flatnonzero(~np.isin(stars.id, done.catalog_id) & np.isfinite(magnitude)):
        ra, dec = float(stars.ra[k]), float(stars.dec[k])
        if not _inside(e.ra[seen], e.dec[seen], ra, dec):
            continue
        name = stars.names[k] if stars.names else f"{ra:.4f} {dec:+.4f}"
        away = separation(e.ra, e.dec, ra, dec) * 3600
        alike = free & (np.abs(done.magnitude - magnitude[k]) < _ALIKE) & (away < FAR)
        if not alike.any():
            told.append(f"{name} is not there")
            continue
        star = int(np.flatnonzero(alike)[np.argmin(away[alike])])
        told.append(
            f"{name} is not there, and a star of its magnitude is {away[star]:.0f}″ "
            f"{_direction(e.ra[star] - ra, e.dec[star] - dec, dec)} of it: is its place wrong?"
        )
    return tuple(told)


def _inside(ra: Array, dec: Array, ra0: float, dec0: float) -> bool:
    """Whether a place is among the measured stars."""
    scale = np.cos(np.radians(dec0))
    east = eastward(ra, ra0) * scale * 3600
    north = (dec - dec0) * 3600
    return bool(
        east.min() < -_OUTSIDE and east.max() > _OUTSIDE
        and north.min() < -_OUTSIDE and north.max() > _OUTSIDE
    )  # fmt: skip


def _direction(east: float, north: float, dec: float) -> str:
    turn = np.degrees(np.arctan2(east * np.cos(np.radians(dec)), north)) % 360
    names = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
    return names[round(turn / 45) % 8]
