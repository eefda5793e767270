"""What a header says of where its pixels are: its WCS as places of ICRS, and its pixel scale."""

import warnings
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import NDArray

from nightferry.photometry.matching import plane

Array = NDArray[np.float64]


def header_wcs(header: Any) -> tuple[WCS | None, str]:
    """The WCS of a header, or why there is none."""
    if "CTYPE1" not in header:
        return None, "its header has no WCS"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(header, naxis=2)
            if not wcs.has_celestial:
                return None, "the WCS of its header is none of the sky"
            scale = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600
            if not 1e-3 < scale < 600:
                return None, f"the WCS of its header has pixels of {scale:g} arcsec"
            return wcs, ""
    except Exception as error:  # noqa: BLE001 - wcslib has many ways to refuse a header
        return None, f"the WCS of its header can't be used: {str(error).splitlines()[0]}"


def to_sky(wcs: WCS, x: Array, y: Array) -> tuple[Array, Array]:
    """Degrees (ICRS) of pixels from 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ra, dec = wcs.all_pix2world(x, y, 0)
        if wcs.wcs.lng == 1:
            ra, dec = dec, ra
        frame = wcs_to_celestial_frame(wcs)
        if frame.name not in ("icrs", "fk5") or _equinox(frame) != 2000.0:
            sky = SkyCoord(ra, dec, unit="deg", frame=frame).icrs
            ra, dec = sky.ra.deg, sky.dec.deg
    return np.mod(np.asarray(ra, float), 360.0), np.asarray(dec, float)


def _equinox(frame: Any) -> float:
    equinox = getattr(frame, "equinox", None)
    return 2000.0 if equinox is None else round(float(equinox.jyear), 3)


def axes_of(wcs: WCS, shape: tuple[int, int], ra0: float, dec0: float) -> tuple[float, float, bool]:
    """Scale, rotation and parity in the middle of the frame."""
    x, y = shape[1] / 2, shape[0] / 2
    ra, dec = to_sky(wcs, np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    east, north = plane(ra, dec, ra0, dec0)
    return of_matrix(
        np.array(
            [[east[1] - east[0], east[2] - east[0]], [north[1] - north[0], north[2] - north[0]]]
        )
    )


def of_matrix(m: Array) -> tuple[float, float, bool]:
    determinant = float(np.linalg.det(m))
    rotation = float(np.degrees(np.arctan2(-m[0, 1], m[1, 1])))
    return float(np.sqrt(abs(determinant))), rotation, determinant > 0


def unproject(east: Array, north: Array, ra0: float, dec0: float) -> tuple[Array, Array]:
    """Degrees of a place in the plane (arcsec about a centre, gnomonic)."""
    u, v = np.radians(east / 3600), np.radians(north / 3600)
    d0 = np.radians(dec0)
    depth = np.cos(d0) - v * np.sin(d0)
    ra = ra0 + np.degrees(np.arctan2(u, depth))
    dec = np.degrees(np.arctan2(v * np.cos(d0) + np.sin(d0), np.hypot(u, depth)))
    return np.mod(ra, 360.0), np.asarray(dec)


def scale_of(header: Any) -> float | None:
    """Arcsec a pixel from what cameras write without a WCS."""
    for keyword in ("PIXSCALE", "SECPIX", "SECPIX1", "SCALE", "PLTSCALE"):
        value = header.get(keyword)
        if isinstance(value, int | float) and 0.01 < value < 600:
            return float(value)
    focal, pixel = header.get("FOCALLEN"), header.get("XPIXSZ")
    if isinstance(focal, int | float) and isinstance(pixel, int | float) and focal > 0 < pixel:
        return float(206.265 * pixel / focal)  # mm, micrometres: XPIXSZ is of binned pixels
    return None
