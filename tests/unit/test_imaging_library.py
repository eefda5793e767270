"""Which masters a frame is corrected with: of its own configuration, of the nearest night, or none;
and a dark from its raw frames to a zero point."""

import hashlib
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nightferry.calibrating import Result, Source
from nightferry.images import Darkroom, NewMaster, run
from nightferry.imaging.files import ImageFile, configuration
from nightferry.imaging.frame import detector
from nightferry.imaging.library import Known, Library, Made, RawFrame, Wanted
from nightferry.imaging.reduction import Masters
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.photometry.measured import Reading
from nightferry.photometry.result import Request
from nightferry.testing import sky
from nightferry.testing.sky import Camera, Moffat

from tests.unit.imaging_sky import EVANS, INSTRUMENTS, SECONDS
from tests.unit.imaging_sky import field as stars_of
from tests.unit.photometry_sky import DEC, RA, evans_r

SMALL = Camera(shape=(40, 60), overscan=12)
NIGHT = date(2026, 3, 14)
DAYS = 7


@dataclass
class Shelf:
    """Raw frames in memory, and the masters that were made of them."""

    raws: list[tuple[str, RawFrame, bytes]] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    name: str = field(default_factory=lambda: str(uuid.uuid4()))  # what is remembered is by it

    def put(self, kind: str, days: int, level: float, filter: str = "", **cards: Any) -> None:
        """Three frames of a night; the first pixels tell which night's they are."""
        rng = np.random.default_rng(len(self.raws))
        for k in range(3):
            image = sky.read_out(SMALL, np.full(SMALL.shape, level), rng)
            image[:, :4] = image[:, :4] + (40 + days if kind != "flat" else 0)
            name = f"{kind}{len(self.raws)}-{k}.fits"
            content = sky.fits_file(image, sky.cards_of(SMALL) | {"FILTER": filter} | cards)
            with ImageFile(content, name) as file:
                hdus = file.hdus
            night = NIGHT + timedelta(days=days)
            raw = RawFrame(name, hashlib.sha256(content).hexdigest(), night, 10.0, filter, hdus, {})
            self.raws.append((kind, raw, content))

    def known(
        self, kind: str, configuration: Mapping[str, str], filter: str, first: date, last: date
    ) -> Sequence[Known]:
        return [
            Known(m.id, m.night, m.frames, m.considered)
            for m in self.made
            if (m.kind, m.configuration, m.filter) == (kind, configuration, filter)
            and first <= m.night <= last
        ]

    def counts(self, kind: str, first: date, last: date) -> Mapping[date, int]:
        nights = [r.night for k, r, _ in self.raws if k == kind and first <= r.night <= last]
        return {n: nights.count(n) for n in nights}

    def frames(self, kind: str, night: date) -> Sequence[RawFrame]:
        return [r for k, r, _ in self.raws if k == kind and r.night == night]

    def open(self, frame: RawFrame) -> BufferedReader:
        (content,) = (c for _, r, c in self.raws if r.name == frame.name)
        return BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]

    def content(self, identity: str) -> bytes:
        (found,) = (m.content for m in self.made if m.id == identity)
        return found

    def new_id(self) -> str:
        return f"{self.name}-{len(self.made)}"

    def keep(self, made: Made) -> None:
        self.made.append(made)


def masters(shelf: Shelf, filter: str = "R", **cards: Any) -> Masters:
    """Those for a frame of ``NIGHT``."""
    content = sky.fits_file(
        np.full((40, 72), 600, np.uint16), sky.cards_of(SMALL, FILTER=filter) | cards
    )
    with ImageFile(content, "science.fits") as file:
        keywords = Header(file.hdus)
        alike = configuration(keywords, file.shape, Imaging().configuration)
        at = detector(file, keywords, Imaging())
    library = Library(shelf, shelf.name, Imaging(), DAYS)
    return library.masters_for(Wanted(alike, filter, NIGHT, at))


@pytest.mark.parametrize(
    ("nights", "taken"), [((-2, 1), 1), ((1, -2), 1), ((-1, 3), -1), ((5, 7, -6), 5), ((0, 1), 0)]
)
def test_of_several_nights_the_nearest_is_taken(nights: tuple[int, ...], taken: int) -> None:
    shelf = Shelf()
    for days in nights:
        shelf.put("bias", days, 0.0)
    for _ in range(2):  # made from raw frames, and found as it was kept
        found = masters(shelf)
        assert found.bias is not None
        step = np.median(found.bias.pixels[:, :4]) - np.median(found.bias.pixels[:, 4:])
        assert step == pytest.approx(40 + taken, abs=1)
        of = NIGHT + timedelta(days=taken)
        assert (f"bias of {of}" in found.notes) == (taken != 0)
        assert len(shelf.made) == 1


def test_beyond_its_days_there_is_none_and_that_is_said() -> None:
    shelf = Shelf()
    shelf.put("bias", DAYS, 0.0)
    shelf.put("flat", DAYS + 1, 40000.0, "R")
    shelf.put("flat", -DAYS - 1, 40000.0, "R")
    found = masters(shelf)
    assert found.bias is not None
    assert found.flat is None
    assert f"no flat in R within {DAYS} days" in found.notes


@pytest.mark.parametrize(
    "cards",
    [
        {"CCDSUM": "2 2"},
        {"CRVAL1U": 101, "CRVAL2U": 1},
        {"DETSEC": "[101:160,1:40]"},
        {"GAIN": 3.2},
        {"READ-SPD": "fast"},
    ],
)  # fmt: skip
def test_frames_that_were_read_out_otherwise_never_serve_however_near(
    cards: dict[str, Any],
) -> None:
    shelf = Shelf()
    shelf.put("bias", 0, 0.0, **cards)
    shelf.put("flat", 0, 40000.0, "R", **cards)
    found = masters(shelf)
    assert (found.bias, found.dark, found.flat) == (None, None, None)
    shelf.put("bias", 6, 0.0)
    later = masters(shelf)
    assert later.bias is not None
    assert f"bias of {NIGHT + timedelta(days=6)}" in later.notes
    turned = masters(shelf, **cards)
    assert turned.bias is not None
    assert turned.flat is not None
    assert turned.notes == ()


def test_a_flat_of_another_filter_never_serves() -> None:
    shelf = Shelf()
    shelf.put("bias", 0, 0.0)
    shelf.put("flat", 0, 40000.0, "V")
    shelf.put("flat", -4, 40000.0, "R")
    assert f"flat of {NIGHT - timedelta(days=4)}" in masters(shelf, "R").notes
    assert masters(shelf, "V").notes == ()
    assert masters(shelf, "I").flat is None


# --- a dark, end to end ---------------------------------------------------------------------------

WARM = Camera(shape=(420, 460), scale=1.0, psf=Moffat(3.4, 3.4), sky=200.0, overscan=24)
GLOW = 40.0  # e- a second, in the corner


def glow() -> Any:
    """Dark current that falls from one corner, e- a second, with hot pixels."""
    y, x = np.mgrid[: WARM.shape[0], : WARM.shape[1]]
    hot = np.random.default_rng(8).random(WARM.shape) < 0.002
    return GLOW * np.exp(-np.hypot(x, y) / 150.0) + 30.0 * hot


def put_night(folder: Path, darks: float | None) -> tuple[bytes, Any, float]:
    """Bias frames, darks of so many seconds, and a frame of the sky of 60."""
    rng = np.random.default_rng(5)
    warm = glow()
    who = {"IMAGETYP": "BIAS", "EXPTIME": 0.0, "OBJECT": "bias"}
    for k in range(5):
        moment = {"DATE-OBS": f"2015-07-02T10:{k:02d}:00"}
        image = sky.read_out(WARM, np.zeros(WARM.shape), rng)
        (folder / f"bias{k}.fits").write_bytes(
            sky.fits_file(image, sky.cards_of(WARM) | who | moment)
        )
        if darks is not None:
            cards = {"IMAGETYP": "DARK", "EXPTIME": darks, "OBJECT": "dark"} | moment
            image = sky.read_out(WARM, warm * darks, rng)
            (folder / f"dark{k}.fits").write_bytes(sky.fits_file(image, sky.cards_of(WARM) | cards))
    known = stars_of(rng, 90, WARM)
    zero = 24.0
    x, y = sky.to_pixels(WARM, RA, DEC, known.stars.ra, known.stars.dec)
    flux = SECONDS * 10 ** (-0.4 * (evans_r(known.stars) - zero))
    electrons = sky.light(WARM.shape, x, y, flux, WARM.psf) + WARM.sky + warm * SECONDS
    image = sky.read_out(WARM, electrons, rng)
    return sky.fits_file(image, sky.cards_of(WARM) | sky.wcs_cards(WARM, RA, DEC)), known, zero


def reduced(folder: Path, content: bytes, known: Any) -> tuple[Result, list[NewMaster]]:
    kept: list[NewMaster] = []

    def ask(statement: str, **values: object) -> list[Any]:
        return [(f"{folder}-{len(kept)}",)] if statement == "calibrate.new_id" else []

    darkroom = Darkroom(INSTRUMENTS, _none, kept.append, folder=folder, cosmic_rays=False)
    (result,) = run(
        content, Source("a.fits", "here"), Reading(), Request(transformations=EVANS),
        {"gaia-dr2": known}, ask, darkroom,
    )  # fmt: skip
    return result, kept


def _none(path: str) -> Any:
    raise FileNotFoundError(path)


def test_a_dark_of_another_exposure_time_is_scaled_and_takes_the_glow_away(tmp_path: Path) -> None:
    for name, seconds in (("none", None), ("same", 60.0), ("longer", 150.0)):
        folder = tmp_path / name
        folder.mkdir()
        content, known, zero = put_night(folder, seconds)
        result, kept = reduced(folder, content, known)
        row = result.columns
        kinds = [m.made.kind for m in kept]
        assert kinds == (["bias"] if seconds is None else ["bias", "dark"])
        assert set(row["detail"]["masters"]) == set(kinds)
        if seconds is not None:
            assert row["state"] == "good", row["advice"]
            assert row["zero_point"] == pytest.approx(zero, abs=0.01)
            assert row["detail"]["sky"] == pytest.approx(WARM.sky / WARM.gain, rel=0.02)
            assert row["scatter"] < 0.01
            with ImageFile(kept[1].made.content, "dark.fits") as file:
                pixels = file.rows(0, WARM.shape[0])
            assert np.median(pixels - glow() / WARM.gain) == pytest.approx(0.0, abs=0.02)
        else:
            assert row["detail"]["sky"] > 1.1 * WARM.sky / WARM.gain
