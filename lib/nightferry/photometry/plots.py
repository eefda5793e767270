"""Plots of a calibration, of success and of failure, drawn from its table; and light curves."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nightferry.imaging import drawing
from nightferry.photometry.product import CATALOG, STARS

Array = NDArray[np.float64]
_COLOURS = {"used": "tab:blue", "outlier": "tab:red", "unmatched": "0.6"}
_OTHER = "tab:orange"


def calibration(content: bytes, title: str, form: str = "png") -> bytes:
    """The plot of a calibration's table, as a file of this form."""
    figure, _ = drawn(content, title)
    return _written(figure, form)


def drawn(content: bytes, title: str) -> tuple[Figure, dict[str, Any]]:
    """Residuals by magnitude and colour, the zero point over the field, and which stars were
    matched, rejected and left over; the axes by the name of what is on them. Where nothing was
    fitted, magnitudes as measured are in the place of the first."""
    with fits.open(io.BytesIO(content)) as hdus:
        header, stars, catalog = hdus[0].header, hdus[STARS].data, hdus[CATALOG].data
        pages = {h.name for h in hdus} & {drawing.PICTURE, drawing.GROWTH}
        figure = Figure(figsize=(16, 8.5) if pages else (11, 8.5), layout="constrained")
        rows = [["magnitude", "colour"], ["field", "sky"]]
        if pages:
            rows = [["magnitude", "colour", "frame"], ["field", "sky", "growth"]]
        axes: dict[str, Any] = figure.subplot_mosaic(rows)  # type: ignore[arg-type]
        figure.suptitle("\n".join([title, *_heading(header)]), fontsize=10)
        if np.isfinite(stars["residual"]).any():
            label = f"{header.get('BAND', '')} of the catalogue [mag]"
            _residuals(axes["magnitude"], stars, "catalog_mag", label)
        else:
            _measured(axes["magnitude"], stars)
        _residuals(axes["colour"], stars, "colour", f"{header.get('COLOUR', 'colour')} [mag]")
        _over_field(figure, axes["field"], stars)
        _sky(axes["sky"], stars, catalog)
        if pages:
            drawing.frame(axes["frame"], hdus, _groups(stars))
            drawing.growth(axes["growth"], hdus)
        return figure, axes


def _heading(header: Any) -> list[str]:
    if header["CALSTATE"] == "failed":
        told = f"FAILED: {header.get('REASON', '')}: {header.get('ADVICE', '')}"
        return textwrap.wrap(told, 130)[:3]
    return [
        f"{header['ZP']:.4f} ± {header['ZPERR']:.4f} mag ({header['SYSTEM']}, {header['ZPUNIT']}) "
        f"at {header['COLOUR']} = {header['COLOUR0']:g}, colour term {header['COLTERM']:+.4f} ± "
        f"{header['COLTERR']:.4f}, scatter {header['SCATTER']:.4f}, {header['NUSED']} stars of "
        f"{header['CATALOG']} by {header['TRANSFRM']}"
    ]


def _groups(stars: Any) -> list[tuple[str, NDArray[np.bool_], str]]:
    status = np.asarray(stars["status"]).astype(str)
    names = sorted(set(status), key=lambda s: (s not in _COLOURS, s))
    return [(s, status == s, _COLOURS.get(s, _OTHER)) for s in names]


def _residuals(axes: Any, stars: Any, column: str, label: str) -> None:
    x, y = stars[column], stars["residual"]
    for name, which, colour in _groups(stars):
        shown = which & np.isfinite(x) & np.isfinite(y)
        if shown.any():
            axes.errorbar(
                x[shown], y[shown], stars["mag_inst_error"][shown], fmt="o", ms=3, lw=0.6,
                color=colour, label=f"{name} ({shown.sum()})",
            )  # fmt: skip
    if not np.isfinite(y).any():
        axes.text(0.5, 0.5, "no fit", ha="center", va="center", transform=axes.transAxes)
    else:
        axes.axhline(0, color="0.3", lw=0.8)
        axes.legend(fontsize=7)
    axes.set_xlabel(label)
    axes.set_ylabel("residual [mag]")


def _measured(axes: Any, stars: Any) -> None:
    """Of a failure: the magnitudes as they were measured, and their errors."""
    x, y = stars["mag_inst"], stars["mag_inst_error"]
    for name, which, colour in _groups(stars):
        shown = which & np.isfinite(x)
        if shown.any():
            axes.plot(
                x[shown], np.nan_to_num(y[shown]), ".", ms=5, color=colour,
                label=f"{name} ({shown.sum()})",
            )  # fmt: skip
    if np.isfinite(x).any():
        axes.legend(fontsize=7)
    else:
        axes.text(0.5, 0.5, "no magnitudes", ha="center", va="center", transform=axes.transAxes)
    axes.set_xlabel("magnitude as measured [mag]")
    axes.set_ylabel("its error [mag]")


def _over_field(figure: Figure, axes: Any, stars: Any) -> None:
    pixels = np.isfinite(stars["x"]).any()
    x, y = (stars["x"], stars["y"]) if pixels else (stars["ra"], stars["dec"])
    r = stars["residual"]
    shown = np.isfinite(r) & (np.asarray(stars["status"]).astype(str) == "used")
    if shown.any():
        limit = max(2.5 * float(np.std(r[shown])), 0.01)
        points = axes.scatter(x[shown], y[shown], c=r[shown], s=18, cmap="coolwarm", vmin=-limit,
                              vmax=limit)  # fmt: skip
        figure.colorbar(points, ax=axes, label="residual [mag]")
    else:
        axes.text(0.5, 0.5, "no fit", ha="center", va="center", transform=axes.transAxes)
    axes.set_xlabel("x [pix]" if pixels else "right ascension [deg]")
    axes.set_ylabel("y [pix]" if pixels else "declination [deg]")
    axes.set_title("zero point over the field", fontsize=9)


def _sky(axes: Any, stars: Any, catalog: Any) -> None:
    if len(catalog):
        size = np.clip(4 + 3 * (18 - np.nan_to_num(catalog["mag"], nan=20.0)), 2, 40)
        axes.scatter(
            catalog["ra"], catalog["dec"], s=size, facecolors="none", edgecolors="0.75", lw=0.6,
            label=f"catalogue ({len(catalog)})",
        )  # fmt: skip
    for name, which, colour in _groups(stars):
        axes.plot(
            stars["ra"][which], stars["dec"][which], ".", ms=5, color=colour,
            label=f"{name} ({which.sum()})",
        )  # fmt: skip
    axes.invert_xaxis()
    if len(catalog) or len(stars):
        axes.legend(fontsize=7)
    axes.set_xlabel("right ascension [deg]")
    axes.set_ylabel("declination [deg]")


@dataclass(frozen=True)
class Points:
    """The magnitudes of a target in one band."""

    bjd: Sequence[float]
    magnitude: Sequence[float]
    error: Sequence[float]


def light_curve(points: Mapping[str, Points], title: str, form: str = "png") -> bytes:
    """Magnitudes by time, a colour a band; bright is up."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    begin = np.floor(min((min(p.bjd) for p in points.values()), default=0.0))
    for band, p in sorted(points.items()):
        axes.errorbar(
            np.asarray(p.bjd) - begin, p.magnitude, p.error, fmt="o", ms=3, lw=0.7,
            label=f"{band} ({len(p.bjd)})",
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel(f"BJD (TDB) - {begin:.0f}")
    axes.set_ylabel("magnitude")
    axes.set_title(title, fontsize=10)
    if points:
        axes.legend()
    return _written(figure, form)


def _written(figure: Figure, form: str) -> bytes:
    # The canvas is named here: nothing asks for a display, in whatever thread.
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=100)
    return out.getvalue()
