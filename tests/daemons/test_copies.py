"""Bad bytes are found, replaced from a good copy, and never written over."""

from pathlib import Path

import pytest
from nightferry.durable import Root

from tests.daemons.ground import Ground, frame


def flip(path: Path) -> None:
    """One bit of rot in the middle, size and time as before."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def arriving(site: Ground, location: str) -> Path:
    name: str = site.one(
        "SELECT temporary FROM physical_copy WHERE location = %s AND state = 'arriving'", location
    )
    return site.sites.path(location) / name


def read_long_ago(site: Ground, location: str) -> None:
    """As if everything there was last read well before the days that a proof holds."""
    site.ask("ALTER TABLE verification DISABLE TRIGGER verification_is_history")
    site.ask(
        "UPDATE verification SET began = began - interval '200 days',"
        " ended = ended - interval '200 days'"
        " WHERE copy IN (SELECT id FROM physical_copy WHERE location = %s)", location,
    )  # fmt: skip
    site.ask("ALTER TABLE verification ENABLE TRIGGER verification_is_history")


@pytest.fixture
def archived(two_sites: Ground) -> Ground:
    """One package, at both archives."""
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    assert two_sites.answer() == "YES"
    return two_sites


def package_at(site: Ground, location: str) -> Path:
    path: str = site.one(
        "SELECT path FROM physical_copy WHERE location = %s AND state = 'present'", location
    )
    return site.sites.path(location) / path


@pytest.mark.parametrize("step", range(3))
def test_bytes_that_rot_on_their_way_are_never_published_and_are_brought_again(
    two_sites: Ground, step: int
) -> None:
    maker, location = (
        ("package", "dome-buffer"),
        ("transfer", "center-buffer"),
        ("archive", "archive-b"),
    )[step]
    two_sites.put("f1.fits", frame(1))
    travel = [
        ("dome", "ingest"),
        ("dome", "package"),
        ("dome", "verify"),
        ("dome", "transfer"),
        ("center", "verify"),
        ("center", "archive"),
    ]
    for site, daemon in travel:
        two_sites.once(site, daemon)
        if daemon == maker:
            break
    temporary = arriving(two_sites, location)
    flip(temporary)
    two_sites.once("dome" if step == 0 else "center", "verify")
    assert "corrupt" in two_sites.copies(location)
    assert "present" not in two_sites.copies(location)
    assert not temporary.exists()
    assert not list(two_sites.sites.path(location).rglob("*.tar"))
    two_sites.travel()
    assert two_sites.copies(location) == ["corrupt", "present"] or two_sites.copies(location) == [
        "present",
        "corrupt",
    ]
    assert two_sites.answer() == "YES"


def test_an_archive_copy_that_rots_is_repaired_from_another_copy_and_its_bytes_are_set_aside(
    archived: Ground,
) -> None:
    package = package_at(archived, "archive-a")
    good = package.read_bytes()
    flip(package)
    bad = package.read_bytes()
    read_long_ago(archived, "archive-a")
    archived.once("center", "verify")
    assert archived.copies("archive-a") == ["corrupt"]
    assert archived.verdict().answer == "NO"
    archived.once("center", "archive")
    archived.once("center", "verify")
    assert package.read_bytes() == good
    root = archived.sites.path("archive-a")
    (aside,) = (root / ".nightferry" / "set-aside").rglob("*.tar")
    assert aside.read_bytes() == bad
    assert said_to_be_corrupt(archived) == str(aside.relative_to(root))
    assert archived.answer() == "YES"


def test_bad_bytes_that_a_dead_claim_set_aside_are_said_to_lie_there(archived: Ground) -> None:
    """Killed after the bad bytes were moved, and before the good ones had their name."""
    package = package_at(archived, "archive-a")
    flip(package)
    read_long_ago(archived, "archive-a")
    archived.once("center", "verify")
    archived.once("center", "archive")
    path = str(package.relative_to(archived.sites.path("archive-a")))
    token = archived.one("SELECT id FROM physical_copy WHERE state = 'arriving'")
    with Root.unmarked(archived.sites.path("archive-a")) as root:
        moved = root.set_aside(path, str(token))
    archived.once("center", "verify")
    assert said_to_be_corrupt(archived) == moved
    assert archived.answer() == "YES"


def said_to_be_corrupt(site: Ground) -> str:
    return str(site.one("SELECT path FROM physical_copy WHERE state = 'corrupt'"))


def test_an_archive_copy_is_repaired_from_the_other_archive_when_no_buffer_has_it_any_more(
    archived: Ground,
) -> None:
    archived.reap()
    assert set(archived.copies("center-buffer")) == {"deleted"}
    flip(package_at(archived, "archive-a"))
    read_long_ago(archived, "archive-a")
    for daemon in ("verify", "archive", "verify"):
        archived.once("center", daemon)
    assert sorted(archived.copies("archive-a")) == ["corrupt", "present"]
    assert archived.answer() == "YES"


def test_a_package_that_is_gone_from_an_archive_is_brought_again(archived: Ground) -> None:
    package_at(archived, "archive-a").unlink()
    read_long_ago(archived, "archive-a")
    for daemon in ("verify", "archive", "verify"):
        archived.once("center", daemon)
    assert sorted(archived.copies("archive-a")) == ["missing", "present"]
    assert archived.answer() == "YES"


def test_a_copy_that_rots_between_two_archives_is_not_spread(archived: Ground) -> None:
    """The only source that is left is bad: it is found out, and nothing is made of it."""
    archived.reap()
    flip(package_at(archived, "archive-a"))
    package_at(archived, "archive-b").unlink()
    read_long_ago(archived, "archive-b")
    archived.once("center", "verify")
    archived.once("center", "archive")
    archived.once("center", "verify")
    assert "corrupt" in archived.copies("archive-a")
    assert archived.copies("archive-b") == ["missing"]
    assert archived.verdict().answer == "NO"


@pytest.mark.parametrize("damage", ["damaged", "gone"])
def test_a_sidecar_that_is_not_what_the_ledger_says_is_made_again(
    archived: Ground, damage: str
) -> None:
    package = package_at(archived, "archive-a")
    sidecar = package.with_name(package.name + ".sha256")
    good = sidecar.read_bytes()
    if damage == "gone":
        sidecar.unlink()
    else:
        flip(sidecar)
    read_long_ago(archived, "archive-a")
    archived.once("center", "verify")
    assert sidecar.read_bytes() == good
    assert archived.copies("archive-a") == ["present"]
    assert archived.answer() == "YES"


def test_a_file_that_stands_in_the_way_of_a_package_is_never_written_over(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.once("dome", "ingest")
    two_sites.once("dome", "package")
    name = two_sites.one("SELECT path FROM raw_data_package")
    stranger = two_sites.sites.path("archive-b") / name
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"somebody's")
    two_sites.travel()
    assert stranger.read_bytes() == b"somebody's"
    assert two_sites.copies("archive-a") == ["present"]
    assert two_sites.copies("archive-b") == ["arriving"]
    assert two_sites.ask("SELECT location, path FROM quarantine WHERE released IS NULL") == [
        ("archive-b", name)
    ]
    blocked = two_sites.ask("SELECT kind, reason FROM blocked")
    assert blocked == [("verify", "another file stands there")]
    stranger.unlink()
    two_sites.ask("DELETE FROM blocked")
    two_sites.once("center", "verify")
    assert two_sites.copies("archive-b") == ["present"]


def test_the_same_package_that_stands_there_already_is_taken_for_the_copy(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    for site, daemon in (("dome", "ingest"), ("dome", "package"), ("dome", "verify")):
        two_sites.once(site, daemon)
    package = package_at(two_sites, "dome-buffer")
    there = two_sites.sites.path("archive-b") / package.relative_to(
        two_sites.sites.path("dome-buffer")
    )
    there.parent.mkdir(parents=True)
    there.write_bytes(package.read_bytes())
    two_sites.travel()
    assert two_sites.copies("archive-b") == ["present"]
    assert two_sites.answer() == "YES"


def test_a_sender_whose_copy_rotted_is_found_out_and_the_package_is_made_again(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    for site, daemon in (("dome", "ingest"), ("dome", "package"), ("dome", "verify")):
        two_sites.once(site, daemon)
    flip(package_at(two_sites, "dome-buffer"))
    two_sites.once("dome", "transfer")
    assert two_sites.copies("dome-buffer") == ["suspect"]
    assert two_sites.copies("center-buffer") == []
    two_sites.once("dome", "verify")
    assert two_sites.copies("dome-buffer") == ["corrupt"]
    two_sites.travel()
    assert two_sites.answer() == "YES"


def test_a_place_that_refuses_a_package_does_not_make_its_sender_doubtful(
    two_sites: Ground,
) -> None:
    """A link in the path at the far end is no fault of the copy that was to be sent."""
    two_sites.put("f1.fits", frame(1))
    for site, daemon in (("dome", "ingest"), ("dome", "package"), ("dome", "verify")):
        two_sites.once(site, daemon)
    elsewhere = two_sites.sites.folder / "elsewhere"
    elsewhere.mkdir()
    (two_sites.sites.path("center-buffer") / "simulated").symlink_to(elsewhere)
    two_sites.once("dome", "transfer")
    assert two_sites.copies("dome-buffer") == ["present"]
    assert two_sites.ask("SELECT kind, reason FROM blocked") == [
        ("transfer", "symbolic link in path")
    ]
    assert not list(elsewhere.iterdir())


def test_an_archive_that_refuses_a_package_does_not_make_its_source_doubtful(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    elsewhere = two_sites.sites.folder / "elsewhere"
    elsewhere.mkdir()
    (two_sites.sites.path("archive-a") / "simulated").symlink_to(elsewhere)
    two_sites.travel()
    assert two_sites.copies("center-buffer") == ["present"]
    assert two_sites.ask("SELECT kind, reason FROM blocked") == [
        ("archive", "symbolic link in path")
    ]
    assert two_sites.copies("archive-b") == ["present"]
