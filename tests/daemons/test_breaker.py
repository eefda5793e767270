"""A place that is away costs nobody an attempt, and stops nothing but itself."""

from pathlib import Path

from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import Ground, frame, ground

_AWAY = ".nightferry-location.away"


def twenty_packages(folder: Path, dsn: str) -> Ground:
    """Twenty packages at the data centre's buffer, archived nowhere: each file fills one."""
    site = ground(folder, dsn, keep=None, policy={"package_size": "3 kB"})
    for number in range(20):
        site.put(f"f{number:02d}.fits", frame(number))
    for where, daemon in (
        ("dome", "ingest"),
        ("dome", "package"),
        ("dome", "verify"),
        ("dome", "transfer"),
        ("center", "verify"),
    ):
        site.once(where, daemon)
    assert site.copies("center-buffer") == ["present"] * 20
    return site


def test_an_archive_that_is_away_opens_its_breaker_and_the_other_one_gets_everything(
    database: str, tmp_path: Path
) -> None:
    site = twenty_packages(tmp_path, database)
    marker = site.sites.path("archive-b") / ".nightferry-location"
    marker.rename(marker.with_name(_AWAY))
    site.once("center", "archive")
    assert site.copies("archive-a") == ["arriving"] * 20
    assert site.copies("archive-b") == []
    breaker = site.ask(
        "SELECT state::text, cardinality(subjects) FROM breaker WHERE name = 'archive-b'"
    )
    assert breaker == [("open", 3)]
    waiting = site.ask(
        "SELECT max(attempts), count(*) FROM job WHERE kind = 'archive' AND place = 'archive-b'"
    )
    assert waiting == [(0, 20)]
    assert not site.ask("SELECT FROM blocked")
    assert not list(marker.parent.rglob("*.part")), "nothing was written below the missing mount"


def back_again(folder: Path, dsn: str) -> Ground:
    """The same packages; an archive was away until its breaker opened, and is mounted again."""
    site = twenty_packages(folder, dsn)
    marker = site.sites.path("archive-b") / ".nightferry-location"
    marker.rename(marker.with_name(_AWAY))
    site.once("center", "archive")
    assert site.one("SELECT state::text FROM breaker WHERE name = 'archive-b'") == "open"
    marker.with_name(_AWAY).rename(marker)
    return site


def test_an_open_breaker_closes_unaided_when_its_archive_is_mounted_again(
    database: str, tmp_path: Path
) -> None:
    site = back_again(tmp_path, database)
    with Running(site.sites).start({"center": ("archive", "verify")}):
        wait_until(
            lambda: site.copies("archive-b") == ["present"] * 20,
            40,
            "the other archive's twenty copies",
        )
    assert site.one("SELECT state::text FROM breaker WHERE name = 'archive-b'") == "closed"
    assert site.one("SELECT max(attempts) FROM job_done WHERE kind = 'archive'") == 1


def test_a_daemon_that_runs_now_and_then_asks_first_whether_it_is_back(
    database: str, tmp_path: Path
) -> None:
    site = back_again(tmp_path, database)
    site.once("center", "archive")
    assert site.copies("archive-b") == ["arriving"] * 20
