"""What a person should look at though there is a zero point, and what an instrument's file adds."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from nightferry import calibrating
from nightferry.catalogs import Field, Found
from nightferry.catalogs.sky import Coverage, index
from nightferry.instruments.definitions import Instruments
from nightferry.photometry import tables, transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.measured import Exposure
from nightferry.photometry.result import Calibration, Request

from tests.unit.photometry_sky import InMemory, catalogue, keep, observe

EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]


def done(exposure: Exposure, sky: InMemory) -> Calibration:
    return calibrate(exposure, {"gaia-dr2": sky}, Request(transformations=EVANS))


def test_a_crowded_field_is_said_to_be_one_and_its_blends_do_not_serve() -> None:
    rng = np.random.default_rng(21)
    sky = catalogue(rng, 120)
    exposure, truth = observe(rng, sky)
    stars, beside = sky.stars, np.arange(60)
    numbers = {n: np.append(v, v[beside]) for n, v in stars.numbers.items()}
    for name in ("G", "BP", "RP"):
        numbers[name][120:] += 1.5
    crowded = replace(
        sky,
        stars=replace(
            stars, id=np.arange(180), ra=np.append(stars.ra, stars.ra[beside] + 2.5 / 3600),
            dec=np.append(stars.dec, stars.dec[beside]), numbers=numbers,
        ),
    )  # fmt: skip
    # The light of both falls into one aperture.
    seen = replace(exposure, magnitude=exposure.magnitude - 0.25 * (np.arange(120) < 60))
    found = done(seen, crowded)
    assert found.fit is not None
    assert found.fit.value == pytest.approx(truth.zero_point, abs=4 * found.fit.fit_error)
    assert found.rejected()["blended"] >= 55
    assert [f for f in found.flags if f.startswith("crowded: ") and f.endswith("are blended")]
    assert not any("crowded" in f for f in done(exposure, sky).flags)


def test_clouds_over_a_part_of_the_field_are_told() -> None:
    rng = np.random.default_rng(22)
    sky = catalogue(rng, 120)
    exposure, truth = observe(rng, sky)
    patchy = np.abs(rng.normal(0, 0.15, 120))
    found = done(replace(exposure, magnitude=exposure.magnitude + patchy), sky)
    assert found.fit is not None
    assert truth.zero_point - 0.3 < found.fit.value < truth.zero_point
    told = [f for f in found.flags if "clouds" in f or "outliers" in f]
    assert told, f"its flags are {found.flags}"
    assert found.fit.fit_error > 2 * done(exposure, sky).fit.fit_error  # type: ignore[union-attr]
    assert not any("clouds" in f for f in done(exposure, sky).flags)


@dataclass(frozen=True)
class HalfLoaded:
    """A catalogue whose tiles end in the middle of the field."""

    whole: InMemory
    share: float

    @property
    def definition(self) -> object:
        return self.whole.definition

    def field(self, field: Field) -> Found:
        stars = self.whole.field(field).stars
        cells = np.sort(index(stars.ra, stars.dec))
        end = int(cells[int(self.share * (len(cells) - 1))]) + 1
        return Found(stars.pick(index(stars.ra, stars.dec) < end), Coverage.of([0], [end]))


def test_a_tile_half_loaded_is_none_unless_most_of_the_stars_lie_in_it() -> None:
    rng = np.random.default_rng(23)
    sky = catalogue(rng, 100)
    exposure, truth = observe(rng, sky)
    request = Request(transformations=EVANS)
    little = calibrate(exposure, {"gaia-dr2": HalfLoaded(sky, 0.3)}, request)  # type: ignore[dict-item]
    assert little.reason == "no catalogue tile"
    assert "is complete for 3" in little.advice
    assert "nf catalog load" in little.advice
    most = calibrate(exposure, {"gaia-dr2": HalfLoaded(sky, 0.8)}, request)  # type: ignore[dict-item]
    assert most.fit is not None
    assert most.fit.value == pytest.approx(truth.zero_point, abs=4 * most.fit.fit_error)


INSTRUMENT = """\
instrument: plate
matches:
  - INSTRUME: ^plate$
photometry:
  gain: 2.0
  columns: {magnitude: brightness, magnitude_error: doubt}
  colour_terms: {R: {BP-RP: [0.08, 0.01]}}
"""


def test_an_instruments_file_says_gain_columns_and_the_colour_term_for_few_stars(
    tmp_path: Path,
) -> None:
    (tmp_path / "plate.yaml").write_text(INSTRUMENT)
    (plate,) = [d for d in Instruments.load(tmp_path).definitions if d.instrument == "plate"]
    rng = np.random.default_rng(24)
    sky = catalogue(rng, 100)
    seen, _ = observe(rng, sky)
    few = keep(seen, np.arange(100) < 5)
    text = io.StringIO()
    Table(
        {
            "ra": few.ra, "dec": few.dec, "brightness": few.magnitude, "doubt": few.error,
            "filter": ["R"] * 5, "exptime": [1.0] * 5, "date-obs": ["2015-07-02T12:00:00"] * 5,
        }
    ).write(text, format="ascii.csv")  # fmt: skip
    reading = calibrating.reading_of(plate.photometry)
    (exposure,) = tables.read(text.getvalue().encode(), "plate.csv", reading)
    assert isinstance(exposure, Exposure)
    assert exposure.unit == "e-/s"
    assert exposure.magnitude == pytest.approx(few.magnitude - 2.5 * np.log10(2.0))
    terms = calibrating.colour_terms(plate.photometry)
    request = Request(transformations=EVANS, colour_terms=terms)
    found = calibrate(exposure, {"gaia-dr2": sky}, request)
    assert found.fit is not None
    assert (found.fit.colour_term, found.fit.colour_term_error) == pytest.approx((0.08, 0.01))
    assert "5 stars: colour term of the instrument's file" in found.flags
