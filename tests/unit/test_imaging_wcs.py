"""Places by a header with TPV distortions, as DECam's are, worked out here by the convention."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from nightferry.imaging.wcs import header_wcs, to_sky, unproject
from nightferry.testing import sky
from nightferry.testing.sky import Camera
from numpy.typing import NDArray

Array = NDArray[np.float64]
FRAME = (
    "photometry/decam_gaia/testcase8/images/decam/CP/V4.8.2a/CP20171112/"
    "c4d_171113_060340_ooi_r_ls9.N6.fits"
)
POWERS = {  # PVi_k -> powers of the axis itself, of the other, and of the radius
    0: (0, 0, 0), 1: (1, 0, 0), 2: (0, 1, 0), 3: (0, 0, 1), 4: (2, 0, 0), 5: (1, 1, 0),
    6: (0, 2, 0), 7: (3, 0, 0), 8: (2, 1, 0), 9: (1, 2, 0), 10: (0, 3, 0), 11: (0, 0, 3),
}  # fmt: skip


def distorted(header: Any, axis: int, own: Array, other: Array) -> Array:
    r = np.hypot(own, other)
    terms = (
        header.get(f"PV{axis}_{k}", 1.0 if k == 1 else 0.0) * own**i * other**j * r**n
        for k, (i, j, n) in POWERS.items()
    )
    return np.asarray(sum(terms))


def by_hand(header: Any, x: Array, y: Array, distortions: bool = True) -> tuple[Array, Array]:
    """Degrees of pixels from 0: Calabretta and others' TPV, and the gnomonic projection."""
    u, v = x + 1 - header["CRPIX1"], y + 1 - header["CRPIX2"]
    xi = header["CD1_1"] * u + header["CD1_2"] * v
    eta = header["CD2_1"] * u + header["CD2_2"] * v
    if distortions:
        xi, eta = distorted(header, 1, xi, eta), distorted(header, 2, eta, xi)
    return unproject(xi * 3600, eta * 3600, header["CRVAL1"], header["CRVAL2"])


def off(one: tuple[Array, Array], other: tuple[Array, Array]) -> Array:
    """Arcsec between places."""
    east = (one[0] - other[0]) * np.cos(np.radians(one[1]))
    return np.hypot(east, one[1] - other[1]) * 3600


def everywhere(shape: tuple[int, int]) -> tuple[Array, Array]:
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 7), np.linspace(0, shape[0] - 1, 7))
    return x.ravel(), y.ravel()


def test_a_frame_of_decam_lies_where_its_tpv_header_says(night_data: Path) -> None:
    with fits.open(night_data / FRAME) as hdus:
        header, shape = hdus[1].header, hdus[1].shape
    assert header["CTYPE1"] == "RA---TPV"
    wcs, why = header_wcs(header)
    assert wcs is not None, why
    x, y = everywhere(shape)
    found = to_sky(wcs, x, y)
    assert off(found, by_hand(header, x, y)).max() < 1e-3
    assert off(found, WCS(header).all_pix2world(x, y, 0)).max() < 1e-3
    assert off(found, by_hand(header, x, y, distortions=False)).max() > 4


@pytest.mark.parametrize("terms", [range(0, 4), range(0, 7), range(0, 12)])
def test_every_tpv_term_to_the_third_order_counts(terms: range) -> None:
    camera = Camera(shape=(2000, 2400), scale=1.8)
    rng = np.random.default_rng(3)
    cards = sky.wcs_cards(camera, 150.0, -35.0) | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    for axis in (1, 2):
        for k in terms:
            usual = 1.0 if k == 1 else 0.0
            cards[f"PV{axis}_{k}"] = usual + rng.uniform(-1, 1) * 10.0 ** (-3 if k else -4)
    header = fits.Header(list(cards.items()))
    wcs, why = header_wcs(header)
    assert wcs is not None, why
    x, y = everywhere(camera.shape)
    found = to_sky(wcs, x, y)
    assert off(found, by_hand(header, x, y)).max() < 1e-3
    for axis in (1, 2):
        for k in terms:
            without = header.copy()
            without[f"PV{axis}_{k}"] = 1.0 if k == 1 else 0.0
            assert off(found, by_hand(without, x, y)).max() > 0.005, f"PV{axis}_{k}"
