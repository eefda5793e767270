"""Places of stars: a header's WCS checked and mended, or found anew from the patterns of stars."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from nightferry.catalogs import Definition, Field, definitions
from nightferry.catalogs.base import Stars as CatalogStars
from nightferry.imaging import quads
from nightferry.imaging.astrometry import Placed, Sight, place
from nightferry.imaging.wcs import unproject
from nightferry.photometry import standards
from nightferry.photometry.matching import plane
from nightferry.photometry.measured import NotCalibrated
from nightferry.testing import sky
from nightferry.testing.sky import Camera
from numpy.typing import NDArray

from tests.unit.imaging_sky import field
from tests.unit.photometry_sky import DEC, RA, InMemory

Array = NDArray[np.float64]
CAMERA = Camera(shape=(1000, 1200), scale=0.6)


class Scene:
    """Stars as a camera sees them, and the catalogue."""

    def __init__(self, camera: Camera, seed: int = 1, stars: int = 150, header: Any = None) -> None:
        rng = np.random.default_rng(seed)
        self.known: InMemory = field(rng, stars, camera)
        s = self.known.stars
        x, y = sky.to_pixels(camera, RA, DEC, s.ra, s.dec)
        inside = (x > 0) & (y > 0) & (x < camera.shape[1]) & (y < camera.shape[0])
        seen = np.flatnonzero(inside & (rng.random(len(s)) < 0.85))
        seen = seen[np.argsort(s.numbers["G"][seen] + rng.normal(0, 0.2, len(seen)))]
        self.seen = s.pick(seen)
        x, y = (v[seen] + rng.normal(0, 0.05, len(seen)) for v in (x, y))
        # A tenth of what is found is in no catalogue.
        n = len(seen) // 10
        x = np.concatenate([x, rng.uniform(0, camera.shape[1], n)])
        y = np.concatenate([y, rng.uniform(0, camera.shape[0], n)])
        cards = sky.wcs_cards(camera, RA, DEC) if header is None else header
        self.sight = Sight(
            x, y, np.linspace(-12, -6, len(x)), np.ones(len(x), bool), camera.shape,
            fits.Header(list(cards.items())), (RA + 0.01, DEC - 0.01), camera.scale,
        )  # fmt: skip

    def look_up(self, field: Field) -> tuple[CatalogStars, Definition]:
        return self.known.stars.inside(field), self.known.definition

    def placed(self) -> Placed:
        return place(self.sight, self.look_up)

    def off(self, placed: Placed) -> float:
        """Arcsec by which the stars are off, the median."""
        n = len(self.seen)
        east = (placed.ra[:n] - self.seen.ra) * np.cos(np.radians(DEC))
        return float(np.median(np.hypot(east, placed.dec[:n] - self.seen.dec)) * 3600)


def shifted(camera: Camera, east: float, north: float) -> dict[str, Any]:
    ra, dec = unproject(np.array([east]), np.array([north]), RA, DEC)
    return sky.wcs_cards(camera, float(ra[0]), float(dec[0]))


def test_a_header_that_is_off_turned_and_stretched_a_little_is_mended() -> None:
    header = shifted(CAMERA, 21.0, -9.0)
    header["CD1_1"] *= 1.0015
    header["CD1_2"] += 2e-7
    scene = Scene(CAMERA, header=header)
    placed = scene.placed()
    assert placed.how == "linear"
    assert placed.offset == pytest.approx((-21.0, 9.0), abs=1.0)
    assert scene.off(placed) < 0.06
    assert placed.scale == pytest.approx(0.6, rel=2e-4)
    assert placed.notes == ()


def test_few_stars_give_a_shift() -> None:
    scene = Scene(CAMERA, stars=9, header=shifted(CAMERA, 10.0, 5.0))
    placed = scene.placed()
    assert placed.how == "shift"
    assert scene.off(placed) < 0.1


@pytest.mark.parametrize("turn", [0.0, 37.0, 178.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_without_a_wcs_the_patterns_of_stars_tell_it(turn: float, mirrored: bool) -> None:
    camera = replace(CAMERA, rotation=turn, mirrored=mirrored)
    scene = Scene(camera, seed=2, header={})
    placed = scene.placed()
    assert placed.how == "solved"
    assert scene.off(placed) < 0.08
    assert placed.mirrored is mirrored
    assert "its header has no WCS: solved from" in placed.notes[0]
    assert ("the frame is mirrored" in placed.notes) is mirrored


def test_a_wcs_that_is_turned_is_solved_anew_and_it_is_said() -> None:
    scene = Scene(replace(CAMERA, rotation=12.0), header=sky.wcs_cards(CAMERA, RA, DEC))
    placed = scene.placed()
    assert placed.how == "solved"
    assert scene.off(placed) < 0.08
    assert "turned by 12.0" in placed.notes[0]


@pytest.mark.parametrize(
    ("header", "reason", "words"),
    [
        (sky.wcs_cards(replace(CAMERA, scale=0.45), RA, DEC), "wrong pixel scale", "its stars say 0.60"),
        (sky.wcs_cards(replace(CAMERA, mirrored=True), RA, DEC), "mirrored", "turn the sign"),
    ],
)  # fmt: skip
def test_a_wrong_scale_and_a_mirrored_frame_are_named(
    header: dict[str, Any], reason: str, words: str
) -> None:
    with pytest.raises(NotCalibrated, match=words) as told:
        Scene(CAMERA, header=header).placed()
    assert told.value.reason == reason


def test_what_can_not_be_solved_says_why() -> None:
    scene = Scene(CAMERA, header={})
    rng = np.random.default_rng(5)
    n = len(scene.sight.x)
    noise = replace(scene.sight, x=rng.uniform(0, 1200, n), y=rng.uniform(0, 1000, n))
    for sight, reason in (
        (noise, "not solved"),
        (replace(scene.sight, rough=None), "no position"),
        (replace(scene.sight, scale=None), "no pixel scale"),
    ):
        with pytest.raises(NotCalibrated) as told:
            place(sight, scene.look_up)
        assert told.value.reason == reason
    with pytest.raises(NotCalibrated) as told:
        place(scene.sight, lambda field: None)
    assert told.value.reason == "no catalogue tile"


def test_without_a_catalogue_the_header_is_taken_unchecked() -> None:
    scene = Scene(CAMERA)
    placed = place(scene.sight, lambda field: None)
    assert placed.how == "unchecked"
    assert scene.off(placed) < 0.1


def test_a_wcs_of_1950_or_with_distortions_gives_places_of_icrs() -> None:
    header = sky.wcs_cards(CAMERA, RA, DEC)
    header |= {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
    header |= {
        "A_2_0": 3e-6,
        "B_0_2": -2e-6,
        "A_0_2": 0.0,
        "A_1_1": 0.0,
        "B_2_0": 0.0,
        "B_1_1": 0.0,
    }
    scene = Scene(CAMERA, header=header)
    s = scene.seen
    x, y = WCS(fits.Header(list(header.items()))).all_world2pix(s.ra, s.dec, 0)
    scene.sight = replace(
        scene.sight, x=x, y=y, magnitude=scene.sight.magnitude[: len(x)],
        usable=np.ones(len(x), bool),
    )  # fmt: skip
    placed = scene.placed()
    assert scene.off(placed) < 0.02
    old = sky.wcs_cards(CAMERA, RA, DEC) | {"RADESYS": "FK4", "EQUINOX": 1950.0}
    moved = place(replace(scene.sight, header=fits.Header(list(old.items()))), lambda field: None)
    assert abs(moved.ra[0] - placed.ra[0]) > 0.3  # half a century of precession


def test_noise_has_no_pattern() -> None:
    rng = np.random.default_rng(6)
    for seed in range(3):
        del seed
        x, y, u, v = rng.uniform(-500, 500, (4, 60))
        assert quads.solve(x, y, u, v, 2.0, (0.3, 3.0)) is None


def test_standards_of_poor_places_are_told_by_their_brightness() -> None:
    """A list with places off by up to 8″, one of its stars by a minute, among many fainter stars."""
    rng = np.random.default_rng(7)
    u, v = np.array([0.0, 150.0, 160.0, 150.0]), np.array([0.0, -60.0, 40.0, -150.0])
    known = np.array([13.5, 13.6, 14.0, 13.4])
    x, y = u + rng.uniform(-6, 6, 4) + 15.0, v + rng.uniform(-4, 4, 4) - 8.0
    y[3] += 60.0
    faint = rng.uniform(-250, 250, (2, 300))
    x, y = np.concatenate([x, faint[0]]), np.concatenate([y, faint[1]])
    magnitude = np.concatenate([known - 22.8, rng.uniform(-6.5, -3, 300)])
    found = standards.find(x, y, magnitude, u, v, known, search=60.0, tolerance=12.0)
    assert found is not None
    assert sorted(zip(found.measured.tolist(), found.catalog.tolist(), strict=True)) == [
        (0, 0), (1, 1), (2, 2)
    ]  # fmt: skip
    assert found.difference == pytest.approx(22.8, abs=0.1)


def test_the_plane_and_the_sky_are_each_others_inverse() -> None:
    rng = np.random.default_rng(8)
    u, v = rng.uniform(-3000, 3000, (2, 50))
    ra, dec = unproject(u, v, 359.9, 81.0)
    east, north = plane(ra, dec, 359.9, 81.0)
    np.testing.assert_allclose(east, u, atol=1e-4)
    np.testing.assert_allclose(north, v, atol=1e-4)


def test_landolts_definition_has_the_tolerance_that_his_lists_need() -> None:
    assert definitions()["landolt"].positions == 12
