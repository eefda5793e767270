"""The calibrated table: FITS with units, one row a measured star, and all that was fitted in its
header. Plots are drawn from it, at once or years later."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from nightferry.photometry.measured import Exposure
from nightferry.photometry.result import Calibration

STARS, CATALOG = "STARS", "CATALOG"
_MOST = 3000  # catalogue stars that are kept for the plots: the brightest


def to_fits(done: Calibration, more: Sequence[Any] = ()) -> bytes:
    """The stars of a calibration, and those of the catalogue in its field. Of a failure, as far as
    it went. ``more``: further HDUs."""
    primary = fits.PrimaryHDU()
    for keyword, value, comment in _cards(done):
        if value is not None and value == value:
            primary.header[keyword] = (_ascii(value), comment)
    primary.header["LONGSTRN"] = ("OGIP 1.0", "long texts go on in CONTINUE")
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a text that goes on in CONTINUE cards is as it should be
        fits.HDUList([primary, _stars(done), _catalog(done), *more]).writeto(out)
    return out.getvalue()


def _ascii(value: Any) -> Any:
    """Texts as FITS headers take them."""
    if not isinstance(value, str):
        return value
    plain = value.replace("″", " arcsec").replace("′", " arcmin").replace("°", " deg")
    ascii_text = plain.encode("ascii", "replace").decode()
    return "".join(c if c.isprintable() else " " for c in ascii_text)


def _cards(done: Calibration) -> list[tuple[str, Any, str]]:
    e, fit, relation = done.exposure, done.fit, done.transformation
    cards: list[tuple[str, Any, str]] = [
        ("CALSTATE", "good" if done.is_good else "failed", ""),
        ("REASON", done.reason or None, "of the failure"),
        ("ADVICE", done.advice or None, ""),
        ("DATE-AVG", _time(e), "UTC"),
        ("TIMESYS", "UTC", ""),
        ("EXPTIME", e.seconds, "[s]"),
        ("AIRMASS", e.airmass, ""),
        ("FILTER", e.filter, "as the file has it"),
        ("BAND", done.band, "as calibrated"),
        ("APERTURE", e.aperture or None, ""),
        ("CATALOG", done.catalog, ""),
        ("MATCHRAD", done.radius, "[arcsec] radius of the match"),
        ("NMATCHED", done.matched, ""),
        ("LIMITMAG", done.limiting, "[mag] 5 sigma"),
        ("FLAGS", "; ".join(done.flags) or None, ""),
    ]
    if relation is not None:
        cards += [
            ("SYSTEM", relation.system, ""),
            ("TRANSFRM", relation.name, ""),
            ("REFERENC", relation.reference, ""),
            ("COLOUR", relation.colour_name, ""),
        ]
    if fit is not None:
        cards += [
            ("ZPUNIT", e.unit, "the zero point is the magnitude of one"),
            ("ZP", fit.value, "[mag] of a star of colour COLOUR0"),
            ("ZPERR", fit.error, "[mag] with the transformation's scatter"),
            ("ZPFITERR", fit.fit_error, "[mag] of the fit alone"),
            ("COLOUR0", fit.colour_reference, "[mag]"),
            ("COLTERM", fit.colour_term, ""),
            ("COLTERR", fit.colour_term_error, ""),
            ("ZP0", fit.at_colour_0, "[mag] of a star of colour 0"),
            ("ZP0ERR", fit.at_colour_0_error, "[mag]"),
            ("SCATTER", fit.scatter, "[mag] of good stars beyond their errors"),
            ("NUSED", fit.used, ""),
        ]
    return cards


def _time(e: Exposure) -> str | None:
    """Of its middle; of a failure it may not be known."""
    if e.known_middle is None:
        return None
    return e.middle.replace(tzinfo=None).isoformat("T", "milliseconds")


def _stars(done: Calibration) -> Any:
    e, n = done.exposure, len(done.exposure)

    def full(values: Any) -> Any:
        return values if values is not None and len(values) == n else np.full(n, np.nan)

    table = Table()
    named = e.stars if len(e.stars) == n else [str(i) for i in range(n)]
    table["star"] = np.array([_ascii(s) for s in named], "U")
    for name, values, unit in (
        ("ra", e.ra, "deg"), ("dec", e.dec, "deg"),
        ("x", full(e.x), "pix"), ("y", full(e.y), "pix"),
        ("mag_inst", e.magnitude, "mag"), ("mag_inst_error", e.error, "mag"),
        ("mag", full(done.magnitude), "mag"), ("mag_error", e.error, "mag"),
        ("mag_zero_point_error", full(done.zero_point_error), "mag"),
        ("catalog_mag", full(done.catalog_magnitude), "mag"),
        ("catalog_mag_error", full(done.catalog_error), "mag"),
        ("colour", full(done.colour), "mag"), ("residual", full(done.residual), "mag"),
    ):  # fmt: skip
        table[name] = np.asarray(values, np.float64)
        table[name].unit = unit
    for name, values in e.shapes.items():
        table[name] = np.asarray(full(values), np.float64)
    ids = done.catalog_id
    table["catalog_id"] = ids if len(ids) == n else np.full(n, -1, np.int64)
    table["status"] = np.array([str(s) for s in done.status], "U")
    return fits.BinTableHDU(table, name=STARS)


def _catalog(done: Calibration) -> Any:
    table = Table()
    stars, relation = done.catalog_stars, done.transformation
    if stars is None or relation is None:
        table["ra"], table["dec"], table["mag"] = np.zeros(0), np.zeros(0), np.zeros(0)
    else:
        magnitude = stars.numbers[relation.magnitude]
        which = np.argsort(np.nan_to_num(magnitude, nan=99.0))[:_MOST]
        table["ra"], table["dec"] = stars.ra[which], stars.dec[which]
        table["mag"] = magnitude[which]
    for name, unit in (("ra", "deg"), ("dec", "deg"), ("mag", "mag")):
        table[name].unit = unit
    return fits.BinTableHDU(table, name=CATALOG)
