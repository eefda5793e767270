"""Files become packages that can be opened in thirty years with tar and sha256sum."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from nightferry.testing.camera import replay

from tests.daemons.ground import Ground, frame, ground


def plan(site: Ground) -> None:
    site.once("dome", "ingest")
    site.once("dome", "package")


def packages(site: Ground) -> list[int]:
    """The number of files of each package that was not dissolved, as they were planned."""
    return [
        r.members
        for r in site.ask(
            "SELECT members FROM raw_data_package WHERE state <> 'dissolved' ORDER BY planned, id"
        )
    ]


def tars(site: Ground, location: str = "dome-buffer") -> list[Path]:
    return sorted(site.sites.path(location).rglob("*.tar"))


def file_observation(site: Ground, *paths: str) -> str:
    """An observation that was filed with these files, not complete yet."""
    site.ask("INSERT INTO instrument (name) VALUES ('simulated') ON CONFLICT DO NOTHING")
    unit = site.one(
        "INSERT INTO executed_obs_unit (origin, instrument, night)"
        " VALUES ('filed', 'simulated', '2026-03-14') RETURNING id"
    )
    for path in paths:
        site.ask(
            "INSERT INTO filed_file (executed_obs_unit, location, path)"
            " VALUES (%s, 'dome-source', %s)",
            unit,
            path,
        )
    return str(unit)


def test_an_observation_is_packed_at_once_when_it_is_declared_complete(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, group_quiet="1 h")
    unit = file_observation(site, "f1.fits", "f2.fits")
    for number in (1, 2, 3):
        site.put(f"f{number}.fits", frame(number))
    plan(site)
    assert packages(site) == []
    site.ask("UPDATE executed_obs_unit SET completed = now() WHERE id = %s", unit)
    site.once("dome", "package")
    assert packages(site) == [2]
    assert str(site.one("SELECT executed_obs_unit FROM raw_data_package")) == unit
    site.db.close()


def test_what_nobody_filed_is_packed_when_nothing_came_for_the_quiet_time(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, group_quiet="1 h")
    for number in range(4):
        site.put(f"f{number}.fits", frame(number))
    plan(site)
    assert packages(site) == []
    site.ask("UPDATE raw_data_file SET registered = registered - interval '2 hours'")
    site.once("dome", "package")
    assert packages(site) == [4]
    site.db.close()


def test_a_group_above_the_size_limit_becomes_several_packages_and_a_larger_file_one_alone(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, policy={"package_size": "10 kB"})
    for number in range(7):
        site.put(f"f{number}.fits", frame(number))  # 2,880 bytes each: three fit
    site.put("large.fits", frame(8, NAXIS=1, NAXIS1=20_000) + bytes(20_160))
    plan(site)
    assert sorted(packages(site)) == [1, 1, 3, 3]
    alone = site.ask(
        "SELECT p.members FROM raw_data_package p JOIN package_member m ON m.package = p.id"
        " JOIN raw_data_file f ON f.id = m.file WHERE f.path = 'large.fits'"
    )
    assert alone == [(1,)]
    site.db.close()


def test_a_group_that_still_grows_gives_only_its_full_packages(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, group_quiet="1 h", policy={"package_size": "10 kB"})
    for number in range(4):
        site.put(f"f{number}.fits", frame(number))
    plan(site)
    assert packages(site) == [3]
    site.ask("UPDATE raw_data_file SET registered = registered - interval '2 hours'")
    site.once("dome", "package")
    assert packages(site) == [3, 1]
    site.db.close()


def test_a_late_file_goes_into_a_supplement_and_the_finished_package_stays_as_it_is(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    plan(two_sites)
    two_sites.once("dome", "verify")
    (first,) = tars(two_sites)
    before = first.read_bytes()
    two_sites.put("f2.fits", frame(2))
    two_sites.travel()
    assert packages(two_sites) == [1, 1]
    one, two = two_sites.ask("SELECT id, supplement_of FROM raw_data_package ORDER BY planned")
    assert (one.supplement_of, two.supplement_of) == (None, one.id)
    assert first.read_bytes() == before
    assert two_sites.answer() == "YES"


@pytest.mark.parametrize("change", ["rewritten", "gone"])
def test_a_plan_whose_file_changed_before_it_was_packed_is_dissolved_and_nothing_else_is_lost(
    two_sites: Ground, change: str
) -> None:
    for number in range(3):
        two_sites.put(f"f{number}.fits", frame(number))
    two_sites.ingest()
    if change == "gone":
        (two_sites.source / "f1.fits").unlink()
    else:
        two_sites.put("f1.fits", frame(1, NOTE="rewritten"))
    two_sites.once("dome", "package")
    assert [
        r.state for r in two_sites.ask("SELECT state::text FROM raw_data_package ORDER BY planned")
    ] == ["dissolved", "packed"]
    assert packages(two_sites) == [2]
    two_sites.travel()
    lost = two_sites.ask(
        "SELECT f.path, f.ordinal FROM lost_file l JOIN raw_data_file f ON f.id = l.file"
    )
    assert lost == [("f1.fits", 1)]
    assert two_sites.one("SELECT count(*) FROM package_member") == (2 if change == "gone" else 3)
    assert not two_sites.ask("SELECT FROM blocked")


def test_a_package_that_is_packed_again_has_the_same_bytes(two_sites: Ground) -> None:
    two_sites.frames(3)
    plan(two_sites)
    two_sites.once("dome", "verify")
    (tar,) = tars(two_sites)
    before = tar.read_bytes()
    tar.unlink()
    two_sites.ask("UPDATE physical_copy SET state = 'missing' WHERE location = 'dome-buffer'")
    two_sites.once("dome", "package")
    two_sites.once("dome", "verify")
    assert tar.read_bytes() == before
    assert sorted(two_sites.copies("dome-buffer")) == ["missing", "present"]


def test_a_source_that_is_away_has_not_lost_the_files_of_a_plan(two_sites: Ground) -> None:
    two_sites.frames(2)
    two_sites.ingest()
    away = two_sites.sites.folder / "away"
    two_sites.source.rename(away)
    two_sites.source.mkdir()
    two_sites.once("dome", "package")
    assert [r.state for r in two_sites.ask("SELECT state::text FROM raw_data_package")] == [
        "planned"
    ]
    assert set(two_sites.copies("dome-source")) == {"present"}
    two_sites.source.rmdir()
    away.rename(two_sites.source)
    two_sites.ask("UPDATE job SET due = now()")
    two_sites.travel()
    assert two_sites.answer() == "YES"


def test_packages_of_real_frames_open_with_tar_and_sha256sum_alone(
    database: str, tmp_path: Path, night_data: Path
) -> None:
    site = ground(tmp_path / "site", database)
    replay(night_data / "frames" / "nickel_20240513", site.source, pace=0.0, pieces=1)
    site.travel()
    opened = tmp_path / "opened"
    opened.mkdir()
    archives = tars(site, "archive-a")
    assert archives
    found = 0
    for tar in archives:
        subprocess.run(
            ["sha256sum", "-c", "--strict", tar.name + ".sha256"],
            cwd=tar.parent,
            check=True,
            capture_output=True,
        )
        subprocess.run(["tar", "-xf", tar, "-C", opened], check=True)
        bag = opened / tar.stem
        subprocess.run(
            ["sha256sum", "-c", "--strict", "manifest-sha256.txt"],
            cwd=bag,
            check=True,
            capture_output=True,
        )
        document = json.loads((bag / "nightferry.json").read_text())
        with tar.open("rb") as raw, tarfile.open(tar) as t:
            assert t.getmembers()[-1].name.endswith("nightferry.json")
            for member in document["files"]:
                raw.seek(member["offset"])
                original = (site.source / member["path"]).read_bytes()
                assert raw.read(member["size"]) == original
                found += 1
    assert found == site.one("SELECT count(*) FROM raw_data_file WHERE handling = 'archive'")
    assert site.answer(site.one("SELECT min(night) FROM raw_data_file")) == "YES"
    assert os.stat(archives[0]).st_nlink == 1
    site.db.close()
