"""Hostile files and packages: each attack of the list has its outcome, and the night goes on.

ATTACKS says where each is tested. What is tested here goes through the daemons, as files of an
instrument's disk or as packages that lie in an archive.

Over 300 lines: the list of attacks stands beside those that are tried here.
"""

import gzip
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from nightferry import capture
from nightferry.packaging.manifest import Document
from nightferry.packaging.read import Source, read_document
from nightferry.packaging.sidecar import Sidecar, render
from nightferry.testing.sites import environment

from tests.daemons.ground import Ground, card, fits_of, frame, ground
from tests.daemons.test_rebuild import Empty
from tests.database import new_database
from tests.tree import ROOT, sources
from tests.typed import Nf
from tests.unit.packaging_night import intruder, with_member

HERE = "faults/test_hostile.py"
UNPACK = "unit/test_packaging_unpack.py"
INGEST = "daemons/test_ingest.py"
READER = "unit/test_reader.py"
EXPOSURE = "unit/test_exposure.py"
MEMBER = (UNPACK, "test_a_hostile_member_is_refused_with_the_reason")
REBUILD = (HERE, "test_hostile_packages_are_listed_by_a_rebuild_and_the_good_one_is_taken")
FRAMES = (HERE, "test_hostile_frames_are_archived_and_flagged_and_cost_little")
NAMES = (INGEST, "test_files_of_any_name_are_archived")
ODD = (INGEST, "test_what_is_no_regular_file_waits_in_quarantine_and_stops_nothing_else")
# Every attack, and the tests of it: (file below tests/, function).
ATTACKS: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(
        ("tar: absolute", "tar: ..", "tar: symlink", "tar: hard link", "tar: device",
         "tar: setuid", "tar: duplicate", "tar: 4096-byte name", "tar: not UTF-8"),
        (MEMBER, REBUILD),
    ),
    "tar: 100,000 members": (
        (UNPACK, "test_a_tar_with_100_000_more_members_is_refused_at_the_first"), REBUILD),
    "FITS: gzip bomb": ((READER, "test_a_gzip_bomb_costs_little"), FRAMES),
    "FITS: huge NAXIS": ((READER, "test_a_huge_or_impossible_size_is_broken"), FRAMES),
    "FITS: no END": ((READER, "test_a_header_without_end_stops_where_it_is_no_longer_text"), FRAMES),
    "FITS: 200,000 cards": (
        (READER, "test_200_000_cards_are_cut_at_the_limit_and_cost_little_memory"), FRAMES),
    "FITS: CONTINUE chain": ((EXPOSURE, "test_a_chain_of_continuations_is_cut"), FRAMES),
    "FITS: control characters": (
        (EXPOSURE, "test_control_characters_in_a_header_are_shown_and_not_sent"), FRAMES),
    "FITS: SQL and HTML in OBJECT": (
        (EXPOSURE, "test_quotes_and_tags_in_a_header_stay_data"), FRAMES),
    "FITS: bad WCS": ((EXPOSURE, "test_a_bad_wcs_does_not_matter"), FRAMES),
    "FITS: NaN coordinates": (
        (EXPOSURE, "test_a_position_outside_the_sky_is_none_with_a_defect"), FRAMES),
    "source: symlink out": (
        ODD, (HERE, "test_a_file_replaced_between_the_look_and_the_open_is_never_followed")),
    "source: FIFO": (ODD,),
    "source: socket": (ODD,),
    "source: replaced between stat and open": (
        (HERE, "test_a_file_replaced_between_the_look_and_the_open_is_never_followed"),
        (HERE, "test_a_file_replaced_before_it_is_packed_is_in_no_package")),
    "source: hard link": ((HERE, "test_hard_links_are_files_of_their_own"),),
    "source: growing while packed": (
        ("unit/test_packaging_pack.py", "test_a_file_that_is_not_the_registered_one_aborts_the_package"),
        (HERE, "test_a_file_replaced_before_it_is_packed_is_in_no_package")),
    "source: growing while read": (
        (HERE, "test_a_file_that_grows_while_it_is_read_is_registered_once_and_whole"),),
    "source: same name, other content": (
        (INGEST, "test_a_header_that_is_rewritten_and_written_back_makes_three_versions_all_captured"),
        (INGEST, "test_a_name_that_comes_again_the_next_night_is_another_exposure_and_both_nights_end_safe")),
    "source: mtime in the future": (
        ("unit/test_watch_settle.py", "test_an_mtime_in_the_future_changes_nothing"),
        (HERE, "test_a_clock_of_the_disk_that_is_far_off_changes_nothing")),
    "source: case only": (NAMES,),
    "source: NFC and NFD": ((HERE, "test_two_ways_to_write_an_accent_are_two_files"),),
    "source: 255 bytes": (NAMES,),
    "source: spaces and newlines": (NAMES,),
    "a night of 25 hours": ((HERE, "test_a_night_of_25_hours_and_one_of_23_hold_what_was_taken_in_them"),),
}  # fmt: skip


@pytest.fixture
def two_sites(database: str, tmp_path: Path) -> Iterator[Ground]:
    made = ground(tmp_path, database)
    yield made
    made.db.close()


def test_every_attack_of_the_list_has_its_test() -> None:
    written = {
        (str(s.path.relative_to(ROOT / "tests")), name)
        for s in sources("tests")
        for name, _ in s.functions()
    }
    missing = {test for tests in ATTACKS.values() for test in tests} - written
    assert not missing


# --- packages -------------------------------------------------------------------------------------

_TAR: dict[str, Callable[[str, str], bytes]] = {
    "absolute": lambda top, _: intruder("/tmp/nightferry-was-here"),
    "dot-dot": lambda top, _: intruder(f"{top}/data/../../../out"),
    "symlink": lambda top, _: intruder(f"{top}/data/x", tarfile.SYMTYPE, linkname="/"),
    "hard-link": lambda top, _: intruder(f"{top}/data/x", tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": lambda top, _: intruder(f"{top}/data/x", tarfile.CHRTYPE),
    "setuid": lambda top, _: intruder(f"{top}/data/x", mode=0o4755),
    "duplicate": lambda top, first: intruder(f"{top}/{first}", size=700),
    "100000": lambda top, _: b"".join(intruder(f"{top}/data/{n}") for n in range(100_000)),
    "long-name": lambda top, _: intruder("d/" * 2047 + "xx"),
    "not-utf8": lambda top, _: intruder(f"{top}/data/\udce9"),
}


def whole(tar: Path) -> tuple[bytes, Document]:
    raw = tar.read_bytes()
    return raw, read_document(Source(len(raw), lambda at, n: iter([raw[at : at + n]])))


@pytest.mark.slow
def test_hostile_packages_are_listed_by_a_rebuild_and_the_good_one_is_taken(
    two_sites: Ground, server: str, template: str, tmp_path: Path
) -> None:
    """Each has a sidecar that agrees with it, as whoever made it would see to."""
    two_sites.put("f1.fits", frame(1))
    two_sites.put("f2.fits", frame(2))
    two_sites.travel()
    (tar,) = two_sites.sites.path("archive-a").rglob("*.tar")
    raw, document = whole(tar)
    for name, make in _TAR.items():
        member = make(document.name, document.members[0].name)
        bad = with_member(raw, document, "bagit.txt", member)
        there = tar.with_name(f"{name}.tar")
        there.write_bytes(bad)
        members = len(document.members)
        said = Sidecar(document.id, there.name, sha256(bad).hexdigest(), len(bad), members)
        there.with_name(there.name + ".sha256").write_text(render(said))
    before = set(two_sites.sites.folder.rglob("*"))
    with new_database(server, template) as dsn:
        empty = Empty(two_sites, dsn, tmp_path)
        found = empty.nf.json("rebuild", "archive-a")["locations"]["archive-a"]
        assert {Path(d["path"]).stem: d["why"] for d in found["refused"]} == {}
        assert {Path(d["path"]).stem for d in found["damaged"]} == set(_TAR)
        assert all(d["why"] for d in found["damaged"])
        assert (found["packages"], found["files"], found["copies"]) == (1, 2, 1)
        assert empty.one("SELECT path FROM physical_copy") == str(
            tar.relative_to(two_sites.sites.path("archive-a"))
        )
        empty.database.close()
    assert set(two_sites.sites.folder.rglob("*")) - before <= {tmp_path / "nightferry.yaml"}
    assert not os.path.lexists("/tmp/nightferry-was-here")


# --- frames ---------------------------------------------------------------------------------------


def bomb() -> bytes:
    """A compressed file of 1 MB that holds 1 GB."""
    return gzip.compress(frame(1) + bytes(1 << 20), 9) + gzip.compress(bytes(64 << 20), 9) * 16


def continued(pieces: int) -> bytes:
    cards = [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 0), card("OBJECT", "a&")]
    return fits_of(iter([*cards, *(b"CONTINUE  'a&'".ljust(80) for _ in range(pieces))]))


# A frame, what its header is told to be, and a word of its defects.
_FRAMES: dict[str, tuple[bytes, str, str]] = {
    "bomb.fits.gz": (bomb(), "", ""),
    "naxis.fits": (frame(2, NAXIS=2, NAXIS1=2**62, NAXIS2=2**62), "broken", "size"),
    "axes.fits": (frame(3, NAXIS=999), "broken", ""),
    "noend.fits": (fits_of(iter([card("SIMPLE", True)] * 360), end=False), "broken", ""),
    "cards.fits": (frame(4, **{f"K{n}": n for n in range(200_000)}), "broken", "cards"),
    "chain.fits": (continued(50_000), "", ""),
    "control.fits": (frame(5, OBJECT="M\x0731\x00\x1b[2J\x7f"), "", ""),
    "sql.fits": (frame(6, OBJECT="'); DROP TABLE job; --"), "whole", ""),
    "html.fits": (frame(7, OBJECT="<script>alert(1)</script>"), "whole", ""),
    "wcs.fits": (frame(8, CTYPE1="RA---ZZZ", CRVAL1="x", CD1_1=float("inf"), CRPIX1=1e308), "whole", ""),
    "nan.fits": (frame(9, RA=float("nan"), DEC=float("inf"), AIRMASS=float("nan")), "whole", "RA"),
}  # fmt: skip
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
MOST_MEMORY = 400_000  # kB of the ingest worker, who has met 1 GB of zeros


@pytest.mark.slow
def test_hostile_frames_are_archived_and_flagged_and_cost_little(
    two_sites: Ground, database: str, tmp_path: Path
) -> None:
    for name, (content, _, _) in _FRAMES.items():
        two_sites.put(name, content)
    two_sites.put("good.fits", frame(20))
    command = [
        sys.executable,
        "-c",
        _MEASURED,
        *two_sites.sites.command("dome", "ingest", "--once"),
    ]
    ingest = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert ingest.returncode == 0, ingest.stderr
    assert int(ingest.stdout.split()[-1]) < MOST_MEMORY
    two_sites.travel()
    assert two_sites.answer().startswith("YES") or two_sites.verdict().safe == len(_FRAMES) + 1
    for name, (content, header, defect) in _FRAMES.items():
        (file,) = two_sites.files(name)
        assert (file.size, file.sha256) == (len(content), sha256(content).hexdigest()), name
        assert header in ("", file.header), (name, file.header, file.defects)
        assert defect in "; ".join(file.defects), (name, file.defects)
        assert file.ra is None or 0 <= file.ra < 360
    unsafe = "SELECT f.path FROM raw_data_file f, file_answers(ARRAY[f.id]) a WHERE NOT a.safe"
    assert two_sites.ask(unsafe) == []
    assert two_sites.files("good.fits")[0].defects == []
    nf = Nf(database, tmp_path)
    for name in ("control.fits", "sql.fits", "html.fits"):
        answers = nf("why", name).out + nf("headers", "show", name).out + nf("find", name).out
        assert answers.isprintable() or set(answers) <= set(
            c for c in answers if c.isprintable() or c == "\n"
        ), name


# --- an instrument's disk -------------------------------------------------------------------------


def once_before(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], None], of: str = ""
) -> None:
    """The first call of ``owner.name`` (``of`` this path) comes just after ``act``."""
    real = getattr(owner, name)
    left = [act]

    def acting(*values: Any, **named: Any) -> Any:
        if left and (not of or of in values):
            left.pop()()
        return real(*values, **named)

    monkeypatch.setattr(owner, name, acting)


def to_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside)


def to_fifo(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_socket(path: Path, _: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(path.parent)
        listener.bind(path.name)
        os.chdir(here)


def to_directory(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def to_another(path: Path, _: Path) -> None:
    """As a program does that writes beside and renames: another inode."""
    beside = path.with_name("beside.tmp")
    beside.write_bytes(frame(1, NOTE="another"))
    beside.replace(path)


@pytest.mark.parametrize("swap", [to_link, to_fifo, to_socket, to_directory, to_another])
def test_a_file_replaced_between_the_look_and_the_open_is_never_followed(
    two_sites: Ground, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path, Path], None]
) -> None:
    secret = two_sites.sites.folder / "secret"
    secret.write_bytes(frame(1))  # the very same size
    path = two_sites.put("a/f1.fits", frame(1))
    two_sites.put("b/f2.fits", frame(2))
    once_before(monkeypatch, capture.Reader, "capture", lambda: swap(path, secret), "a/f1.fits")
    two_sites.travel()
    rows = two_sites.ask("SELECT path, sha256 FROM raw_data_file ORDER BY path")
    other = ("b/f2.fits", sha256(frame(2)).hexdigest())
    if swap is to_another:
        now = ("a/f1.fits", sha256(frame(1, NOTE="another")).hexdigest())
        assert [tuple(r) for r in rows] == [now, other]
        assert two_sites.answer() == "YES"
    else:
        assert [tuple(r) for r in rows] == [other]
        odd = [r.path for r in two_sites.ask("SELECT path FROM quarantine WHERE released IS NULL")]
        assert odd == ([] if swap is to_directory else ["a/f1.fits"])
    assert secret.read_bytes() == frame(1)


def to_longer(path: Path, _: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(2880))


@pytest.mark.parametrize("swap", [to_link, to_fifo, to_longer, to_another])
def test_a_file_replaced_before_it_is_packed_is_in_no_package(
    two_sites: Ground, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path, Path], None]
) -> None:
    """Planned as it was, and not packed as it is: the rest of its package is, in another one."""
    from nightferryd import package

    secret = two_sites.sites.folder / "secret"
    secret.write_bytes(frame(1))
    path = two_sites.put("f1.fits", frame(1))
    two_sites.put("f2.fits", frame(2))
    two_sites.ingest()
    once_before(monkeypatch, package, "pack", lambda: swap(path, secret))
    two_sites.once("dome", "package")
    two_sites.travel()
    monkeypatch.undo()
    packed = two_sites.ask(
        "SELECT f.path, f.ordinal FROM raw_data_package p JOIN package_member m ON m.package = p.id"
        " JOIN raw_data_file f ON f.id = m.file WHERE p.state = 'packed' ORDER BY f.path"
    )
    seen = [tuple(r) for r in packed]
    assert ("f2.fits", 1) in seen
    assert ("f1.fits", 1) not in seen
    assert (("f1.fits", 2) in seen) == (swap in (to_longer, to_another))
    lost = "SELECT f.path, f.ordinal FROM lost_file l JOIN raw_data_file f ON f.id = l.file"
    odd = [r.path for r in two_sites.ask("SELECT path FROM quarantine WHERE released IS NULL")]
    if swap in (to_longer, to_another):
        assert [tuple(r) for r in two_sites.ask(lost)] == [("f1.fits", 1)]
    else:
        assert odd == ["f1.fits"]
    assert two_sites.verdict().answer == "NO", "and the night says so"


def test_a_file_that_grows_while_it_is_read_is_registered_once_and_whole(
    two_sites: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(1_000_000)
    begun = frame(1, NAXIS=1, NAXIS1=3_000_000) + data
    path = two_sites.put("f1.fits", begun)
    two_sites.put("f2.fits", frame(2))
    read = capture.read_file
    left = [data, data + bytes(2880 - 3_000_000 % 2880)]

    def growing(fd: int, name: str, progress: Any = None, **more: Any) -> Any:
        def also_grow(done: int) -> None:
            if name == "f1.fits" and left:
                with path.open("ab") as file:
                    file.write(left.pop(0))
            progress(done)

        return read(fd, name, progress=also_grow, **more)

    monkeypatch.setattr(capture, "read_file", growing)
    two_sites.travel()
    (file,) = two_sites.files("f1.fits")
    assert file.sha256 == sha256(path.read_bytes()).hexdigest()
    assert (file.size, file.header, file.defects) == (path.stat().st_size, "whole", [])
    assert two_sites.answer() == "YES"


def test_hard_links_are_files_of_their_own(two_sites: Ground) -> None:
    """Each name is captured whole; freeing one takes its name away, and nothing from the others."""
    outside = two_sites.sites.folder / "elsewhere.fits"
    outside.write_bytes(frame(3))
    os.link(two_sites.put("f1.fits", frame(1)), two_sites.source / "twin.fits")
    os.link(outside, two_sites.source / "linked.fits")
    two_sites.travel()
    assert two_sites.answer() == "YES"
    (tar,) = two_sites.sites.path("archive-a").rglob("*.tar")
    with tarfile.open(tar) as package:
        inside = {m.name.rpartition("/")[2]: m for m in package if "/data/" in m.name}
        assert {m.isreg() and m.size for m in inside.values()} == {len(frame(1))}
    assert sorted(inside) == ["f1.fits", "linked.fits", "twin.fits"]
    two_sites.reap()
    assert not list(two_sites.source.glob("*.fits"))
    assert outside.read_bytes() == frame(3)


@pytest.mark.parametrize("seconds", [4_000_000_000, 2**33 + 5, -5_000_000_000])
def test_a_clock_of_the_disk_that_is_far_off_changes_nothing(
    two_sites: Ground, seconds: int
) -> None:
    path = two_sites.put("f1.fits", frame(1))
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9))
    two_sites.put("f2.fits", frame(2))
    two_sites.travel()
    assert two_sites.answer() == "YES"
    two_sites.reap()
    assert two_sites.copies("dome-source") == ["deleted", "deleted"]


def test_two_ways_to_write_an_accent_are_two_files(
    two_sites: Ground, database: str, tmp_path: Path
) -> None:
    names = ["caf\u00e9.fits", "cafe\u0301.fits"]
    for number, name in enumerate(names):
        two_sites.put(name, frame(number))
    two_sites.travel()
    places = f"{{archive-a: '{two_sites.sites.path('archive-a')}'}}"
    nf = Nf(database, tmp_path, places)
    for number, name in enumerate(names):
        out = tmp_path / f"out{number}"
        assert nf("get", name, "-o", str(out)).code == 0
        assert out.read_bytes() == frame(number)
    two_sites.reap()
    assert two_sites.answer() == "YES"
    assert not list(two_sites.source.glob("*.fits"))


@pytest.mark.parametrize(
    ("night", "noon", "next_noon"),
    [
        (date(2026, 4, 4), "2026-04-04T15", "2026-04-05T16"),  # 25 hours
        (date(2026, 9, 5), "2026-09-05T16", "2026-09-06T15"),  # 23 hours
    ],
)
def test_a_night_of_25_hours_and_one_of_23_hold_what_was_taken_in_them(
    database: str, tmp_path: Path, night: date, noon: str, next_noon: str
) -> None:
    """The simulated telescope stands in Chile, where clocks change at midnight."""
    chile = {"zone": "America/Santiago", "instruments": {"simulated": {}}}
    only = {"observatories": {"simulated": {"telescopes": {"sim": chile}}}}
    site = ground(tmp_path, database, extra=only)
    hour_before = f"{noon[:-2]}{int(noon[-2:]) - 1}", f"{next_noon[:-2]}{int(next_noon[-2:]) - 1}"
    moments = {
        "before.fits": f"{hour_before[0]}:59:59", "first.fits": f"{noon}:00:00",
        "an-hour.fits": f"{next_noon[:-2]}02:30:00", "again.fits": f"{next_noon[:-2]}03:30:00",
        "last.fits": f"{hour_before[1]}:59:59", "after.fits": f"{next_noon}:00:00",
    }  # fmt: skip
    for number, (name, moment) in enumerate(moments.items()):
        site.put(name, frame(number, DATE_BEG=moment))
    site.travel()
    by_night = site.ask(
        "SELECT night, array_agg(path ORDER BY path) FROM raw_data_file GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(r) for r in by_night] == [
        (night - timedelta(days=1), ["before.fits"]),
        (night, ["again.fits", "an-hour.fits", "first.fits", "last.fits"]),
        (night + timedelta(days=1), ["after.fits"]),
    ]
    assert [site.answer(night + timedelta(days=n)) for n in (-1, 0, 1)] == ["YES"] * 3
    told = Nf(database, tmp_path)("night", str(night)).words
    assert f"{noon[:10]} {noon[11:]}:00 UTC to {next_noon[:10]} {next_noon[11:]}:00 UTC" in told
    site.db.close()
