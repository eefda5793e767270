"""One exposure calibrated: which catalogue and transformation, which stars, what came of it.

A failure is a result too: it has its reason, and the stars as far as they were understood.

Over 300 lines: a catalogue, its stars, the fit and what is said of it are one way.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs.base import Catalog, Field, Found, MissingTile, Stars
from nightferry.catalogs.sky import eastward, index, separation
from nightferry.errors import Unavailable
from nightferry.photometry.bands import AUTO, band_of
from nightferry.photometry.guessing import choose
from nightferry.photometry.limits import limiting_magnitude
from nightferry.photometry.matching import Match, match
from nightferry.photometry.measured import Exposure, NotCalibrated
from nightferry.photometry.result import Calibration, Names, Request
from nightferry.photometry.transformations import Transformation
from nightferry.photometry.zeropoint import ZeroPoint, surface, zero_point

Array = NDArray[np.float64]

BLENDED = 0.05  # of a star's light from others: it does not serve
CROWDED = 0.3  # of the matched stars are blended: it is told
PATCHY = 0.05  # mag of scatter beyond the errors, and beyond the transformation's: it is told
_BY_CHANCE = 0.1  # of the shorter list agree: fewer pairs than that are chance
_MARGIN = 0.01  # degrees about the stars: proper motions and offsets
_WIDEST = 10.0  # degrees: more than any camera sees
_RANK = {"positions in hours": 0, "no catalogue tile": 2}  # of several reasons, the first is told
_COVERED = 0.5  # of the stars lie where the catalogue is complete, or it has no tile here


def field_of(exposures: Sequence[Exposure]) -> Field:
    """The cone about all stars of some exposures of one field.

    Raises:
        NotCalibrated: there is none, or they are all over the sky.
    """
    ra = np.concatenate([e.ra for e in exposures])
    dec = np.concatenate([e.dec for e in exposures])
    good = np.isfinite(ra) & np.isfinite(dec)
    if not good.any():
        raise NotCalibrated("no stars", "no row has a position")
    a, d = np.radians(ra[good]), np.radians(dec[good])
    x, y, z = np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)
    # The middle of the box, not of the stars.
    cx, cy, cz = ((v.min() + v.max()) / 2 for v in (x, y, z))
    ra0 = float(np.degrees(np.arctan2(cy, cx)) % 360)
    dec0 = float(np.degrees(np.arctan2(cz, np.hypot(cx, cy))))
    radius = float(separation(ra[good], dec[good], ra0, dec0).max()) + _MARGIN
    if radius > _WIDEST:
        raise NotCalibrated(
            "not one field",
            f"its positions are up to {radius:.0f}° from their middle: are they degrees (ICRS)?",
        )
    return Field(ra0, dec0, radius)


def calibrate(exposure: Exposure, catalogs: Mapping[str, Catalog], request: Request) -> Calibration:
    """Calibrates one exposure. A failure comes back as a result with its reason.

    Raises:
        Unavailable: a remote archive does not answer; later may be better.
    """
    blank = Calibration(exposure, status=first_look(exposure))
    try:
        band = request.band or exposure.filter
        meant = band_of(band) if band else AUTO
        if meant is None or (band and meant == AUTO and band.lower() != AUTO):
            raise NotCalibrated(
                "unknown filter",
                f"filter {band!r} is no band known here: say which with --band, or --band auto",
            )
        if meant == AUTO and not request.band:
            raise NotCalibrated(
                "unknown filter", "the file names no filter: say it with --band, or try --band auto"
            )
        _check_light(blank)
        bands = _bands(request, catalogs) if meant == AUTO else [meant]
        found = [_try_band(blank, b, catalogs, request) for b in bands]
        if meant != AUTO:
            return found[0]
        return choose([f for f in found if f.is_good], found)
    except NotCalibrated as why:
        return blank.failed(why)


def _bands(request: Request, catalogs: Collection[str]) -> list[str]:
    """Every band that can be had from these catalogues."""
    wanted = set(request.catalogs) & set(catalogs)
    return sorted({t.band for t in request.transformations if wanted & set(t.catalogs)})


def first_look(exposure: Exposure) -> Names:
    """Which stars serve as far as they themselves tell: 'unmatched', or why not."""
    status = np.full(len(exposure), "unmatched", object)
    status[~np.isfinite(exposure.magnitude) | ~np.isfinite(exposure.error)] = "no light"
    if exposure.saturated is not None:
        status[exposure.saturated] = "saturated"
    if exposure.doubts is not None:
        status[exposure.doubts != ""] = exposure.doubts[exposure.doubts != ""]
    return status


def _check_light(blank: Calibration) -> None:
    status = blank.status
    if not len(status):
        raise NotCalibrated("no stars", "the exposure has no star")
    if (status == "saturated").all():
        raise NotCalibrated("all saturated", f"all {len(status)} stars are saturated")
    if not (status == "unmatched").any():
        told = ", ".join(f"{count} {name}" for name, count in blank.rejected().items())
        raise NotCalibrated("no usable stars", f"none of {len(status)} stars serves: {told}")


def _try_band(
    blank: Calibration, band: str, catalogs: Mapping[str, Catalog], request: Request
) -> Calibration:
    """By the first catalogue, and there by the transformation of least scatter, that serves."""
    suitable = [
        (name, t)
        for name in request.catalogs
        if name in catalogs
        for t in sorted(request.transformations, key=lambda t: t.scatter)
        if t.band == band and name in t.catalogs
    ]
    if not suitable:
        some = [t for t in request.transformations if t.band == band]
        if not some:
            bands = " ".join(_bands(request, request.catalogs))
            raise NotCalibrated(
                "outside every transformation", f"no transformation gives {band}: there are {bands}"
            )
        wanted = ", ".join(sorted({c for t in some for c in t.catalogs}))
        raise NotCalibrated(
            "wrong catalogue",
            f"{band} is had from {wanted} alone, and none of these was to be used",
        )
    first: Calibration | None = None
    for name, transformation in suitable:
        done = _by(blank, band, name, catalogs[name], transformation, request)
        if done.is_good:
            return done
        if first is None or _RANK.get(done.reason, 1) < _RANK.get(first.reason, 1):
            first = done
    assert first is not None
    return first


def _by(
    blank: Calibration, band: str, name: str, catalog: Catalog,
    transformation: Transformation, request: Request,
) -> Calibration:  # fmt: skip
    at = replace(
        blank, band=band, catalog=name, transformation=transformation, status=blank.status.copy()
    )
    try:
        found = _look_up(at.exposure, catalog)
        at = replace(at, catalog_stars=found.stars)
        pairs = _pair(at, found, catalog, request)
        at = _judge(at, found.stars, pairs, catalog, request)
        return _fit(at, request)
    except NotCalibrated as why:
        if why.reason in ("no match", "no catalogue tile"):
            why = _in_hours(at, catalog, request, why)
        return at.failed(why)


def _in_hours(
    at: Calibration, catalog: Catalog, request: Request, why: NotCalibrated
) -> NotCalibrated:
    """The same failure, or that right ascensions are hours, which no unit said: if times 15 they
    are those of the catalogue's stars."""
    e = at.exposure
    ra = np.where(e.ra < 24, e.ra, np.nan)
    if np.isnan(ra).sum() > np.isnan(e.ra).sum() or not _rounder_in_hours(ra, e.dec):
        return why
    meant = replace(at, exposure=replace(e, ra=15 * e.ra))
    seen = f"its right ascensions are from {np.nanmin(ra):.4f} to {np.nanmax(ra):.4f}: "
    mend = "write positions in degrees (ICRS)"
    try:
        found = _look_up(meant.exposure, catalog)
    except (NotCalibrated, Unavailable):
        return why
    try:
        _pair(meant, found, catalog, request)
    except NotCalibrated:
        hint = f"{why}; {seen}if they are hours, {mend}"
        return why if why.reason == "no match" else NotCalibrated(why.reason, hint)
    told = f"{seen}times 15 they are those of {catalog.definition.key}, so they look like hours: "
    return NotCalibrated("positions in hours", told + mend)


def _rounder_in_hours(ra: Array, dec: Array) -> bool:
    """Is the field nearer to a square if these are hours? One of a camera in degrees is not."""
    known = np.isfinite(ra + dec)
    if not known.any():
        return False
    wide = float(np.ptp(ra[known])) * float(np.cos(np.radians(dec[known].mean())))
    high = float(np.ptp(dec[known]))
    return wide * high > 0 and abs(np.log(15 * wide / high)) < abs(np.log(wide / high))


def _look_up(exposure: Exposure, catalog: Catalog) -> Found:
    field = field_of([exposure])
    try:
        found = catalog.field(field)
    except MissingTile as missing:
        raise NotCalibrated("no catalogue tile", str(missing)) from missing
    known = np.isfinite(exposure.ra + exposure.dec)
    covered = found.coverage.holds(index(exposure.ra[known], exposure.dec[known]))
    if covered.mean() < _COVERED and not catalog.definition.sparse:
        raise NotCalibrated(
            "no catalogue tile",
            f"{catalog.definition.key} is complete for {100 * covered.mean():.0f} % of the stars "
            f"of {field}: load the rest with 'nf catalog load'",
        )
    return Found(found.stars.at(catalog.definition, exposure.year), found.coverage)


def _pair(at: Calibration, found: Found, catalog: Catalog, request: Request) -> Match:
    exposure, definition = at.exposure, catalog.definition
    with_light = np.flatnonzero(at.status != "no light")
    pairs = match(
        exposure.ra[with_light], exposure.dec[with_light], found.stars.ra, found.stars.dec,
        brightness=found.stars.numbers[definition.brightness],
        floor=max(definition.positions, 0.3), blend=request.blend_radius,
        magnitude=exposure.magnitude[with_light],
    )  # fmt: skip
    fewer = min(len(with_light), len(found.stars))
    if pairs is None or len(pairs.measured) < _BY_CHANCE * fewer:
        raise NotCalibrated(
            "no match",
            f"{len(with_light)} measured and {len(found.stars)} stars of {definition.key} do "
            "not agree anywhere within 15″: wrong positions, scale or parity, or trails",
        )
    return Match(
        with_light[pairs.measured], pairs.catalog, pairs.offset, pairs.radius, pairs.others
    )


def _judge(
    at: Calibration, stars: Stars, pairs: Match, catalog: Catalog, request: Request
) -> Calibration:
    """Which of the pairs serve, and why not."""
    assert at.transformation is not None
    assert at.catalog is not None
    n = len(at.exposure)
    magnitude, error, colour = at.transformation.apply(at.catalog, stars.numbers)
    why = np.full(len(stars), "", object)
    base = stars.numbers[at.transformation.magnitude]
    why[np.isnan(magnitude)] = "outside range"
    why[np.isnan(colour)] = "no colour"
    why[np.isnan(base)] = "no magnitude"
    for rule in catalog.definition.rejections:
        why[rule.holds(stars.numbers) & (why == "")] = rule.why
    status = at.status
    reasons = why[pairs.catalog]
    reasons[(pairs.others > BLENDED) & (reasons == "")] = "blended"
    keep = status[pairs.measured] == "unmatched"
    status[pairs.measured[keep]] = np.where(reasons[keep] == "", "used", reasons[keep])
    return replace(
        at,
        status=status,
        catalog_id=_spread(n, pairs, stars.id, -1),
        catalog_magnitude=_spread(n, pairs, magnitude, np.nan),
        catalog_error=_spread(n, pairs, error, np.nan),
        colour=_spread(n, pairs, colour, np.nan),
        matched=len(pairs.measured),
        radius=pairs.radius,
    )


def _spread(n: int, pairs: Match, values: NDArray[Any], empty: object) -> NDArray[Any]:
    """Catalogue values at their measured stars."""
    out = np.full(n, empty, values.dtype)
    out[pairs.measured] = values[pairs.catalog]
    return out


def _fit(at: Calibration, request: Request) -> Calibration:
    exposure, relation = at.exposure, at.transformation
    assert relation is not None
    use = np.flatnonzero(at.status == "used")
    x, y = _field_coordinates(exposure)
    terms = request.colour_terms.get(relation.band, {})
    try:
        fit = zero_point(
            at.catalog_magnitude[use] - exposure.magnitude[use],
            np.hypot(exposure.error[use], at.catalog_error[use]),
            at.colour[use], x=x[use], y=y[use], colour_reference=relation.colour_reference,
            scatter_of_transformation=relation.scatter,
            known_term=terms.get(relation.colour_name), fewest=request.min_stars,
        )  # fmt: skip
    except NotCalibrated as why:
        if rejected := at.rejected():
            told = ", ".join(f"{count} {name}" for name, count in rejected.items())
            raise NotCalibrated(why.reason, f"{why} (not used: {told})") from why
        raise
    fit = replace(
        fit, fit_error=float(np.hypot(fit.fit_error, exposure.common_error)),
        error=float(np.hypot(fit.error, exposure.common_error)),
        at_colour_0_error=float(np.hypot(fit.at_colour_0_error, exposure.common_error)),
    )  # fmt: skip
    status = at.status.copy()
    status[use[fit.good <= 0.5]] = "outlier"
    relative = np.nan_to_num(at.colour - relation.colour_reference)
    over_field = surface(fit.field, x, y, len(exposure))
    magnitude = exposure.magnitude + fit.value + fit.colour_term * relative + over_field
    residual = np.full(len(exposure), np.nan)
    residual[use] = fit.residuals
    flags = [*exposure.notes, *fit.flags, *_doubts(at, fit)]
    return replace(
        at, fit=fit, status=status, residual=residual, magnitude=magnitude, flags=tuple(flags),
        zero_point_error=np.hypot(fit.error, fit.colour_term_error * relative),
        limiting=limiting_magnitude(magnitude, exposure.error),
    )  # fmt: skip


def _doubts(at: Calibration, fit: ZeroPoint) -> Iterator[str]:
    """What a person should look at, though there is a zero point."""
    assert at.transformation is not None
    if fit.order:
        yield f"zero point varies over the field (order {fit.order})"
    if fit.scatter > max(PATCHY, at.transformation.scatter):
        yield f"stars scatter by {fit.scatter:.3f} mag: clouds, or a bad flat"
    blended = int((at.status == "blended").sum())
    if blended > CROWDED * at.matched:
        yield f"crowded: {blended} of {at.matched} matched stars are blended"


def _field_coordinates(exposure: Exposure) -> tuple[Array, Array]:
    """Places in the field, from -1 to 1: pixels where they are known, else the sky."""
    x = exposure.x if exposure.x is not None else exposure.ra
    y = exposure.y if exposure.y is not None else exposure.dec
    if exposure.x is None:
        x = eastward(x, x[np.isfinite(x)][0])
    return _to_one(x), _to_one(y)


def _to_one(values: Array) -> Array:
    low, high = np.nanmin(values), np.nanmax(values)
    return np.nan_to_num(2 * (values - low) / max(high - low, 1e-12) - 1)
