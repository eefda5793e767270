"""A bucket that refuses: what is said of it, and what becomes of what was under way."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import botocore.auth
import pytest
from nightferry.cli.capabilities import of_bucket
from nightferry.errors import Unavailable
from nightferry.stores import open_store
from nightferry.stores.s3 import Bucket, S3Store, init_location, probe
from nightferry.testing.store_contract import get, new_token, put

from tests.object_server import READER, Server, seaweed, write_keys

DAY = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with seaweed() as started:
        yield started


def store_in(bucket: Bucket) -> S3Store:
    return S3Store(bucket.location, bucket, init_location(bucket).marker)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong_is_said_and_nothing_is_blocked(server: Server, minutes: int) -> None:
    """The signer's clock is shifted; the server, which is real, refuses what it signs."""
    store = store_in(server.new_bucket())
    wrong = mock.patch(
        "botocore.auth.get_current_datetime",
        return_value=botocore.auth.get_current_datetime() + timedelta(minutes=minutes),
    )
    said = "This host's clock and the server's differ: correct it"
    with wrong, pytest.raises(Unavailable, match=said):
        store.probe()
    with wrong, pytest.raises(Unavailable, match=said) as caught:
        put(store, "a.tar", b"bytes")
    assert caught.value.what == store.location
    put(store, "a.tar", b"bytes")  # the clock is right again


def test_keys_that_may_only_read_are_said_before_anything_is_written(
    server: Server, tmp_path: Path
) -> None:
    bucket = server.new_bucket()
    store = store_in(bucket)
    put(store, "a.tar", b"bytes")
    settings = {
        **server.settings(bucket.name, prefix=bucket.settings.prefix),
        "path": write_keys(tmp_path / "keys", READER),
        "marker": store.marker,
    }
    reader = open_store("s3", store.location, settings)
    assert get(reader, "a.tar") == b"bytes"
    with pytest.raises(Unavailable, match="right to read, write and list") as caught:
        put(reader, "b.tar", b"bytes")
    assert caught.value.what == store.location
    with pytest.raises(FileNotFoundError):
        store.stat("b.tar")


@pytest.fixture(scope="module")
def locked(server: Server) -> S3Store:
    """What is written stays a day, whoever asks."""
    bucket = server.bucket("archive", "locked")
    bucket.call("create_bucket", ObjectLockEnabledForBucket=True)
    bucket.call("put_object_lock_configuration", ObjectLockConfiguration=DAY)
    return store_in(bucket)


def test_a_locked_bucket_is_known_for_one(locked: S3Store) -> None:
    found = probe(locked.bucket)
    assert found.locked
    assert found.versions
    assert "it is locked: what is written stays as long as its rule says" in of_bucket(
        found.as_json()
    )


def test_a_locked_bucket_takes_packages_and_gives_a_name_free_that_was_written_badly(
    locked: S3Store,
) -> None:
    put(locked, "a.tar", b"bytes")
    assert get(locked, "a.tar") == b"bytes"
    with locked.write("b.tar", new_token()) as bad:
        bad.write(b"not the bytes")
        bad.finish()
    locked.discard(bad.path)
    assert list(locked.temporaries()) == []
    put(locked, "b.tar", b"bytes")
    assert get(locked, "b.tar") == b"bytes"
    assert sorted(one.path for one in locked.walk()) == ["a.tar", "b.tar"]


def test_what_goes_to_a_locked_buckets_trash_comes_back(locked: S3Store) -> None:
    put(locked, "c.tar", b"bytes")
    entry = locked.trash("c.tar", new_token())
    with pytest.raises(FileNotFoundError):
        locked.stat("c.tar")
    locked.restore(entry, "c.tar")
    assert get(locked, "c.tar") == b"bytes"
