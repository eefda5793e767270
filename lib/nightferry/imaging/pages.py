"""What an image adds to the table of its calibration: a picture, and the curve of growth."""

import json
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from nightferry.imaging.drawing import GROWTH, PICTURE
from nightferry.imaging.observation import Observed


def hdus(observed: Observed) -> list[Any]:
    """HDUs that plots are drawn from."""
    found = []
    if observed.picture is not None:
        page = fits.ImageHDU(observed.picture.gray, name=PICTURE)
        page.header["STEP"] = (observed.picture.step, "pixels of the frame that make one")
        page.header["ORIGINX"] = (observed.picture.origin[0], "its corner in the frame, from 0")
        page.header["ORIGINY"] = (observed.picture.origin[1], "")
        page.header["SHOWN"] = (observed.detail.get("shown", "the frame"), "")
        for name, value in observed.detail.items():
            page.header["HISTORY"] = f"{name}: {json.dumps(value)}"
        found.append(page)
    curve = observed.growth
    if curve is not None:
        table = Table({"radius": curve.radii, "share": curve.share, "error": curve.share_error})
        table["radius"].unit = "pix"
        page = fits.BinTableHDU(table, name=GROWTH)
        for keyword, value, comment in (
            ("ALPHA", curve.alpha, "[pix] of the Moffat profile"),
            ("BETA", curve.beta, "its power"),
            ("FWHM", curve.fwhm, "[pix]"),
            ("APERTURE", curve.aperture, "[pix] radius in which stars are measured"),
            ("CORRECT", curve.correction, "of their light there to the total"),
            ("CORRERR", curve.error, "relative"),
            ("NSTARS", curve.stars, "that tell it"),
        ):
            page.header[keyword] = (value if np.isfinite(value) else None, comment)
        found.append(page)
    return found
