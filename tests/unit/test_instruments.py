"""Instruments are data: the shipped definitions read real frames, and wrong ones are refused."""

import os
from collections import Counter
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from nightferry.errors import ConfigError
from nightferry.instruments import Exposure, Hdu, Instruments, derive, read_file
from nightferry.instruments.base import Keywords
from nightferry.instruments.definitions import shipped
from nightferry.night import night_of


def real(folder: str) -> Path:
    """The folder of real frames, or a skip that says why."""
    place = os.environ.get("NIGHTFERRY_TEST_DATA")
    if not place:
        pytest.skip("NIGHTFERRY_TEST_DATA names no folder with real frames")
    found = Path(place) / "frames" / folder
    if not found.is_dir():
        pytest.skip(f"NIGHTFERRY_TEST_DATA has no frames/{folder}")
    return found


def exposures(folder: str) -> dict[str, Exposure]:
    instruments = Instruments.load()
    found: dict[str, Exposure] = {}
    for path in sorted(real(folder).iterdir()):
        with path.open("rb") as file:
            facts = read_file(file.fileno(), path.name)
        if path.suffix in (".fits", ".fz", ".gz"):
            assert (facts.header, facts.defects, facts.complete) == ("whole", (), True)
        else:
            assert (facts.header, facts.complete) == ("none", None)
        found[path.name] = derive(facts.hdus, path.name, instruments)
    return found


def test_a_night_of_nickel_is_10_bias_3_flats_and_6_frames_on_the_sky():
    found = exposures("nickel_20240513")
    types = Counter(e.frame_type.value for e in found.values())
    assert types == {"bias": 10, "flat": 3, "science": 4, "standard": 2}
    assert {e.instrument for e in found.values()} == {"nickel"}
    assert {e.program for e in found.values()} == {None}  # NEWCAM is the camera's software
    assert {e.defects for e in found.values()} == {()}
    starts = sorted(e.start for e in found.values() if e.start is not None)
    assert starts[0] == datetime(2024, 5, 13, 1, 59, 58, 110_000, UTC)
    assert starts[-1] == datetime(2024, 5, 13, 7, 12, 1, 750_000, UTC)
    nights = {night_of(s, "America/Los_Angeles") for s in starts}
    assert (nights, len(starts)) == ({date(2024, 5, 12)}, 19)


def test_a_nickel_frame_says_where_and_how_it_was_taken():
    one = exposures("nickel_20240513")["d1047.fits"]
    assert (one.object, one.filter, one.seconds, one.counter) == ("PG1323-085", "V", 60.0, 1047)
    assert one.airmass == pytest.approx(1.594, abs=1e-3)
    # Landolt's field is at 13:25:39 -08:49:18.
    assert (one.ra, one.dec) == pytest.approx((201.4146, -8.8219), abs=0.005)
    assert one.exposure_key == "nickel/main/2024-05-13T04:32:47.120000Z/1047"


def test_kast_without_instrume_is_1_arc_3_dome_flats_3_bias_and_2_on_the_sky():
    found = exposures("kast")
    types = Counter(e.frame_type.value for e in found.values())
    assert types == {"arc": 1, "flat": 3, "bias": 3, "standard": 1, "science": 1}
    assert {(e.instrument, e.module, e.telescope) for e in found.values()} == {
        ("kast", "blue", "shane")
    }
    starts = [e.start for e in found.values() if e.start is not None]
    assert {night_of(s, "America/Los_Angeles") for s in starts} == {date(2015, 5, 19)}
    assert found["b24.fits.gz"].object == "Feige 66"
    # Feige 66 is at 12:37:23.5 +25:04:00; without precession it were 8 arcmin off.
    assert (found["b24.fits.gz"].ra, found["b24.fits.gz"].dec) == pytest.approx(
        (189.348, 25.067), abs=0.08
    )


def test_panoptes_takes_its_time_from_date_obs_and_not_from_the_file():
    found = exposures("panoptes")
    solved = found["solved.fits.fz"]
    assert solved.start == datetime(2016, 9, 9, 8, 14, 34, tzinfo=UTC)
    assert solved.start_source == "DATE-OBS"
    assert (solved.instrument, solved.frame_type.value) == ("panoptes", "science")
    assert (solved.object, solved.filter) == ("KIC 8462852", "RGGB")
    assert (solved.ra, solved.dec) == pytest.approx((301.56439, 44.456875))
    assert found["pole.fits"].frame_type.value == "engineering"
    assert found["pole.fits"].instrument == "panoptes"
    assert found["tiny.fits"].exposure_key == found["unsolved.fits"].exposure_key
    undated = found["noheader.fits"]
    assert (undated.instrument, undated.start) == ("unknown", None)
    assert found["LICENSE.txt"].instrument == "unknown"


def test_a_solved_frame_and_its_fpacked_twin_have_one_key(tmp_path: Path):
    from astropy.io import fits

    packed = real("panoptes") / "solved.fits.fz"
    plain = tmp_path / "solved.fits"
    with fits.open(packed) as hdus:
        fits.PrimaryHDU(hdus[1].data, hdus[1].header).writeto(plain, output_verify="silentfix")
    with plain.open("rb") as file:
        facts = read_file(file.fileno(), plain.name)
    twin = derive(facts.hdus, plain.name, Instruments.load())
    assert twin == exposures("panoptes")["solved.fits.fz"]


MINIMAL = """\
instrument: cam
matches:
  - INSTRUME: ^cam$
keywords:
  object: OBJECT
frame_types:
  - science: {object: .}
"""


def site(folder: Path, text: str) -> Instruments:
    (folder / "cam.yaml").write_text(text)
    return Instruments.load(folder)


def taken(instruments: Instruments, *cards: str, path: str = "a.fits") -> Exposure:
    return derive([Hdu(0, ("SIMPLE  = T", *cards))], path, instruments)


def test_a_site_describes_its_own_instrument_and_keeps_the_generic_one(tmp_path: Path):
    instruments = site(tmp_path, MINIMAL)
    assert [d.instrument for d in instruments.definitions] == ["cam"]
    assert taken(instruments, "INSTRUME= 'cam'", "OBJECT  = 'M13'").frame_type.value == "science"
    assert taken(instruments, "INSTRUME= 'Other 2'").instrument == "other-2"


def test_the_first_rule_that_holds_gives_the_type(tmp_path: Path):
    rules = """
  - bias: {EXPTIME: 0}
  - flat: {'LAMP[12]': ^on, EXPTIME: {above: 1, below: 60}}
  - focus: {path: /focus/}
  - dark: {SHUTTER: [closed, shut], FILTER: {present: false}}
  - guide: {GUIDER: {present: true}}
"""
    text = MINIMAL.split("frame_types")[0] + "frame_types:" + rules
    instruments = site(tmp_path, text)

    def kind(*cards: str, path: str = "a.fits") -> str:
        return taken(instruments, "INSTRUME= 'cam'", *cards, path=path).frame_type.value

    assert kind("EXPTIME = 0.0", "LAMP2   = 'ON'") == "bias"
    assert kind("EXPTIME = 5", "LAMP2   = 'ON'") == "flat"
    assert kind("EXPTIME = 60", "LAMP2   = 'ON'") == "unknown"
    assert kind("EXPTIME = 5", "LAMP3   = 'ON'") == "unknown"
    assert kind(path="n/focus/1.fits") == "focus"
    assert kind("SHUTTER = 'Shut'") == "dark"
    assert kind("SHUTTER = 'Shut'", "FILTER  = 'V'") == "unknown"
    assert kind("GUIDER  = ''") == "guide"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("keywords:", "keyword:", 4, "'keywords'"),
        ("object: OBJECT", "objekt: OBJECT", 5, "'object'"),
        ("science:", "sience:", 7, "'science'"),
        ("{object: .}", "{objct: .}", 7, "'object'"),
        ("{object: .}", "{object: '('}", 7, "regular expression"),
        ("{object: .}", "{EXPTIME: {bellow: 3}}", 7, "'below'"),
        ("{object: .}", "{EXPTIME: {below: much}}", 7, "number"),
        ("{object: .}", "{EXPTIME: {present: yes}}", 7, "true or false"),
        ("instrument: cam", "instrument: Cam 7", 1, "'cam-7'"),
        ("object: OBJECT", "ra: {from: RA, unit: miles}", 5, "'degrees'"),
        ("object: OBJECT", "ra: {unit: hours}", 5, "'from' is missing"),
        ("instrument: cam", "instrument: cam\ninstrument: cam", 2, "twice"),
        ("instrument: cam", "instrument: cam\nequinox: old", 2, "number"),
        ("instrument: cam", "instrument: cam\narithmetic: magic", 2, "'magic'"),
        ("  - INSTRUME: ^cam$", "  INSTRUME: cam", 3, "list"),
        ("instrument: cam\n", "", 1, "'instrument' is missing"),
        ("  - science: {object: .}", "  - science: {object: .}\n    bias: {}", 7, "one frame type"),
    ],
)
def test_a_wrong_definition_is_refused_with_file_line_and_nearest_key(
    tmp_path: Path, old: str, new: str, line: int, says: str
):
    assert old in MINIMAL
    with pytest.raises(ConfigError) as told:
        site(tmp_path, MINIMAL.replace(old, new, 1))
    assert f"cam.yaml, line {line}:" in str(told.value)
    assert says in str(told.value)


@pytest.mark.parametrize("text", ["", "a: [", "- a\n- b\n"])
def test_a_file_that_is_no_definition_is_refused_by_name(tmp_path: Path, text: str):
    with pytest.raises(ConfigError, match=r"cam\.yaml"):
        site(tmp_path, text)


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such folder"):
        Instruments.load(tmp_path / "none")


def test_every_shipped_definition_has_the_name_of_its_file():
    for file in shipped().glob("*.yaml"):
        if file.stem != "generic":
            assert f"\ninstrument: {file.stem}\n" in file.read_text()


class Offered:
    """An installed plug-in, as the entry points show it."""

    name = "middle"

    def load(self) -> Any:
        def middle(exposure: Exposure, keywords: Keywords, path: str) -> Exposure:
            from dataclasses import replace

            value = keywords.get("MIDTIME")
            assert isinstance(value, float), "MIDTIME is no number"
            return replace(exposure, seconds=2 * value)

        return middle


def test_a_plug_in_does_the_arithmetic_and_its_failure_is_a_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from nightferry.instruments import definitions

    assert definitions.entry_points is metadata.entry_points
    monkeypatch.setattr(definitions, "entry_points", lambda group: [Offered()])
    instruments = site(tmp_path, MINIMAL + "arithmetic: middle\n")
    assert taken(instruments, "INSTRUME= 'cam'", "MIDTIME = 3.5").seconds == 7.0
    failed = taken(instruments, "INSTRUME= 'cam'", "OBJECT  = 'M13'")
    assert failed.object == "M13"
    assert "MIDTIME is no number" in " ".join(failed.defects)
