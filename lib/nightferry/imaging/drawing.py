"""What plots of an image's calibration show beside those of a table: the frame with its stars, and
the curve of growth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PICTURE, GROWTH = "PICTURE", "GROWTH"  # HDUs of the table
_MOST = 400  # stars that are marked

Group = tuple[str, NDArray[np.bool_], str]  # status, which stars, colour


def frame(axes: Any, hdus: Any, groups: Sequence[Group]) -> None:
    """The frame in gray, its stars marked by what became of them."""
    names = {h.name for h in hdus}
    if PICTURE not in names:
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", transform=axes.transAxes)
        return
    page = hdus[PICTURE]
    step, x0, y0 = (page.header[k] for k in ("STEP", "ORIGINX", "ORIGINY"))
    rows, columns = page.data.shape
    axes.imshow(
        page.data, cmap="gray_r", origin="lower", interpolation="nearest", vmin=0, vmax=255,
        extent=(x0 + 0.5, x0 + 0.5 + columns * step, y0 + 0.5, y0 + 0.5 + rows * step),
    )  # fmt: skip
    stars = hdus["STARS"].data
    for name, which, colour in groups:
        shown = np.flatnonzero(which & np.isfinite(stars["x"]))[:_MOST]
        if len(shown):
            axes.scatter(
                stars["x"][shown], stars["y"][shown], s=26, facecolors="none", edgecolors=colour,
                lw=0.8, label=f"{name} ({which.sum()})",
            )  # fmt: skip
    axes.set_xlabel("x [pix]")
    axes.set_ylabel("y [pix]")
    axes.set_title(page.header.get("SHOWN", "the frame"), fontsize=9)


def growth(axes: Any, hdus: Any) -> None:
    """The share of a star's light by the radius of the aperture."""
    names = {h.name for h in hdus}
    axes.set_title("curve of growth", fontsize=9)
    axes.set_xlabel("radius of the aperture [pix]")
    axes.set_ylabel("share of the light")
    if GROWTH not in names:
        axes.text(
            0.5, 0.5, "no curve of growth", ha="center", va="center", transform=axes.transAxes
        )
        return
    page = hdus[GROWTH]
    h, data = page.header, page.data
    r = np.linspace(0, float(data["radius"].max()) * 1.1, 200)
    model = 1 - (1 + (r / h["ALPHA"]) ** 2) ** (1 - h["BETA"])
    axes.plot(r, model, "-", color="0.6", label=f"Moffat, beta {h['BETA']:.2f}")
    axes.errorbar(data["radius"], data["share"], data["error"], fmt="o", ms=4, lw=0.8,
                  color="tab:blue", label=f"{h['NSTARS']} stars")  # fmt: skip
    axes.axvline(h["APERTURE"], color="tab:orange", lw=0.8,
                 label=f"aperture, to total x {h['CORRECT']:.4f} ± {h['CORRERR']:.4f}")  # fmt: skip
    axes.axvline(h["FWHM"], color="tab:green", lw=0.8, ls=":", label=f"FWHM {h['FWHM']:.2f}")
    axes.legend(fontsize=7, loc="lower right")
