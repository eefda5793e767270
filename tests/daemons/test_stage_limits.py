"""What staging does not do: for whom, beyond which room, and on which host."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml
from nightferry.errors import NightferryError
from nightferry.packaging import unpack

from tests.daemons.ground import NIGHT, Ground, frame, ground
from tests.daemons.staged import ME, ask, nf, safe_night, seen_at, unpacked, work_at


@pytest.fixture
def archived(database: str, tmp_path: Path) -> Iterator[Ground]:
    yield from safe_night(database, tmp_path)


def test_a_proprietary_night_is_refused_and_an_operators_word_is_kept(archived: Ground) -> None:
    archived.ask("UPDATE raw_data_file SET owner = 'somebody-else'")
    with pytest.raises(NightferryError, match="of somebody-else"):
        ask(archived)
    archived.ask("UPDATE raw_data_file SET owner = NULL")
    with pytest.raises(NightferryError, match="of an unknown owner"):
        ask(archived)
    assert archived.ask("SELECT FROM staging") == []
    ask(archived, override="a check of the focus")
    assert archived.one("SELECT override FROM staging") == "a check of the focus"
    archived.ask("UPDATE raw_data_file SET public_after = now() + interval '1 day'")
    with pytest.raises(NightferryError, match=r"of an unknown owner, public after \d{4}"):
        ask(archived)
    archived.ask("UPDATE raw_data_file SET public_after = now() - interval '1 day'")
    ask(archived)


def test_one_frame_that_is_anothers_closes_its_package(archived: Ground) -> None:
    """Rights are asked of the files: what 'nf owner' says counts at once, packed or not."""
    (one, *_) = archived.ask("SELECT path FROM raw_data_file ORDER BY path")
    nf(archived, "owner", "set", one.path, "somebody-else")
    with pytest.raises(NightferryError, match="of somebody-else"):
        ask(archived)


def test_a_lie_about_who_asks_opens_nothing(
    archived: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived.ask("UPDATE raw_data_file SET owner = 'somebody-else'")
    monkeypatch.setattr("os.getuid", lambda: 65534)
    for name in ("LOGNAME", "USER", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    with pytest.raises(NightferryError, match="of somebody-else"):
        ask(archived)


def test_a_quota_is_reserved_before_anything_is_read(database: str, tmp_path: Path) -> None:
    site = ground(tmp_path, database, work={"quota": "1 kB"})
    try:
        site.frames(1)
        site.travel()
        with pytest.raises(NightferryError, match="do not fit into the quota"):
            ask(site, override="a test")
        assert site.ask("SELECT FROM staged_package") == []
    finally:
        site.db.close()


def test_a_request_for_more_than_is_free_is_refused(archived: Ground) -> None:
    """What others reserved and is not unpacked yet is not free either."""
    size = archived.one("SELECT size FROM raw_data_package")
    seen_at(archived, "center", "center-work")
    room = "UPDATE location_state SET free_bytes = %s WHERE location = 'center-work'"
    archived.ask(room, size - 1)
    with pytest.raises(NightferryError, match="do not fit on center-work"):
        ask(archived)
    assert archived.ask("SELECT FROM staging") == []
    archived.ask(room, size)
    ask(archived)
    archived.put("late.fits", frame(9))
    archived.travel()
    archived.ask("UPDATE raw_data_file SET owner = %s", ME)
    archived.ask(room, size)
    with pytest.raises(NightferryError, match=f"of which {size:,} are reserved"):
        ask(archived)


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_while_it_is_unpacked_is_waited_for(archived: Ground, why: int) -> None:
    real, files = unpack._fill, []

    def full(fd: int, member: object, body: Iterator[bytes]) -> None:
        """The second file finds no room after its first bytes."""
        files.append(member)
        if len(files) == 2:
            os.write(fd, b"SIMPLE")
            raise OSError(why, os.strerror(why))
        real(fd, member, body)  # type: ignore[arg-type]

    ask(archived)
    with mock.patch("nightferry.packaging.unpack._fill", full):
        archived.once("center", "stage")
    (job,) = archived.ask("SELECT state::text, attempts, error ->> 'message' AS said FROM job")
    assert (job.state, job.attempts) == ("waiting", 0)
    assert "make room there" in job.said
    assert archived.ask("SELECT FROM blocked") == []
    assert list((work_at(archived) / "staged").iterdir()) == []  # the half of it takes no room
    archived.ask("UPDATE job SET due = now()")
    archived.once("center", "stage")
    assert archived.one("SELECT state::text FROM staging") == "ready"
    assert len(unpacked(archived)) == 3


def test_a_host_without_a_copy_leaves_it_to_another_and_breaks_nothing(archived: Ground) -> None:
    """The archives are well: it is this host that has none of them mounted."""
    host = yaml.safe_load(archived.sites.config("center").read_text())
    places = host["locations"]
    work = {"center-work": places.pop("center-work")}
    archived.sites.config("center").write_text(yaml.safe_dump(host))
    apart = archived.sites.config("center").with_name("apart.yaml")
    apart.write_text(yaml.safe_dump(host | {"host": "apart", "locations": work}))
    seen_at(archived, "center", *places)
    ask(archived)  # as nobody is known to have it, nothing is known against it
    seen_at(archived, "apart", "center-work")
    archived.once("apart", "stage")
    (job,) = archived.ask("SELECT state::text, attempts, error ->> 'message' AS said FROM job")
    assert (job.state, job.attempts) == ("waiting", 0)
    for told in ("(apart)", "archive-a at center", "archive-b at center", "Run nightferry-stage"):
        assert told in job.said
    assert archived.ask("SELECT FROM breaker WHERE state <> 'closed' OR subjects <> '{}'") == []
    assert archived.ask("SELECT FROM blocked") == []
    told = nf(archived, "stage", "add", "--night", str(NIGHT))
    assert "waits: no host with center-work (apart) has a copy of it mounted" in told
    places |= work
    archived.sites.config("center").write_text(yaml.safe_dump(host))
    archived.ask("UPDATE job SET due = now()")
    archived.once("center", "stage")
    assert archived.ask("SELECT FROM staging WHERE state <> 'ready'") == []
