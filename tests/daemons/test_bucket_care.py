"""What is done over a bucket night after night: sweeping, scrubbing, mending, staging, and how fast."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from nightferry import staging
from nightferry.audit import audit
from nightferry.stores.s3 import S3Store
from nightferry.stores.s3.temporaries import forget
from nightferry.transports import LocalTransport, Parcel, Sent

from tests.daemons.bucketed import archived_in, bucket, nf
from tests.daemons.ground import NIGHT, TRAVEL, Ground, ground
from tests.daemons.staged import NOTHING
from tests.daemons.test_scrub import grow_old
from tests.object_server import Server, rclone

pytestmark = pytest.mark.slow


@pytest.fixture
def archived(objects: Server, database: str, tmp_path: Path) -> Iterator[Ground]:
    yield from archived_in(objects, database, tmp_path)


def test_uploads_that_nobody_means_any_more_are_aborted_by_the_sweep(
    archived: Ground, objects: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with a ticket whose package no row names, and one with none at all."""
    store = bucket(archived, objects)
    with store.write("left/by-a-ticket.tar", str(uuid.uuid4()), resume=True) as left:
        left.write(os.urandom(6 * 2**20))
    store.bucket.call("create_multipart_upload", "left/without-one.tar")
    assert uploads(store) == ["left/by-a-ticket.tar", "left/without-one.tar"]
    sweep(archived)
    assert "left/without-one.tar" in uploads(store)  # its writer has a day
    assert "left/by-a-ticket.tar" not in uploads(store)
    monkeypatch.setattr("nightferry.stores.s3.store.ORPHANED", timedelta(days=-1))
    sweep(archived)
    assert "left/without-one.tar" not in uploads(store)
    assert archived.answer() == "YES"
    assert len(list(store.walk())) == 2


def uploads(store: S3Store) -> list[str]:
    pages = store.bucket.pages("list_multipart_uploads", "")
    return sorted(store.bucket.path(u["Key"]) for p in pages for u in p.get("Uploads", []))


def sweep(site: Ground) -> None:
    site.ask("DELETE FROM temporary_sweep")
    site.once("center", "reap")
    assert site.one("SELECT count(*) FROM temporary_sweep WHERE location = 'archive-b'") == 1


def test_a_scrub_finds_rot_in_a_bucket(archived: Ground, objects: Server) -> None:
    """Nobody doubts the copy: it is read because it was last read long ago."""
    rot(bucket(archived, objects))
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["present"]
    grow_old(archived, 0.85 * 90, "archive-b")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["corrupt"]
    assert "archive-b" in nf(archived, "check")
    archived.once("center", "archive")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["corrupt", "present"]


def rot(store: S3Store) -> None:
    (package, _) = (one.path for one in store.walk())
    whole = b"".join(store.read(package))
    store.bucket.call("put_object", package, Body=whole[:-1] + b"x")


@pytest.mark.parametrize("harm", ["other words", "gone"])
def test_a_sidecar_in_a_bucket_is_mended(archived: Ground, objects: Server, harm: str) -> None:
    store = bucket(archived, objects)
    (_, sidecar) = (one.path for one in store.walk())
    good = b"".join(store.read(sidecar))
    if harm == "gone":
        forget(store.bucket, sidecar)
    else:
        store.bucket.call("put_object", sidecar, Body=good.replace(b"0", b"1"))
    archived.ask("UPDATE physical_copy SET state = 'suspect' WHERE location = 'archive-b'")
    archived.once("center", "verify")
    assert archived.copies("archive-b") == ["present"]
    assert b"".join(store.read(sidecar)) == good
    assert audit(archived.db, "archive-b", objects.key_file).clean


def test_a_night_is_staged_from_a_bucket(objects: Server, database: str, tmp_path: Path) -> None:
    objects.new_bucket()
    settings = objects.settings("plain", prefix=f"{tmp_path.name}/")
    site = ground(tmp_path, database, work={}, buckets={"archive-b": (settings, objects.key_file)})
    content = site.frames(2)
    site.travel()
    for away in ("archive-a", "center-buffer"):
        shutil.rmtree(site.sites.path(away))
        site.ask("UPDATE physical_copy SET state = 'missing' WHERE location = %s", away)
    words = NOTHING | {"night": NIGHT}
    site.db.run(lambda tx: staging.place(tx, staging.Request(words, override="a test")))
    site.once("center", "stage")
    below = site.sites.path("center-work") / "staged"
    found = {p.name: p.read_bytes() for p in below.rglob("*") if p.is_file()}
    assert found == {Path(name).name: data for name, data in content.items()}
    assert site.one("SELECT state::text FROM staging") == "ready"
    site.db.close()


def test_a_careless_server_is_caught_by_verify_and_said_to_be_for_one_writer(
    database: str, tmp_path: Path
) -> None:
    """rclone gives back whatever lies on its disk."""
    with rclone() as careless:
        careless.new_bucket()
        settings = careless.settings("plain", prefix=f"{tmp_path.name}/")
        site = ground(tmp_path, database, buckets={"archive-b": (settings, careless.key_file)})
        site.frames(1)
        site.travel()
        assert site.answer() == "YES"
        told = nf(site, "locations", "list")
        assert "it writes over what is there when asked to: let one host write here" in told
        path = site.one("SELECT path FROM physical_copy WHERE location = 'archive-b'")
        with (careless.folder / "plain" / tmp_path.name / path).open("r+b") as file:
            file.seek(4000)
            file.write(b"rot")
        grow_old(site, 0.85 * 90, "archive-b")
        site.once("center", "verify")
        assert site.copies("archive-b") == ["corrupt"]
        site.db.close()


@pytest.mark.parametrize("archive", ["archive-a", "archive-b"])
def test_an_archive_is_written_no_faster_than_it_may(
    objects: Server, database: str, tmp_path: Path, archive: str
) -> None:
    """A disk and a bucket, by the location's own table."""
    objects.new_bucket()
    settings = objects.settings("plain", prefix=f"{tmp_path.name}/")
    site = ground(tmp_path, database, buckets={"archive-b": (settings, objects.key_file)})
    document = site.sites.folder / "etc" / "observatory.yaml"
    wanted = yaml.safe_load(document.read_text())
    wanted["locations"][archive]["bandwidth"] = {"rate": "2 MB"}
    document.write_text(yaml.safe_dump(wanted))
    assert "archive" in nf(site, "config", "apply", str(document))
    site.put("long.bin", os.urandom(10_000_000))
    for where, daemon in TRAVEL[:-2]:
        site.once(where, daemon)
    took: dict[str, float] = {}
    real = LocalTransport.send

    def send(self: LocalTransport, parcel: Parcel, progress: Any = None) -> Sent:
        began = time.monotonic()
        sent = real(self, parcel, progress)
        took[self.route] = time.monotonic() - began
        return sent

    with mock.patch.object(LocalTransport, "send", send):
        site.once("center", "archive")
    (other,) = took.keys() - {archive}
    assert 4.5 < took[archive] < 10.0  # 5 s; more where the machine is busy, and never less
    assert took[other] < took[archive]
    site.db.close()
