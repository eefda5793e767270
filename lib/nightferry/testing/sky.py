"""Simulated frames of known truth: stars of a Moffat profile, integrated over each pixel.

The light of a star in a pixel is the profile's integral over it, by Gauss-Legendre points of their
own number by distance: nothing here is shared with what measures frames. Counts are electrons of a
Poisson process, with read noise, gain, saturation, cosmic rays, a bias level and a flat.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

Array = NDArray[np.float64]
SATURATION = 65535


@dataclass(frozen=True)
class Moffat:
    """I(r) = (1 + r²/alpha²)^-beta, elliptical if ``ratio`` of its axes is not 1. In pixels."""

    fwhm: float = 3.6
    beta: float = 3.0
    ratio: float = 1.0
    angle: float = 0.0  # degrees, of the long axis from x

    def radius(self, share: float) -> float:
        """Where all but ``share`` of the light is inside."""
        q2 = share ** (1 / (1 - self.beta)) - 1
        return self._alpha * float(np.sqrt(q2))

    @property
    def _alpha(self) -> float:
        return self.fwhm / (2 * float(np.sqrt(2 ** (1 / self.beta) - 1)))

    def density(self, dx: Array, dy: Array) -> Array:
        """Of one star's light, per square pixel."""
        c, s = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        u, v = c * dx + s * dy, (-s * dx + c * dy) / self.ratio
        a2 = self._alpha**2
        peak = (self.beta - 1) / (np.pi * a2 * self.ratio)
        return np.asarray(peak * (1 + (u * u + v * v) / a2) ** -self.beta)


@dataclass(frozen=True)
class Camera:
    """What a frame is taken with."""

    shape: tuple[int, int] = (1024, 1024)  # rows, columns
    scale: float = 0.5  # arcsec a pixel
    gain: float = 1.6  # e-/ADU
    read_noise: float = 6.0  # e-
    bias: float = 500.0  # ADU
    sky: float = 150.0  # e- a pixel
    flat: bool = False  # it has a pattern; else it is even
    mirrored: bool = False
    rotation: float = 0.0  # degrees
    overscan: int = 0  # columns on the right
    psf: Moffat = field(default_factory=Moffat)


def light(shape: tuple[int, int], x: Array, y: Array, flux: Array, psf: Moffat) -> Array:
    """Electrons of stars at pixels ``x``, ``y`` (the middle of the first pixel is 0)."""
    image = np.zeros(shape)
    near, reach = 6.0 * psf.fwhm, min(psf.radius(3e-5), 110.0)
    for x0, y0, total in zip(x, y, flux, strict=True):
        c0, c1 = max(0, int(x0 - reach)), min(shape[1], int(x0 + reach) + 2)
        r0, r1 = max(0, int(y0 - reach)), min(shape[0], int(y0 + reach) + 2)
        if c0 >= c1 or r0 >= r1:
            continue
        columns, rows = np.arange(c0, c1) - x0, np.arange(r0, r1) - y0
        dx, dy = np.meshgrid(columns, rows)
        patch = psf.density(dx, dy)
        close = np.hypot(dx, dy) < near
        patch[close] = _integrated(dx[close], dy[close], psf)
        image[r0:r1, c0:c1] += total * patch
    return image


def _integrated(dx: Array, dy: Array, psf: Moffat) -> Array:
    """The profile's integral over pixels about these places: 5 x 5 Gauss-Legendre points."""
    points, weights = np.polynomial.legendre.leggauss(5)
    total = np.zeros(len(dx))
    for px, wx in zip(points / 2, weights / 2, strict=True):
        for py, wy in zip(points / 2, weights / 2, strict=True):
            total += wx * wy * psf.density(dx + px, dy + py)
    return total


def response(shape: tuple[int, int]) -> Array:
    """A flat: vignetting, a dark stripe and pixels that differ by a percent."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    r2 = ((x / shape[1] - 0.5) ** 2 + (y / shape[0] - 0.45) ** 2) * 4
    grain = np.random.default_rng(7).normal(1.0, 0.01, shape)
    return np.asarray((1 - 0.25 * r2) * grain * np.where(np.abs(x - shape[1] // 3) < 3, 0.8, 1.0))


def read_out(camera: Camera, electrons: Array, rng: np.random.Generator) -> NDArray[np.uint16]:
    """What the camera writes for so many expected electrons."""
    seen = electrons * response(camera.shape) if camera.flat else electrons
    charge = rng.poisson(np.maximum(seen, 0)).astype(np.float64)
    charge = np.hstack([charge, np.zeros((camera.shape[0], camera.overscan))])
    charge += rng.normal(0, camera.read_noise, charge.shape)
    counts = np.rint(camera.bias + charge / camera.gain)
    return np.clip(counts, 0, SATURATION).astype(np.uint16)


def cosmic_rays(image: NDArray[np.uint16], count: int, rng: np.random.Generator) -> None:
    """Puts short bright tracks into ``image``."""
    for _ in range(count):
        y, x = rng.integers(2, image.shape[0] - 12), rng.integers(2, image.shape[1] - 12)
        steep = rng.uniform(0, 1)
        for step in range(rng.integers(1, 9)):
            at = (y + round(steep * step), x + round((1 - steep) * step))
            image[at] = min(SATURATION, int(image[at]) + int(rng.uniform(800, 6000)))


def wcs_cards(camera: Camera, ra: float, dec: float) -> dict[str, Any]:
    """A TAN WCS of the middle of the frame, in degrees."""
    c, s = np.cos(np.radians(camera.rotation)), np.sin(np.radians(camera.rotation))
    scale = camera.scale / 3600
    flip = 1.0 if camera.mirrored else -1.0
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec,
        "CRPIX1": camera.shape[1] / 2 + 0.5, "CRPIX2": camera.shape[0] / 2 + 0.5,
        "CD1_1": flip * scale * c, "CD1_2": -scale * s,
        "CD2_1": flip * scale * s, "CD2_2": scale * c, "RADESYS": "ICRS",
    }  # fmt: skip


def to_pixels(
    camera: Camera, ra0: float, dec0: float, ra: Array, dec: Array
) -> tuple[Array, Array]:
    """Where stars fall (the middle of the first pixel is 0), by the gnomonic projection."""
    a, d, d0 = np.radians(ra - ra0), np.radians(dec), np.radians(dec0)
    depth = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a)
    east = np.degrees(np.cos(d) * np.sin(a) / depth)
    north = np.degrees((np.sin(d) * np.cos(d0) - np.cos(d) * np.sin(d0) * np.cos(a)) / depth)
    cards = wcs_cards(camera, ra0, dec0)
    cd = np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]])
    x, y = np.linalg.inv(cd) @ np.vstack([east, north])
    return x + cards["CRPIX1"] - 1, y + cards["CRPIX2"] - 1


def fits_file(image: NDArray[Any], cards: Mapping[str, Any]) -> bytes:
    """A frame as a file. A card that is None is left out."""
    hdu = fits.PrimaryHDU(image)
    for keyword, value in cards.items():
        if value is not None:
            hdu.header[keyword] = value
    out = io.BytesIO()
    hdu.writeto(out)
    return out.getvalue()


def cards_of(camera: Camera, **said: Any) -> dict[str, Any]:
    """The header of a frame without a position; ``said`` stands over it, with _ for -."""
    rows, columns = camera.shape
    cards: dict[str, Any] = {
        "INSTRUME": "Simulated imager", "IMAGETYP": "OBJECT", "OBJECT": "field",
        "EXPTIME": 60.0, "DATE-OBS": "2015-07-02T12:00:00", "FILTER": "R", "GAIN": camera.gain,
        "RDNOISE": camera.read_noise, "SATURATE": 65000, "AIRMASS": 1.2, "CCDSUM": "1 1",
        "DATASEC": f"[1:{columns},1:{rows}]",
    }  # fmt: skip
    if camera.overscan:
        cards["BIASSEC"] = f"[{columns + 1}:{columns + camera.overscan},1:{rows}]"
    return cards | {k.replace("_", "-"): v for k, v in said.items()}


def without_pattern(camera: Camera) -> Camera:
    """The same camera with an even response."""
    return replace(camera, flat=False)
