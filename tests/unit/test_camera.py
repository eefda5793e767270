"""The simulated camera writes what a real one would, and the same each time."""

import io
import threading
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from astropy.io import fits
from nightferry.instruments import Exposure, Instruments, derive, read_file
from nightferry.night import night_of
from nightferry.testing import camera


def exposure_of(path: Path) -> Exposure:
    with path.open("rb") as file:
        facts = read_file(file.fileno(), path.name)
    assert (facts.header, facts.complete, facts.defects) == ("whole", True, ())
    return derive(facts.hdus, path.name, Instruments.load())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    assert list(camera.frames(7, 6)) == list(camera.frames(7, 6))
    assert list(camera.frames(7, 6)) != list(camera.frames(8, 6))


def test_a_frame_is_an_image_with_stars_on_a_noisy_sky():
    *_, (_, content) = camera.frames(1, 5)
    with fits.open(io.BytesIO(content)) as hdus:
        assert hdus[0].data.shape == (256, 256)
        assert 60 <= len(hdus[0].header) <= 130
        assert hdus[0].data.max() > hdus[0].data.mean() + 20 * hdus[0].data.std() / 10
        assert hdus[0].data.std() > 5


def test_a_played_night_is_one_night_of_calibrations_and_fields(tmp_path: Path):
    assert camera.play(tmp_path, pace=0, count=40) == 40
    exposures = [exposure_of(path) for path in sorted(tmp_path.iterdir())]
    assert Counter(e.frame_type.value for e in exposures) == {
        "bias": 8,
        "dark": 4,
        "flat": 8,
        "science": 14,
        "standard": 6,
    }
    assert {e.instrument for e in exposures} == {"simulated"}
    assert [e.counter for e in exposures] == list(range(1, 41))
    assert {e.defects for e in exposures} == {()}
    starts = [e.start for e in exposures if e.start is not None]
    assert starts == sorted(starts)
    assert {night_of(s, "America/Santiago") for s in starts} == {date(2026, 3, 14)}
    sky = [e for e in exposures if e.object == "PG1323-086"]
    assert all(e.ra == pytest.approx(201.4146, abs=1e-3) for e in sky)
    assert all(e.dec == pytest.approx(-8.8192, abs=1e-3) for e in sky)


def test_a_camera_that_is_stopped_leaves_its_frame_half_written(tmp_path: Path):
    stop = threading.Event()
    stop.set()
    assert camera.play(tmp_path, pace=0.1, count=3, stop=stop) == 0
    [half] = tmp_path.iterdir()
    [whole] = [c for name, c in camera.frames(1, 3) if name == half.name]
    assert 0 < half.stat().st_size < len(whole)


def test_real_files_are_replayed_byte_for_byte_with_their_folders(tmp_path: Path):
    source = tmp_path / "real"
    camera.play(source / "night", pace=0, count=3)
    (source / "notes.txt").write_text("seeing 1.4")
    assert camera.replay(source, tmp_path / "out", pace=0) == 4
    for path in (p for p in source.rglob("*") if p.is_file()):
        assert (tmp_path / "out" / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_the_camera_overwrites_nothing(tmp_path: Path):
    camera.play(tmp_path, pace=0, count=1)
    with pytest.raises(FileExistsError):
        camera.play(tmp_path, pace=0, count=1)
