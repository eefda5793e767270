"""nf get: one file out of a package, whole or not at all."""

import os
from pathlib import Path

import pytest
from nightferry.rights import asker

from tests.daemons.ground import NIGHT, Ground, frame
from tests.typed import Nf


@pytest.fixture
def nf(two_sites: Ground, database: str, tmp_path: Path) -> Nf:
    """The commands at the data centre."""
    names = ("archive-a", "archive-b", "center-buffer")
    places = ", ".join(f"{n}: '{two_sites.sites.path(n)}'" for n in names)
    return Nf(database, tmp_path, f"{{{places}}}")


def spoil(site: Ground, location: str, content: bytes) -> None:
    """One byte within ``content`` is another one, in the package at ``location``."""
    path = site.one("SELECT path FROM physical_copy WHERE location = %s", location)
    tar = site.sites.path(location) / path
    whole = bytearray(tar.read_bytes())
    whole[whole.index(content) + 100] ^= 1
    tar.write_bytes(whole)


def state(site: Ground, location: str) -> list[str]:
    return site.copies(location)


def test_a_file_comes_out_of_its_package_as_the_instrument_wrote_it(
    two_sites: Ground, nf: Nf, tmp_path: Path
) -> None:
    content = two_sites.put("a/f1.fits", frame(1)).read_bytes()
    two_sites.put("a/f2.fits", frame(2))
    two_sites.travel()
    answer = nf("get", "f1.fits", "-o", str(tmp_path / "mine.fits"))
    assert answer.code == 0
    assert answer.last.startswith("YES: ")
    assert (tmp_path / "mine.fits").read_bytes() == content
    folder = tmp_path / "here"
    folder.mkdir()
    assert nf("get", "a/f1.fits", "-o", str(folder)).code == 0
    assert [p.name for p in folder.iterdir()] == ["f1.fits"]  # and no temporary name beside it


def test_a_copy_with_other_bytes_is_said_marked_and_passed_over(
    two_sites: Ground, nf: Nf, tmp_path: Path
) -> None:
    content = two_sites.put("f1.fits", frame(1)).read_bytes()
    two_sites.travel()
    spoil(two_sites, "archive-a", content)
    answer = nf("get", "f1.fits", "-o", str(tmp_path / "out.fits"))
    assert answer.code == 0
    assert (tmp_path / "out.fits").read_bytes() == content
    assert "bad copy: archive-a:" in answer.words
    assert "verify reads it again" in answer.words
    assert state(two_sites, "archive-a") == ["suspect"]
    two_sites.once("center", "verify")
    assert state(two_sites, "archive-a") == ["corrupt"]


def test_damage_beside_a_file_does_not_keep_it_and_no_more_than_the_file_is_read(
    two_sites: Ground, nf: Nf, tmp_path: Path
) -> None:
    """A package of two gigabytes, all of it wrong but the place where the file lies."""
    wanted = two_sites.put("f2.fits", frame(2)).read_bytes()
    beside = two_sites.put("f1.fits", frame(1)).read_bytes()
    two_sites.travel()
    spoil(two_sites, "archive-a", beside)
    (path,) = two_sites.sites.path("archive-a").rglob("*.tar")
    os.truncate(path, 2 << 30)
    nf("why", "f2.fits")  # what Python reads to begin with
    before = bytes_read()
    answer = nf.json("get", "f2.fits", "-o", str(tmp_path / "out.fits"))
    assert (answer["from"], answer["bad"]) == ("archive-a", [])
    assert (tmp_path / "out.fits").read_bytes() == wanted
    assert len(wanted) <= bytes_read() - before < 20_000_000
    assert state(two_sites, "archive-a") == ["present"]


def bytes_read() -> int:
    """By this process, however: of any file or socket."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_without_a_whole_copy_nothing_is_written(two_sites: Ground, nf: Nf, tmp_path: Path) -> None:
    content = two_sites.put("f1.fits", frame(1)).read_bytes()
    two_sites.travel()
    for location in ("archive-a", "archive-b", "center-buffer"):
        spoil(two_sites, location, content)
    folder = tmp_path / "here"
    folder.mkdir()
    answer = nf("get", "f1.fits", "-o", str(folder))
    assert answer.code == 1
    assert answer.last.startswith("NO: ")
    assert "3 copies bad" in answer.last
    assert list(folder.iterdir()) == []


def test_nothing_is_overwritten(two_sites: Ground, nf: Nf, tmp_path: Path) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    (tmp_path / "out.fits").write_bytes(b"a person's own")
    answer = nf("get", "f1.fits", "-o", str(tmp_path / "out.fits"))
    assert answer.code == 2
    assert "Nothing was overwritten" in answer.err
    assert (tmp_path / "out.fits").read_bytes() == b"a person's own"


def test_a_name_that_comes_in_two_nights_asks_for_the_night(
    two_sites: Ground, nf: Nf, tmp_path: Path
) -> None:
    two_sites.put("one/f1.fits", frame(1))
    two_sites.put("two/f1.fits", frame(2, DATE_BEG="2026-03-16T02:00:00.000"))
    two_sites.ingest()
    two_sites.travel()
    out = tmp_path / "out.fits"
    answer = nf("get", "f1.fits", "-o", str(out))
    assert answer.code == 3
    assert "one/f1.fits" in answer.err
    assert "two/f1.fits" in answer.err
    assert "--night" in answer.err
    assert not out.exists()
    assert nf("get", "f1.fits", "--night", str(NIGHT), "-o", str(out)).code == 0
    assert out.read_bytes() == frame(1)


def test_a_file_that_is_nowhere_here_says_so(two_sites: Ground, nf: Nf, tmp_path: Path) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.ingest()
    answer = nf("get", "f1.fits", "-o", str(tmp_path / "out.fits"))
    assert answer.code == 1
    assert "dome-source" in answer.words
    assert "not mounted on this host" in answer.words
    assert nf("get", "nothing.fits", "-o", str(tmp_path / "out.fits")).code == 1


def test_a_file_is_its_owners_until_it_is_public(two_sites: Ground, nf: Nf, tmp_path: Path) -> None:
    """The rule is staging's: a group's members, a date to come, and a lie about who asks."""
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    out = tmp_path / "out.fits"
    assert nf("owner", "set", "f1.fits", "pi", "--public-after", "2100-01-01").code == 0
    refused = nf("get", "f1.fits", "-o", str(out))
    assert refused.code != 0
    assert f"may not be seen by {asker()}: of pi, public after 2100-01-01" in refused.err
    with pytest.MonkeyPatch.context() as lie:
        lie.setattr("os.getuid", lambda: 65534)
        for name in ("LOGNAME", "USER", "SUDO_USER"):
            lie.setenv(name, "pi")
        assert nf("get", "f1.fits", "-o", str(out)).code != 0
    assert not out.exists()
    assert nf("owner", "set", "f1.fits", "pi", "--public-after", "2020-01-01").code == 0
    assert nf("get", "f1.fits", "-o", str(out)).code == 0


def test_an_operator_says_why_and_it_is_kept(two_sites: Ground, nf: Nf, tmp_path: Path) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    out = str(tmp_path / "out.fits")
    assert nf("owner", "set", "f1.fits", "pi").code == 0
    assert "may not be seen" in nf("get", "f1.fits", "-o", out).err
    assert nf("get", "f1.fits", "-o", out, "--override", "a check of the focus").code == 0
    (told,) = two_sites.ask("SELECT detail FROM event WHERE what = 'seen by override'")
    assert told.detail == {"override": "a check of the focus"}
