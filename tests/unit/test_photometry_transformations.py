"""Transformations at both ends of their ranges, worked out by hand from the papers' tables."""

from pathlib import Path

import numpy as np
import pytest
from nightferry import yamlfile
from nightferry.errors import ConfigError, GiveUp
from nightferry.photometry import transformations
from nightferry.photometry.bands import band_of
from nightferry.photometry.transformations import Transformation

# file, band, colour -> band - magnitude, at the lower and at the upper end
ENDS = [
    ("gaia-dr2-evans", "V", -0.5, 0.05747, 2.75, 1.34629),
    ("gaia-dr2-evans", "R", -0.5, 0.22850, 2.75, -0.03369),
    ("gaia-dr2-evans", "I", -0.5, 0.37418, 2.75, -1.33273),
    ("gaia-dr2-evans", "g", -0.5, -0.30081, 2.0, 1.62577),
    ("gaia-dr2-evans", "r", 0.2, 0.08096, 2.7, 0.63675),
    ("gaia-dr2-evans", "i", 0.0, 0.29676, 4.5, -0.56245),
    ("gaia-dr3-riello", "B", -0.5, -0.25930, 1.75, 1.98900),
    ("gaia-dr3-riello", "V", -0.5, 0.08984, 5.0, 3.56334),
    ("gaia-dr3-riello", "R", 0.0, 0.02275, 2.0, -0.22097),
    ("gaia-dr3-riello", "I", -0.5, 0.38725, 4.5, -1.43075),
    ("gaia-dr3-riello", "g", 0.3, -0.01519, 2.0, 1.62110),
    ("gaia-dr3-riello", "r", 0.0, 0.09837, 2.0, 0.16245),
    ("gaia-dr3-riello", "i", 0.5, -0.00291, 2.0, -0.58661),
    ("ps1-tonry", "B", -0.5, -0.05750, 1.2, 0.92816),
    ("ps1-tonry", "V", -0.5, -0.22275, 1.2, 0.57812),
    ("ps1-tonry", "R", -0.5, -0.09025, 1.2, -0.30836),
    ("ps1-tonry", "I", -0.5, -0.30250, 1.2, -0.55512),
    ("ps1-tonry", "g", -0.5, -0.05475, 1.2, 0.21436),
    ("ps1-tonry", "r", -0.5, -0.00125, 1.2, 0.01388),
    ("ps1-tonry", "i", -0.5, -0.00800, 1.2, 0.02260),
    ("ps1-tonry", "z", -0.5, 0.02950, 1.2, -0.05108),
    ("apass-jester", "R", -0.5, 0.32500, 0.94, -1.24460),
    ("apass-jester", "I", -0.5, 0.61500, 0.94, -2.39460),
    # The catalogue's own bands: the magnitude as it stands, within the colours that are stars'.
    *(("ps1-own", band, -1.0, 0.0, 2.5, 0.0) for band in ("gP1", "rP1", "iP1", "zP1")),
    *(("apass-own", band, -0.5, 0.0, 2.0, 0.0) for band in ("B", "V", "g", "r", "i")),
    *(("landolt-own", band, -0.6, 0.0, 2.5, 0.0) for band in ("U", "B", "V", "R", "I")),
]


def the(name: str, band: str) -> Transformation:
    return next(t for t in transformations.load() if (t.name, t.band) == (name, band))


def applied(t: Transformation, colour: float) -> float:
    """The band's magnitude less the catalogue's, of a star of this colour."""
    first, second = t.colour
    numbers = {first: np.array([15.0 + colour]), second: np.array([15.0])}
    if t.magnitude not in numbers:
        numbers[t.magnitude] = np.array([14.0])
    numbers |= {f"e_{band}": np.array([0.01]) for band in list(numbers)}
    magnitude, _, _ = t.apply(t.catalogs[0], numbers)
    return float(magnitude[0] - numbers[t.magnitude][0])


@pytest.mark.parametrize(("name", "band", "low", "at_low", "high", "at_high"), ENDS)
def test_a_relation_gives_what_its_paper_says_at_both_ends_and_nothing_beyond(
    name: str, band: str, low: float, at_low: float, high: float, at_high: float
) -> None:
    t = the(name, band)
    assert (t.low, t.high) == (low, high)
    assert applied(t, low + 1e-9) == pytest.approx(at_low, abs=1e-5)
    assert applied(t, high - 1e-9) == pytest.approx(at_high, abs=1e-5)
    assert np.isnan(applied(t, low - 0.01))
    assert np.isnan(applied(t, high + 0.01))


def test_every_relation_is_tested_at_its_ends() -> None:
    assert {(t.name, t.band) for t in transformations.load()} == {row[:2] for row in ENDS}


def test_a_catalogues_own_band_is_its_magnitude_of_that_name() -> None:
    own = [t for t in transformations.load() if t.name.endswith("-own")]
    assert {t.band: t.magnitude for t in own} == {t.band: t.band for t in own}
    assert {t.name: t.colour_name for t in own} == {
        "ps1-own": "gP1-rP1", "apass-own": "B-V", "landolt-own": "B-V",
    }  # fmt: skip


def test_what_was_not_verified_serves_only_who_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = yamlfile.shipped("transformations").joinpath("ps1-tonry.yaml").read_text()
    (tmp_path / "sure.yaml").write_text(text)
    said = text[text.index("verified:") : text.index("catalogs:")]
    (tmp_path / "guessed.yaml").write_text(text.replace(said, ""))
    monkeypatch.setattr(yamlfile, "shipped", lambda folder: tmp_path)
    assert {t.name for t in transformations.load()} == {"sure"}
    assert {t.name for t in transformations.named("guessed")} == {"guessed"}
    with pytest.raises(ConfigError, match="known: guessed, sure"):
        transformations.named("forgotten")


def test_every_relation_that_comes_with_nightferry_says_what_it_was_verified_against() -> None:
    files = {f.stem for f in yamlfile.shipped("transformations").glob("*.yaml")}
    assert {t.name for t in transformations.load()} == files


def test_a_relation_of_one_release_refuses_the_other() -> None:
    evans, riello = the("gaia-dr2-evans", "R"), the("gaia-dr3-riello", "R")
    for relation, release in ((evans, "gaia-dr3"), (riello, "gaia-dr2"), (riello, "refcat2")):
        with pytest.raises(GiveUp, match=f"and not for {release}"):
            relation.apply(release, {})


def test_errors_count_a_band_once_that_stands_in_magnitude_and_colour() -> None:
    v = the("ps1-tonry", "V")  # V - r = 0.005 + 0.462 (g-r) + 0.013 (g-r)^2
    numbers = {"gP1": np.array([15.5]), "rP1": np.array([15.0])}
    numbers |= {"e_gP1": np.array([0.02]), "e_rP1": np.array([0.03])}
    _, error, _ = v.apply("ps1", numbers)
    slope = 0.462 + 2 * 0.013 * 0.5
    assert error[0] == pytest.approx(np.hypot(slope * 0.02, (1 - slope) * 0.03))


def test_a_file_of_ones_own_is_read_and_a_wrong_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (
        "reference: mine\ncatalogs: [gaia-dr2]\nmagnitude: G\ncolour: [BP, RP]\n"
        "colour_reference: 0\nbands:\n"
        "  r: {system: AB, offset: [0.1, -0.2], range: [0, 2], scatter: 0.02}\n"
    )
    file.write_text(text)
    (mine,) = transformations.read(file)
    assert applied(mine, 1.0) == pytest.approx(-0.1)
    file.write_text(text.replace("scatter", "scater"))
    with pytest.raises(ConfigError, match=r"line 7: unknown key 'scater'.*scatter"):
        transformations.read(file)
    file.write_text(text.replace("offset: [0.1, -0.2], ", ""))
    with pytest.raises(ConfigError, match="either polynomial: or offset:"):
        transformations.read(file)


@pytest.mark.parametrize(
    ("name", "band"),
    [
        *(
            ("R", "R"),
            ("Rc", "R"),
            ("Cousins I", "I"),
            ("Johnson_V", "V"),
            ("V", "V"),
            ("Bessell B", "B"),
        ),
        *(("r", "r"), ("r'", "r"), ("sdss g", "g"), ("gp", "g"), ("SDSS-i", "i"), ("zP1", "zP1")),
        *(
            ("r DECam SDSS c0002 6415.0 1480.0", "r"),
            ("V Harris c6004", "V"),
            ("B_Harris_k1002", "B"),
        ),
        *(("SR", "r"), ("SG", "g"), ("sr", None), ("i SDSS k1020", "i")),
        *(("VR DECam c0007 6300.0 2600.0", None), ("R 6563", None)),
        *(
            ("PS1 r", "rP1"),
            ("auto", "auto"),
            ("Halpha", None),
            ("clear", None),
            ("b", None),
            ("", None),
        ),
    ],
)
def test_filters_are_known_by_the_names_that_observers_give_them(
    name: str, band: str | None
) -> None:
    assert band_of(name) == band
