"""Stars of simulated frames: their light, their places, and what is known against them."""

import numpy as np
import pytest
from nightferry.imaging import cosmics, reduction, stars
from nightferry.imaging.files import Section
from nightferry.imaging.frame import BAD, SATURATED, Detector, Frame
from nightferry.imaging.stars import Seen
from nightferry.photometry.neighbours import pairs_within
from nightferry.testing import sky
from nightferry.testing.sky import Camera, Moffat
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIDE = 600


def frame_of(image: NDArray[np.uint16], camera: Camera) -> Frame:
    rows, columns = camera.shape
    at = Detector(Section(0, columns, 0, rows), None, camera.gain, camera.read_noise, 65000.0)
    mask = np.where(image >= 65000, SATURATED, 0).astype(np.uint8)
    pixels = image.astype(np.float32) - np.float32(camera.bias)
    made = Frame(pixels, np.zeros(camera.shape, np.float32), mask, at)
    return reduction.reduce(made, reduction.NONE, 60.0)


def grid(rng: np.random.Generator, apart: int = 60) -> tuple[Array, Array]:
    x, y = np.meshgrid(np.arange(40, SIDE - 30, apart), np.arange(40, SIDE - 30, apart))
    n = x.size
    return x.ravel() + rng.uniform(-3, 3, n), y.ravel() + rng.uniform(-3, 3, n)


def taken(
    psf: Moffat, flux: Array, x: Array, y: Array, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], Camera]:
    camera = Camera(shape=(SIDE, SIDE), psf=psf, sky=200.0)
    electrons = sky.light(camera.shape, x, y, flux, psf) + camera.sky
    return sky.read_out(camera, electrons, rng), camera


def paired(seen: Seen, x: Array, y: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return pairs_within(x, y, seen.stars.x, seen.stars.y, 2.0)


@pytest.mark.parametrize(
    "psf", [Moffat(3.0, 2.8), Moffat(4.5, 4.5), Moffat(6.5, 3.2), Moffat(4.0, 3.5, 0.85, 30.0)]
)
def test_a_curve_of_growth_gives_the_total_light_of_any_profile(psf: Moffat) -> None:
    rng = np.random.default_rng(11)
    x, y = grid(rng)
    flux = 10 ** rng.uniform(3.9, 5.4, len(x))
    image, camera = taken(psf, flux, x, y, rng)
    seen = stars.find(frame_of(image, camera))
    i, j = paired(seen, x, y)
    assert len(i) == len(x)
    ratio = seen.stars.flux[j] * camera.gain / flux[i]
    error = seen.stars.error[j] * camera.gain / flux[i]
    weights = 1 / (error**2 + 0.003**2)
    assert abs(np.average(ratio, weights=weights) - 1) < 0.003
    pulls = (ratio - 1) / np.hypot(error, 0.002)
    assert 0.75 < pulls.std() < 1.3
    assert seen.fwhm == pytest.approx(psf.fwhm * np.sqrt(psf.ratio), rel=0.06)
    assert np.median(np.hypot(seen.stars.x[j] - x[i], seen.stars.y[j] - y[i])) < 0.05


def test_what_is_against_a_star_is_said_of_it() -> None:
    rng = np.random.default_rng(12)
    x, y = grid(rng)
    flux = 10 ** rng.uniform(4.6, 5.2, len(x))
    flux[0] = 5e6  # saturated
    x[1], y[1] = 3.0, 300.0  # at the edge
    x[2], y[2] = x[3] + 7.0, y[3] + 2.0  # two that touch
    psf = Moffat(4.0, 3.5)
    image, camera = taken(psf, flux, x, y, rng)
    # A galaxy in place of a star.
    broad = sky.light(camera.shape, x[4:5], y[4:5], np.array([2e5]), Moffat(11.0, 4.0))
    image = (image + rng.poisson(broad) / camera.gain).astype(np.uint16)
    frame = frame_of(image, camera)
    frame.mask[round(y[5]), round(x[5]) + 2] |= BAD
    image_of_hit = frame.pixels
    image_of_hit[round(y[6]) + 3, round(x[6]) + 3] += 4000  # a cosmic ray in a star
    cosmics.mask(frame)
    seen = stars.find(frame)

    def doubt(k: int) -> str:
        away = np.hypot(seen.stars.x - x[k], seen.stars.y - y[k])
        return str(seen.stars.doubt[np.argmin(away)])

    assert doubt(0) == "saturated"
    assert doubt(1) == "edge"
    assert {doubt(2), doubt(3)} == {"blended in the frame"}
    assert doubt(4) == "extended in the frame"
    assert doubt(5) == "bad pixels"
    assert doubt(6) == "cosmic ray"
    others = [doubt(k) for k in range(8, len(x))]
    assert others.count("") > 0.93 * len(others)


def test_cosmic_rays_are_found_and_stars_are_not_taken_for_them() -> None:
    rng = np.random.default_rng(13)
    x, y = grid(rng)
    flux = 10 ** rng.uniform(3.8, 5.5, len(x))
    image, camera = taken(Moffat(3.2, 3.0), flux, x, y, rng)
    hit = image.copy()
    sky.cosmic_rays(hit, 80, rng)
    frame = frame_of(hit, camera)
    cosmics.mask(frame)
    true = hit != image
    found = frame.mask > 0
    assert (found & true).sum() > 0.9 * true.sum()
    stars_hit = [
        found[round(b), round(a)] and not true[round(b), round(a)]
        for a, b in zip(x, y, strict=True)
    ]
    assert sum(stars_hit) <= 1


def test_the_sky_is_what_lies_between_the_stars_though_counts_are_whole_numbers() -> None:
    rng = np.random.default_rng(14)
    x, y = grid(rng)
    flux = 10 ** rng.uniform(4.0, 5.6, len(x))
    camera = Camera(shape=(SIDE, SIDE), sky=90.0)
    slope = np.linspace(0, 60, SIDE)[None, :]  # moonlight from one side
    electrons = sky.light(camera.shape, x, y, flux, camera.psf) + camera.sky + slope
    faint_x, faint_y = x + 28.0, y + 28.0
    inside = (faint_x < SIDE - 30) & (faint_y < SIDE - 30)
    electrons += sky.light(
        camera.shape, faint_x[inside], faint_y[inside], np.full(inside.sum(), 4000.0), camera.psf
    )
    seen = stars.find(frame_of(sky.read_out(camera, electrons, rng), camera))
    i, j = paired(seen, faint_x[inside], faint_y[inside])
    ratio = seen.stars.flux[j] * camera.gain / 4000.0
    error = np.std(ratio) / np.sqrt(len(ratio))
    assert len(i) > 0.9 * inside.sum()
    # Of such a faint star a tenth of the sky's noise would be three percent.
    assert abs(np.mean(ratio) - 1) < 0.01 + 2 * error
