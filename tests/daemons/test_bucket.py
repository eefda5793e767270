"""An archive in a bucket: what the daemons and the commands do over disks, they do over it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from nightferry.audit import apply, audit
from nightferry.stores.s3 import Bucket
from nightferry.stores.s3.temporaries import forget

from tests.daemons.bucketed import archived_in, bucket, nf
from tests.daemons.ground import Ground
from tests.object_server import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def archived(objects: Server, database: str, tmp_path: Path) -> Iterator[Ground]:
    yield from archived_in(objects, database, tmp_path)


def test_a_night_is_safe_with_an_archive_in_a_bucket(archived: Ground, objects: Server) -> None:
    assert archived.answer() == "YES"
    assert archived.copies("archive-b") == ["present"]
    how = archived.one(
        "SELECT DISTINCT how::text FROM verification v JOIN physical_copy c ON c.id = v.copy WHERE c.location = 'archive-b'"
    )
    assert how == "remote"
    paths = [one.path for one in bucket(archived, objects).walk()]
    assert len(paths) == 2
    assert paths[1] == f"{paths[0]}.sha256"


def test_a_source_is_emptied_on_the_proof_of_a_bucket(archived: Ground) -> None:
    archived.reap()
    assert set(archived.copies("dome-source")) == {"deleted"}
    assert archived.answer() == "YES"


def test_an_object_that_vanished_is_missing_and_is_repaired(
    archived: Ground, objects: Server
) -> None:
    store = bucket(archived, objects)
    (package, _) = (one.path for one in store.walk())
    forget(store.bucket, package)
    found = audit(archived.db, "archive-b", objects.key_file)
    assert found.absent == (package,)
    archived.db.run(lambda tx: apply(tx, found))
    assert archived.copies("archive-b") == ["missing"]
    archived.once("center", "archive")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["missing", "present"]
    assert archived.answer() == "YES"
    assert audit(archived.db, "archive-b", objects.key_file).clean


def test_rot_in_a_bucket_is_found_and_mended(archived: Ground, objects: Server) -> None:
    store = bucket(archived, objects)
    (package, _) = (one.path for one in store.walk())
    whole = b"".join(store.read(package))
    store.bucket.call("put_object", package, Body=whole[:-1] + b"x")
    archived.ask("UPDATE physical_copy SET state = 'suspect' WHERE location = 'archive-b'")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["corrupt"]
    archived.once("center", "archive")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["corrupt", "present"]
    assert b"".join(store.read(package)) == whole
    assert archived.answer() == "YES"


def test_one_file_comes_back_by_its_place_in_the_package(archived: Ground, tmp_path: Path) -> None:
    (wanted,) = archived.ask("SELECT path, id FROM raw_data_file ORDER BY path LIMIT 1")
    content = (archived.source / wanted.path).read_bytes()
    shutil.rmtree(archived.sites.path("archive-a"))
    shutil.rmtree(archived.sites.path("center-buffer"))
    out = tmp_path / "back.fits"
    asked: list[tuple[str, str | None]] = []
    real = Bucket.call

    def call(self: Bucket, verb: str, path: str = "", /, **values: Any) -> Any:
        if verb == "get_object":
            asked.append((path, values.get("Range")))
        return real(self, verb, path, **values)

    with mock.patch.object(Bucket, "call", call):
        assert "From archive-b" in nf(archived, "get", str(wanted.id), "-o", str(out))
    assert out.read_bytes() == content
    ((at, size),) = archived.ask(
        "SELECT m.data_offset, f.size FROM package_member m JOIN raw_data_file f ON f.id = m.file WHERE f.id = %s",
        wanted.id,
    )
    of_the_package = [found for path, found in asked if path.endswith(".tar")]
    assert of_the_package == [f"bytes={at}-{at + size - 1}"]


def test_the_ledger_is_rebuilt_from_a_bucket_alone(archived: Ground, objects: Server) -> None:
    archived.ask("UPDATE heartbeat SET stopped = now()")
    files = "SELECT path, sha256, size, night FROM raw_data_file ORDER BY path"
    before = archived.ask(files)
    archived.ask("TRUNCATE raw_data_file, raw_data_package, verification, job CASCADE")
    assert archived.ask(files) == []
    told = nf(archived, "rebuild", "archive-b")
    assert "archive-b" in told
    assert "DONE" in told
    assert archived.ask(files) == before
    assert set(archived.copies("archive-b")) <= {"present", "suspect"}
    assert len(archived.copies("archive-b")) == 1


def test_locations_say_what_a_bucket_can_do(archived: Ground) -> None:
    told = nf(archived, "locations", "list")
    assert "archive-b: a bucket at http://127.0.0.1" in told
    assert "by If-None-Match" in told
    assert "there is no trash" in told


def test_why_says_where_there_is_no_trash(archived: Ground) -> None:
    name = archived.one("SELECT name FROM raw_data_package")
    assert "archive-b is a bucket: there is no trash" in nf(archived, "why", name)


def test_a_bucket_that_is_away_opens_its_breaker_and_blocks_nothing(
    archived: Ground, objects: Server
) -> None:
    """Its marker is gone: as for a disk that is not mounted, nothing is concluded of its copies."""
    store = bucket(archived, objects)
    marker = b"".join(store.read(".nightferry-location"))
    forget(store.bucket, ".nightferry-location")
    archived.ask("UPDATE physical_copy SET state = 'suspect' WHERE location = 'archive-b'")
    # One copy is one subject: its breaker is to open at the third that fails.
    archived.ask("UPDATE breaker SET subjects = '{}'")
    archived.ask(
        "INSERT INTO breaker (name, subjects) VALUES ('archive-b', '{a,b}') "
        "ON CONFLICT (name) DO UPDATE SET subjects = '{a,b}'"
    )
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["suspect"]
    (breaker,) = archived.ask("SELECT state::text, reason FROM breaker WHERE name = 'archive-b'")
    assert breaker.state == "open"
    assert "no marker .nightferry-location" in breaker.reason
    assert archived.ask("SELECT FROM blocked") == []
    assert archived.ask("SELECT attempts FROM job WHERE place = 'archive-b' AND attempts > 0") == []
    store.bucket.call("put_object", ".nightferry-location", Body=marker)
    archived.ask("UPDATE job SET due = now()")
    archived.once("center", "verify")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["present"]
    assert archived.ask("SELECT FROM breaker WHERE state <> 'closed'") == []
