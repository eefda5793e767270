"""Where on the sky a frame's stars are: the header's WCS checked and mended, or found anew.

A WCS of a header (TAN, SIP, TPV) is held against the catalogue. Where stars agree but for an
offset it is mended: by a shift where few stars are known, by a linear fit where many are. If they
do not, or there is no WCS, patterns of four stars are looked for about the rough position. A frame
that turns out mirrored or of another pixel scale than its header says is named so, and refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs import Definition, Field
from nightferry.catalogs.base import Stars as CatalogStars
from nightferry.catalogs.sky import separation
from nightferry.imaging import quads
from nightferry.imaging.wcs import axes_of, header_wcs, of_matrix, scale_of, to_sky, unproject
from nightferry.photometry import standards
from nightferry.photometry.matching import POOR, match, plane
from nightferry.photometry.measured import NotCalibrated

Array = NDArray[np.float64]
LookUp = Callable[[Field], tuple[CatalogStars, Definition] | None]  # None: no tile there

SEARCH = 60.0  # arcsec by which a header's WCS may be off
TOLERANCE = 12.0  # arcsec, of such a catalogue's stars
_LINEAR = 12  # stars for a linear fit
_BRIGHTEST = 400  # stars that are compared
_AGREE = 0.2  # of the shorter list of bright stars, or the WCS is not the frame's
_SAME_SCALE = 0.02  # relative: more is another pixel scale
_HINT = 2.0  # a scale that is only said may be off by such a factor
_WRONG = 5.0  # and one of a header by this
_ROUGH = 0.15  # degrees by which a pointing may be off
_QUAD = 2.5  # pixels: stars of a pattern are upon each other


@dataclass(frozen=True)
class Placed:
    """The stars' positions, and how sure they are."""

    ra: Array  # degrees, ICRS
    dec: Array
    how: str  # unchecked, shift, linear or solved
    stars: int  # that tell it
    offset: tuple[float, float]  # arcsec east and north, by which the header was off
    rms: float | None  # arcsec, of the stars that tell it
    scale: float  # arcsec a pixel
    rotation: float  # degrees: north from the y axis towards x
    mirrored: bool
    catalog: str = ""
    notes: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """For the record."""
        return {
            "how": self.how, "stars": self.stars, "catalog": self.catalog,
            "offset": [round(o, 2) for o in self.offset], "scale": round(self.scale, 5),
            "rotation": round(self.rotation, 3), "mirrored": self.mirrored,
            "rms": None if self.rms is None else round(self.rms, 3),
        }  # fmt: skip


@dataclass(frozen=True)
class Sight:
    """What a frame brings along for finding its place. Positions are of the whole image, from 0."""

    x: Array  # brightest first
    y: Array
    magnitude: Array
    usable: NDArray[np.bool_]
    shape: tuple[int, int]
    header: Any
    rough: tuple[float, float] | None  # degrees
    scale: float | None  # arcsec a pixel, as the instrument's file says


def place(sight: Sight, look_up: LookUp) -> Placed:
    """The positions of all stars.

    Raises:
        NotCalibrated: there is no position, or another than the header says.
    """
    wcs, why = header_wcs(sight.header)
    if wcs is None:
        return _solve_blind(sight, look_up, why)
    ra, dec = to_sky(wcs, sight.x, sight.y)
    corners = np.array([[0, 0, 1, 1], [0, 1, 0, 1]]) * np.array(
        [[sight.shape[1]], [sight.shape[0]]]
    )
    middle = to_sky(wcs, np.array([sight.shape[1] / 2]), np.array([sight.shape[0] / 2]))
    edge = to_sky(wcs, corners[0].astype(float), corners[1].astype(float))
    ra0, dec0 = float(middle[0][0]), float(middle[1][0])
    radius = float(np.nanmax(separation(*edge, ra0, dec0)))
    if not np.isfinite(ra0 + dec0 + radius) or radius > 15:
        raise NotCalibrated("wrong WCS", "the WCS of its header puts it nowhere on the sky")
    axes = axes_of(wcs, sight.shape, ra0, dec0)
    header = Placed(ra, dec, "unchecked", 0, (0.0, 0.0), None, *axes)
    found = look_up(Field(ra0, dec0, radius + SEARCH / 3600))
    if found is None:
        return header
    stars, definition = found
    if definition.positions > POOR or definition.sparse:
        return _shifted(sight, header, stars, definition, (ra0, dec0))
    return _mended(sight, header, stars, definition, (ra0, dec0))


def _bright(stars: CatalogStars, definition: Definition, most: int) -> CatalogStars:
    light = np.nan_to_num(stars.numbers[definition.brightness], nan=99.0)
    return stars.pick(np.argsort(light, kind="stable")[:most])


def _shifted(
    sight: Sight, header: Placed, stars: CatalogStars, definition: Definition,
    at: tuple[float, float],
) -> Placed:  # fmt: skip
    """Mended by a shift from few standards."""
    x, y = plane(header.ra, header.dec, *at)
    u, v = plane(stars.ra, stars.dec, *at)
    pairs = standards.find(
        x, y, sight.magnitude, u, v, stars.numbers[definition.brightness],
        search=SEARCH, tolerance=min(TOLERANCE, max(definition.positions, POOR)),
    )  # fmt: skip
    if pairs is None:
        return _with(header, notes=(f"WCS not checked: no two stars of {definition.key} agree",))
    dx, dy = pairs.offset
    ra, dec = unproject(x + dx, y + dy, *at)
    away = np.hypot(
        u[pairs.catalog] - x[pairs.measured] - dx, v[pairs.catalog] - y[pairs.measured] - dy
    )
    return _with(
        header, ra=ra, dec=dec, how="shift", stars=len(away), offset=(dx, dy),
        rms=float(np.sqrt(np.mean(away**2))), catalog=definition.key,
    )  # fmt: skip


def _with(placed: Placed, **changed: Any) -> Placed:
    return Placed(**{**placed.__dict__, **changed})


def _mended(
    sight: Sight, header: Placed, stars: CatalogStars, definition: Definition,
    at: tuple[float, float],
) -> Placed:  # fmt: skip
    which = np.flatnonzero(sight.usable)[:_BRIGHTEST]
    some = _bright(stars, definition, _BRIGHTEST)
    pairs = match(header.ra[which], header.dec[which], some.ra, some.dec, generous=SEARCH)
    if pairs is not None and len(pairs.measured) >= max(3, _AGREE * min(len(which), len(some))):
        x, y = plane(header.ra, header.dec, *at)
        u, v = plane(some.ra, some.dec, *at)
        return _refined(
            header, x, y, which[pairs.measured], u[pairs.catalog], v[pairs.catalog],
            definition, at, pairs.offset,
        )  # fmt: skip
    found = _by_pattern(
        sight, which, stars, definition, at, (header.scale / _WRONG, header.scale * _WRONG)
    )
    if found is None:
        why = f"WCS not confirmed: its stars and those of {definition.key} do not agree"
        return _with(header, notes=(why,))
    if found.mirrored != header.mirrored:
        raise NotCalibrated(
            "mirrored",
            "the frame is mirrored against the WCS of its header: turn the sign of one of its axes "
            "('nf headers correct', CD1_1 and CD2_1)",
        )
    if abs(found.scale / header.scale - 1) > _SAME_SCALE:
        raise NotCalibrated(
            "wrong pixel scale",
            f"its header says {header.scale:.4f} arcsec a pixel, its stars say {found.scale:.4f}: "
            "correct its WCS ('nf headers correct')",
        )
    turned = (found.rotation - header.rotation + 180) % 360 - 180
    away = float(np.median(separation_of(found, header)))
    return _with(
        found, notes=(f"the WCS of its header was off by {away:.0f}″, and turned by {turned:.2f}°",)
    )


def separation_of(one: Placed, other: Placed) -> Array:
    """Arcsec between the positions of the same stars."""
    d = np.radians(one.dec)
    east = (one.ra - other.ra + 180) % 360 - 180
    return np.asarray(np.hypot(east * np.cos(d), one.dec - other.dec) * 3600)


def _refined(
    base: Placed, x: Array, y: Array, i: NDArray[np.int64], u: Array, v: Array,
    definition: Definition, at: tuple[float, float], offset: tuple[float, float],
) -> Placed:  # fmt: skip
    """Positions ``x``, ``y`` in the plane, mended by the stars ``i`` that are at ``u``, ``v``."""
    linear = len(i) >= _LINEAR
    design = np.column_stack([np.ones(len(x)), x, y])
    east, north = u - x[i], v - y[i]
    good = np.ones(len(i), bool)
    move = np.zeros((2, 3))
    rms = 0.0
    for _ in range(4):
        for row, values in enumerate((east, north)):
            if linear:
                move[row] = np.linalg.lstsq(design[i][good], values[good], rcond=None)[0]
            else:
                move[row] = [np.median(values[good]), 0.0, 0.0]
        left = np.hypot(east - design[i] @ move[0], north - design[i] @ move[1])
        rms = float(np.sqrt(np.mean(left[good] ** 2)))
        kept = left <= max(2.5 * 1.2 * float(np.median(left)), 0.02)
        if kept.sum() < 3 or (kept == good).all():
            break
        good = kept
    new_x, new_y = x + design @ move[0], y + design @ move[1]
    ra, dec = unproject(new_x, new_y, *at)
    jacobian = np.eye(2) + move[:, 1:]
    scale, turn, _ = of_matrix(jacobian)
    return _with(
        base, ra=ra, dec=dec, how="linear" if linear else "shift", stars=int(good.sum()),
        offset=(round(offset[0], 3), round(offset[1], 3)), rms=rms, catalog=definition.key,
        scale=base.scale * scale, rotation=base.rotation + turn,
    )  # fmt: skip


def _by_pattern(
    sight: Sight, which: NDArray[np.int64], stars: CatalogStars, definition: Definition,
    at: tuple[float, float], scales: tuple[float, float],
) -> Placed | None:  # fmt: skip
    """The place found by quads alone, and refined."""
    some = _bright(stars, definition, _BRIGHTEST)
    east, north = plane(some.ra, some.dec, *at)
    x0, y0 = sight.shape[1] / 2, sight.shape[0] / 2
    x, y = sight.x - x0, sight.y - y0
    middle = float(np.sqrt(scales[0] * scales[1]))
    # East is to the left as the sky is seen: with -east a usual frame is not mirrored.
    found = quads.solve(x[which], y[which], -east, north, _QUAD * middle, scales)
    if found is None:
        return None
    left, up = found.apply(x, y)
    m = np.column_stack([_column(found, 1.0, 0.0), _column(found, 0.0, 1.0)])
    scale, rotation, mirrored = of_matrix(m)
    ra, dec = unproject(-left, up, *at)
    base = Placed(ra, dec, "solved", found.agree, (0.0, 0.0), None, scale, rotation, mirrored)
    pairs = match(ra[which], dec[which], some.ra, some.dec, generous=max(4 * scale, 3.0))
    if pairs is None:
        return _with(base, catalog=definition.key)
    mended = _refined(
        base, -left, up, which[pairs.measured], east[pairs.catalog], north[pairs.catalog],
        definition, at, (0.0, 0.0),
    )  # fmt: skip
    return _with(mended, how="solved")


def _column(found: quads.Similarity, x: float, y: float) -> Array:
    """What a step in pixels is on the sky (east, north)."""
    zero, one = found.apply(np.zeros(1), np.zeros(1)), found.apply(np.array([x]), np.array([y]))
    return np.array([-(one[0][0] - zero[0][0]), one[1][0] - zero[1][0]])


def _solve_blind(sight: Sight, look_up: LookUp, why: str) -> Placed:
    """Without a WCS: from the rough position and scale."""
    if sight.rough is None:
        raise NotCalibrated(
            "no position", f"{why}, and no RA and DEC: correct its header ('nf headers correct')"
        )
    scale = sight.scale or scale_of(sight.header)
    if scale is None:
        raise NotCalibrated(
            "no pixel scale",
            f"{why}, and nothing says its pixel scale: say it in the instrument's file (imaging: "
            "scale)",
        )
    radius = float(np.hypot(*sight.shape)) / 2 * scale / 3600 + _ROUGH
    found = look_up(Field(*sight.rough, min(radius, 10.0)))
    if found is None:
        raise NotCalibrated(
            "no catalogue tile",
            f"{why}, and there is no catalogue about {sight.rough[0]:.4f} {sight.rough[1]:+.4f} to "
            "find it with: nf catalog load FILE",
        )
    stars, definition = found
    which = np.flatnonzero(sight.usable)[:_BRIGHTEST]
    if definition.positions > POOR or definition.sparse:
        raise NotCalibrated(
            "not solved", f"{why}, and {definition.key} knows too few stars there to find it with"
        )
    placed = _by_pattern(
        sight, which, stars, definition, sight.rough, (scale / _HINT, scale * _HINT)
    )
    if placed is None:
        raise NotCalibrated(
            "not solved",
            f"{why}, and no pattern of its {len(which)} stars is among the {len(stars)} of "
            f"{definition.key} about {sight.rough[0]:.4f} {sight.rough[1]:+.4f}: is that where it "
            "looks, and are these stars?",
        )
    notes = [f"{why}: solved from {placed.stars} stars"]
    if abs(placed.scale / scale - 1) > _SAME_SCALE:
        notes.append(f"the pixel scale is {placed.scale:.4f}″, and not {scale:.4f}″")
    if placed.mirrored:
        notes.append("the frame is mirrored")
    return _with(placed, notes=tuple(notes))
