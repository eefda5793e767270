"""Master frames and reduction, on frames whose bias, flat and faults are known."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from nightferry.imaging import masters, reduction
from nightferry.imaging.files import ImageFile, configuration, section
from nightferry.imaging.frame import BAD, SATURATED, detector, load
from nightferry.imaging.masters import BIAS, DARK, FLAT, Raw, combine
from nightferry.instruments.imaging import CONFIGURATION, Imaging
from nightferry.instruments.keywords import Header
from nightferry.photometry.measured import NotCalibrated
from nightferry.testing import sky
from nightferry.testing.sky import Camera
from numpy.typing import NDArray

CAMERA = Camera(shape=(200, 240), flat=True, overscan=32)
Array = NDArray[np.float64]


def raw(image: NDArray[Any], seconds: float = 10.0, camera: Camera = CAMERA, **cards: Any) -> Raw:
    content = sky.fits_file(image, sky.cards_of(camera, **cards))
    file = ImageFile(io.BytesIO(content), f"frame-{seconds:g}.fits")
    return Raw(file, detector(file, Header(file.hdus), Imaging()), seconds)


def taken(
    count: int, level: float, rng: np.random.Generator, camera: Camera = CAMERA, dark: float = 0.0
) -> list[NDArray[np.uint16]]:
    """Frames of an even light, each with a bias level of its own and a pattern on it."""
    pattern = np.zeros((camera.shape[0], camera.shape[1] + camera.overscan))
    pattern[:, : camera.shape[1]] = bias_pattern(camera)
    made = []
    for k in range(count):
        drifted = replace(camera, bias=camera.bias + 3.0 * k)
        image = sky.read_out(drifted, np.full(camera.shape, level + dark), rng)
        made.append(np.minimum(image + pattern, sky.SATURATION).astype(np.uint16))
    return made


def bias_pattern(camera: Camera) -> Array:
    columns = np.arange(camera.shape[1])
    return np.broadcast_to(np.rint(20 * np.sin(columns / 15.0) + 20), camera.shape)


def test_a_master_bias_is_the_pattern_whatever_the_level_of_its_frames() -> None:
    rng = np.random.default_rng(1)
    frames = taken(9, 0.0, rng)
    frames[3][50:53, 60] = 20000  # a cosmic ray in one of them
    master = combine(BIAS, [raw(f, 0.0) for f in frames])
    off = master.pixels - bias_pattern(CAMERA)
    assert abs(off.mean()) < 0.2
    assert np.abs(off[50:53, 60]).max() < 8
    expected = CAMERA.read_noise / CAMERA.gain / 3
    assert off.std() == pytest.approx(expected, rel=0.15)
    assert np.median(master.sigma) == pytest.approx(expected, rel=0.25)


def test_a_flat_leaves_stars_clouds_and_bad_exposures_out() -> None:
    rng = np.random.default_rng(2)
    bias = combine(BIAS, [raw(f, 0.0) for f in taken(9, 0.0, rng)])
    frames = [taken(1, level, rng)[0] for level in (15000, 20000, 26000, 31000)]
    frames[1][80:84, 100:104] += 9000  # a star of the twilight
    raws = [raw(f) for f in frames]
    raws += [raw(taken(1, 100, rng)[0]), raw(taken(1, 140000, rng)[0], 12.0)]
    flat = combine(FLAT, raws, bias)
    truth = sky.response(CAMERA.shape)
    truth = truth / np.median(truth)
    off = flat.pixels / truth - 1
    assert abs(np.median(off)) < 0.001
    assert off.std() < 0.008
    assert np.abs(off[80:84, 100:104]).max() < 0.04
    assert len(flat.frames) == 4
    assert [w.partition(": ")[2].split(" (")[0] for w in flat.left_out] == [
        "too faint",
        "nearly saturated",
    ]


def test_two_frames_make_no_master_and_it_says_which_did_not_serve() -> None:
    rng = np.random.default_rng(3)
    frames = [*taken(2, 20000, rng), *taken(1, 50, rng)]
    with pytest.raises(NotCalibrated, match="too faint") as told:
        combine(FLAT, [raw(f) for f in frames])
    assert told.value.reason == "too few flat frames"


def test_a_reduced_frame_is_the_light_and_knows_how_sure_it_is() -> None:
    rng = np.random.default_rng(4)
    bias = combine(BIAS, [raw(f, 0.0) for f in taken(12, 0.0, rng)])
    dark = combine(DARK, [raw(f, 100.0) for f in taken(6, 0.0, rng, dark=400.0)], bias)
    flat = combine(FLAT, [raw(f) for f in taken(12, 40000, rng)], bias)
    shot = taken(1, 2000.0, rng, dark=200.0)[0]
    shot[10, 10] = 65535
    frame_of = raw(shot, 50.0)
    frame = load(frame_of.file, frame_of.detector)
    reduction.reduce(frame, reduction.Masters(bias, dark, flat), 50.0)
    good = frame.mask == 0
    truth = 2000.0 / CAMERA.gain
    response = sky.response(CAMERA.shape)
    truth = truth * np.median(response)  # a flat is 1 in its middle
    # The dark came through the simulated flat too: what is left of it is where that is not 1.
    assert frame.pixels[good].mean() == pytest.approx(truth, rel=0.004)
    spread = frame.pixels[good].std()
    assert spread == pytest.approx(np.sqrt(np.median(frame.variance[good])), rel=0.1)
    assert frame.mask[10, 10] & SATURATED
    assert frame.shape == CAMERA.shape


def test_undefined_pixels_are_masked_and_do_not_spread() -> None:
    image = np.full((64, 80), 100.0, np.float32)
    image[5, 7] = np.nan
    file = ImageFile(sky.fits_file(image, {}), "nan.fits")
    frame = load(file, detector(file, Header(file.hdus), Imaging()))
    reduction.reduce(frame, reduction.NONE, 1.0)
    assert frame.mask[5, 7] == BAD
    assert (frame.mask > 0).sum() == 1
    assert np.isfinite(frame.pixels).all()


def test_a_master_comes_back_from_its_file_as_it_was() -> None:
    rng = np.random.default_rng(5)
    master = combine(BIAS, [raw(f, 0.0) for f in taken(3, 0.0, rng)])
    again = masters.from_fits(masters.to_fits(master, {"NIGHT": "2026-03-14"}))
    assert again.kind == master.kind
    assert again.frames == master.frames
    for plane in ("pixels", "sigma", "mask"):
        np.testing.assert_array_equal(getattr(again, plane), getattr(master, plane))


@pytest.mark.parametrize(
    ("changed", "alike"),
    [({}, True), ({"CCDSUM": "2 2"}, False), ({"GAIN": 2.0}, False), ({"OBJECT": "x"}, True)],
)
def test_frames_calibrate_each_other_that_were_read_out_alike(
    changed: dict[str, Any], alike: bool
) -> None:
    one, other = (
        ImageFile(sky.fits_file(np.zeros((64, 80), np.uint16), sky.cards_of(CAMERA) | cards), "x")
        for cards in ({}, changed)
    )
    first, second = (configuration(Header(f.hdus), f.shape, CONFIGURATION) for f in (one, other))
    assert (first == second) is alike


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1:80,1:64]", (0, 80, 0, 64)),
        ("[80:1,1:64]", (0, 80, 0, 64)),
        ("[1:81,1:64]", None),
        ("none", None),
    ],
)
def test_sections_are_read_as_headers_write_them(text: str, found: Sequence[int] | None) -> None:
    read = section(text, (64, 80))
    assert (None if read is None else (read.x0, read.x1, read.y0, read.y1)) == (
        None if found is None else tuple(found)
    )
