"""An archive in a bucket that refuses: what the daemons make of it, and what a person is told.

Before a real object server stands a stand-in that refuses what it is told to, in S3's own words.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from nightferry.cli import nf as commands

from tests.daemons.ground import Ground, frame, ground
from tests.object_server import Server
from tests.refusing import Refusing, in_front_of

pytestmark = pytest.mark.slow
ALL = ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"), ("center", "verify")  # fmt: skip


@pytest.fixture
def front(objects: Server) -> Iterator[Refusing]:
    with in_front_of(objects.endpoint) as started:
        yield started


def before_the_archives(objects: Server, folder: Path, dsn: str, endpoint: str) -> Ground:
    """Each file is a package of its own at the data centre; archive-b is a bucket at ``endpoint``."""
    objects.new_bucket()
    how = {"prefix": f"{folder.name}/", "endpoint": endpoint, "streams": 1}  # parts go in order
    settings = objects.settings("plain", **how)
    policy = {"package_size": "3 kB"}
    buckets = {"archive-b": (settings, objects.key_file)}
    return ground(folder, dsn, buckets=buckets, policy=policy)


@pytest.fixture
def three(objects: Server, front: Refusing, database: str, tmp_path: Path) -> Iterator[Ground]:
    """Three packages, archived nowhere yet."""
    site = before_the_archives(objects, tmp_path, database, front.endpoint)
    for number in range(3):
        site.put(f"f{number}.fits", frame(number))
    for where, daemon in ALL:
        site.once(where, daemon)
    assert site.copies("center-buffer") == ["present"] * 3
    yield site
    site.db.close()


def nf(site: Ground, *words: str) -> str:
    config = str(site.sites.config("center"))
    return " ".join(CliRunner().invoke(commands, ["--config", config, *words]).output.split())


def to_the_bucket(site: Ground) -> list[tuple[str, int, str]]:
    rows = site.ask(
        "SELECT state::text, attempts, error ->> 'message' FROM job"
        " WHERE kind = 'archive' AND place = 'archive-b'"
    )
    return [tuple(row) for row in rows]


def heals(site: Ground, front: Refusing) -> None:
    """Nothing is refused any more: by itself, all is archived."""
    front.refuse(None)
    site.ask("UPDATE job SET due = now()")
    for daemon in ("archive", "archive", "verify"):  # the first asks whether it is there
        site.once("center", daemon)
    assert site.copies("archive-b") == ["present"] * 3
    assert site.ask("SELECT FROM breaker WHERE state <> 'closed'") == []
    assert site.ask("SELECT FROM blocked") == []


def test_a_bucket_that_can_not_be_had_opens_its_breaker_and_says_what_to_do(
    three: Ground, front: Refusing
) -> None:
    for code, advice in (
        ("NoSuchBucket", "There is no bucket plain: create it, or correct it."),
        ("AccessDenied", "Give this host's keys the right to read, write and list it."),
        ("RequestTimeTooSkewed", "This host's clock and the server's differ: correct it."),
        ("InternalError", "Look at the server."),
        ("SlowDown", "Look at the server."),
    ):
        three.ask("DELETE FROM job")
        three.ask("DELETE FROM breaker")
        front.refuse(code)
        three.once("center", "archive")
        (breaker,) = three.ask(
            "SELECT name, state::text, reason FROM breaker WHERE subjects <> '{}'"
        )
        assert (breaker.name, breaker.state) == ("archive-b", "open")
        assert code in breaker.reason
        assert advice in breaker.reason
        waits = to_the_bucket(three)
        assert [spent for _, spent, _ in waits] == [0] * 3
        assert {state for state, _, _ in waits} <= {"waiting", "ready"}  # due, and not claimed
        assert three.ask("SELECT FROM blocked") == []
        assert three.copies("archive-b") == []
        for told in (nf(three, "status"), nf(three, "check")):
            assert "archive-b" in told, told
            assert code in told, told
        assert advice in json.dumps(json.loads(nf(three, "jobs", "list", "--json"))["jobs"])
    assert three.copies("archive-a") == ["arriving"] * 3  # the other archive got all of it
    heals(three, front)


def test_a_bucket_that_may_be_read_and_not_written_opens_it_too(
    three: Ground, front: Refusing
) -> None:
    front.refuse("AccessDenied", "PutObject", "CreateMultipartUpload")
    three.once("center", "archive")
    (breaker,) = three.ask("SELECT name, state::text, reason FROM breaker WHERE subjects <> '{}'")
    assert (breaker.name, breaker.state) == ("archive-b", "open")
    assert "right to read, write and list" in breaker.reason
    assert three.ask("SELECT FROM blocked") == []
    three.ask("UPDATE breaker SET state = 'closed', subjects = '{}'")
    heals(three, front)


def test_a_lock_that_refuses_is_a_persons_to_look_at(three: Ground, front: Refusing) -> None:
    front.refuse("ObjectLocked", "PutObject")
    three.once("center", "archive")
    blocked = three.ask("SELECT reason, evidence ->> 'message' AS said FROM blocked")
    assert [one.reason for one in blocked] == ["the bucket is locked"] * 3
    assert all("Its retention must end first" in one.said for one in blocked)
    assert three.ask("SELECT FROM breaker WHERE state <> 'closed'") == []
    assert "the bucket is locked" in nf(three, "status")
    assert "failed jobs: WARNING (3 jobs, such as archive: the bucket is locked)" in nf(
        three, "check"
    )
    nf(three, "jobs", "release", "--reason", "the bucket is locked")
    heals(three, front)


def test_a_quota_that_fills_in_the_middle_is_waited_for_and_gone_on_with(
    objects: Server, front: Refusing, database: str, tmp_path: Path
) -> None:
    """What arrived does not cross again."""
    site = before_the_archives(objects, tmp_path, database, front.endpoint)
    site.put("long.bin", os.urandom(16_000_000))  # four parts
    for where, daemon in ALL:
        site.once(where, daemon)
    front.refuse("QuotaExceeded", "UploadPart", let_pass=2)
    site.once("center", "archive")
    ((state, spent, said),) = to_the_bucket(site)
    assert (state, spent) == ("waiting", 0)
    assert "takes no more: make room, or raise its quota" in said
    assert site.ask("SELECT FROM breaker WHERE state <> 'closed'") == []
    assert site.ask("SELECT FROM blocked") == []
    assert "raise its quota" in json.dumps(json.loads(nf(site, "jobs", "list", "--json"))["jobs"])
    front.refuse(None)
    site.ask("UPDATE job SET due = now()")
    site.once("center", "archive")
    assert front.asked["UploadPart"] == 2
    site.once("center", "verify")
    assert site.copies("archive-b") == ["present"]
    site.db.close()


def test_a_bucket_with_versions_is_an_archive_whose_deletions_can_be_undone(
    objects: Server, database: str, tmp_path: Path
) -> None:
    objects.new_bucket(versions=True)
    settings = objects.settings("versioned", prefix=f"{tmp_path.name}/")
    site = ground(tmp_path, database, buckets={"archive-b": (settings, objects.key_file)})
    site.frames(1)
    site.travel()
    assert site.answer() == "YES"
    assert "it keeps versions" in nf(site, "locations", "list")
    name = site.one("SELECT name FROM raw_data_package")
    assert "there is no trash" not in nf(site, "why", name)
    site.db.close()
