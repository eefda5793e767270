"""A bucket keeps the promises of a store; and what only a bucket must do, on two real servers.

Over 300 lines: one page on one kind of store, whose servers take seconds to start.
"""

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from nightferry.durable import init_location as init_directory
from nightferry.errors import ConfigError, GiveUp, Occupied, Retry, Unavailable, Unreadable
from nightferry.stores import PosixStore, Store, open_store
from nightferry.stores.s3 import Bucket, S3Store, Settings, copying, init_location, probe
from nightferry.stores.s3.names import Temporary
from nightferry.stores.s3.reading import look
from nightferry.testing.store_contract import (
    StoreContract,
    UntrashedContract,
    begin,
    get,
    new_token,
    put,
)
from nightferry.testing.transport_contract import Ends, TransportContract, a_parcel
from nightferry.transports import open_transport

from tests.object_server import Server, rclone, seaweed

PART = 5 * 1024 * 1024
BIG = os.urandom(3 * PART + 1000)


@pytest.fixture(scope="module")
def careful() -> Iterator[Server]:
    with seaweed() as server:
        yield server


@pytest.fixture(scope="module")
def careless() -> Iterator[Server]:
    with rclone() as server:
        yield server


def store_in(bucket: Bucket) -> S3Store:
    return S3Store(bucket.location, bucket, init_location(bucket).marker)


@pytest.fixture
def archive(careful: Server) -> S3Store:
    return store_in(careful.new_bucket())


def uploads(store: S3Store) -> list[str]:
    pages = store.bucket.pages("list_multipart_uploads", "")
    return [store.bucket.path(one["Key"]) for page in pages for one in page.get("Uploads", [])]


def keys(store: S3Store) -> list[str]:
    pages = store.bucket.pages("list_objects_v2", "")
    return [store.bucket.path(one["Key"]) for page in pages for one in page.get("Contents", [])]


class TestBucketWithVersions(StoreContract):
    @pytest.fixture
    def store(self, careful: Server, request: pytest.FixtureRequest) -> Store:
        if (
            getattr(request.node, "callspec", None)
            and "n" * 255 in request.node.callspec.params.values()
        ):
            pytest.skip("SeaweedFS keeps versions in a folder with a longer name than the object's")
        return store_in(careful.new_bucket(versions=True))


class TestBucketWithoutVersions(UntrashedContract):
    @pytest.fixture
    def store(self, archive: S3Store) -> Store:
        return archive

    def test_what_could_not_be_undone_is_not_done(self, store: Store) -> None:
        put(store, "a/b", b"bytes")
        with pytest.raises(GiveUp, match="keeps no versions") as caught:
            store.trash("a/b", new_token())
        assert caught.value.reason == "no trash"
        assert get(store, "a/b") == b"bytes"


class TestCarelessBucket(UntrashedContract):
    @pytest.fixture
    def store(self, careless: Server) -> Store:
        return store_in(careless.new_bucket())


class TestIntoABucket(TransportContract):
    DATA = BIG

    @pytest.fixture
    def ends(self, archive: S3Store, tmp_path: Path) -> Iterator[Ends]:
        init_directory(tmp_path, "buffer")
        with PosixStore("buffer", tmp_path) as source:
            yield Ends(open_transport("s3", "archive", source, archive, {}), source, archive)

    def test_a_killed_writer_sends_only_what_had_not_arrived(
        self, ends: Ends, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parcel = a_parcel(ends, self.DATA)
        monkeypatch.setattr("nightferry.stores.s3.writing.S3Writing.__exit__", _as_if_killed)
        with pytest.raises(InterruptedError):
            ends.transport.send(parcel, _stop_at(2 * PART + 10))
        monkeypatch.undo()
        sent = ends.transport.send(parcel)
        assert sent.resumed_from >= PART
        assert sent.resumed_from % PART == 0
        assert sent.bytes_sent == len(self.DATA) - sent.resumed_from
        assert get(ends.destination, sent.temporary) == self.DATA

    def test_an_other_part_is_seen_before_all_is_sent(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        self.leave_a_partial(ends, parcel, b"x" * (2 * PART))
        sent = ends.transport.send(parcel)
        assert sent.resumed_from == 0
        assert get(ends.destination, sent.temporary) == self.DATA


def _as_if_killed(writing: object, *_: object) -> None:
    writing._wait()  # type: ignore[attr-defined] - its parts arrive; nothing else is done
    writing._close()  # type: ignore[attr-defined]


def _stop_at(amount: int):  # type: ignore[no-untyped-def]
    def stop(so_far: int) -> None:
        if so_far >= amount:
            raise InterruptedError

    return stop


# --- writing -------------------------------------------------------------------------------------


def test_a_large_object_goes_in_parts_and_comes_back_by_ranges(archive: S3Store) -> None:
    sha256 = put(archive, "2024/big.tar", BIG)
    assert archive.read_back("2024/big.tar").sha256 == sha256
    assert b"".join(archive.read("2024/big.tar", PART - 5, 10)) == BIG[PART - 5 : PART + 5]
    assert uploads(archive) == []


def test_our_sha256_stands_beside_the_bytes(archive: S3Store) -> None:
    sha256 = hashlib.sha256(b"bytes").hexdigest()
    with archive.write("a", new_token(), sha256=sha256) as writing:
        writing.write(b"bytes")
        writing.finish()
    found = archive.bucket.call("head_object", "a")["Metadata"]
    assert {k.lower(): v for k, v in found.items()}["nightferry-sha256"] == sha256


def test_a_name_that_is_taken_while_it_is_written_is_not_overwritten(archive: S3Store) -> None:
    with archive.write("a", new_token(), resume=True) as writing:
        writing.write(b"late")
        put(archive, "a", b"first")
        with pytest.raises(Retry, match="took its name"):
            writing.finish()
    assert get(archive, "a") == b"first"
    assert list(archive.temporaries()) == []


def test_the_same_package_from_two_routes_is_one(archive: S3Store) -> None:
    sha256 = hashlib.sha256(BIG).hexdigest()
    one, two = archive.write("a", new_token(), True), archive.write("a", new_token(), True)
    for writing in (one, two):
        writing.write(BIG[: 2 * PART])
    one.write(BIG[2 * PART :])
    one.finish()
    assert archive.publish(one.path, "a", sha256) == "published"
    assert archive.size("a") == len(BIG)  # though another's ticket for the name is there still
    two.write(BIG[2 * PART :])
    with pytest.raises(Retry):
        two.finish()
    assert get(archive, "a") == BIG
    assert uploads(archive) == []


def test_an_interrupted_upload_is_found_and_aborted(archive: S3Store) -> None:
    token = new_token()
    with archive.write("a/b", token, resume=True) as writing:
        writing.write(BIG[: PART + 1])
    assert uploads(archive) == ["a/b"]
    (left,) = archive.temporaries()
    assert left.token == token
    archive.discard(left.path)
    assert uploads(archive) == []
    assert [key for key in keys(archive) if key != ".nightferry-location"] == []


def test_an_upload_without_a_ticket_is_garbage_once_it_is_old(
    archive: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.bucket.call("create_multipart_upload", "a/b")
    assert list(archive.temporaries()) == []
    monkeypatch.setattr("nightferry.stores.s3.store.ORPHANED", -timedelta(days=1))
    (left,) = archive.temporaries()
    assert left.token == ""
    archive.discard(left.path)
    assert uploads(archive) == []


def test_what_was_set_aside_makes_room_for_the_good_bytes(archive: S3Store) -> None:
    put(archive, "a", b"rotten")
    good = begin(archive, "a", b"good")
    assert Temporary.of(good).beside  # type: ignore[union-attr]
    kept = archive.set_aside("a", new_token())
    assert archive.publish(good, "a", hashlib.sha256(b"good").hexdigest()) == "published"
    assert get(archive, "a") == b"good"
    assert get(archive, kept) == b"rotten"
    assert list(archive.temporaries()) == []


def test_a_name_that_is_taken_while_the_server_copies_is_not_overwritten(
    archive: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(archive, "a", b"rotten")
    good = begin(archive, "a", b"good")
    archive.set_aside("a", new_token())

    def another_comes_first(bucket: Bucket, path: str, to: str, only_if_free: bool) -> None:
        put(archive, to, b"first")
        copying.copy(bucket, path, to, only_if_free)

    monkeypatch.setattr("nightferry.stores.s3.store.copy", another_comes_first)
    with pytest.raises(Occupied):
        archive.publish(good, "a", hashlib.sha256(b"good").hexdigest())
    assert get(archive, "a") == b"first"
    assert uploads(archive) == []
    assert [left.path for left in archive.temporaries()] == [good]


def test_a_copy_in_parts_keeps_our_token_and_sha256(
    archive: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PART", PART)
    put(archive, "a", b"rotten")
    token, sha256 = new_token(), hashlib.sha256(BIG).hexdigest()
    with archive.write("a", token, sha256=sha256) as writing:
        writing.write(BIG)
        writing.finish()
        beside = writing.path
    archive.set_aside("a", new_token())
    assert archive.publish(beside, "a", sha256) == "published"
    found = look(archive.bucket, "a")
    assert (found.token, found.sha256, found.size) == (token, sha256, len(BIG))
    assert found.etag.strip('"').endswith("-4")  # four parts
    assert get(archive, "a") == BIG


def test_an_empty_object_is_copied_too(archive: S3Store) -> None:
    put(archive, "a", b"")
    kept = archive.set_aside("a", new_token())
    assert get(archive, kept) == b""


def test_an_object_that_is_replaced_while_it_is_read_is_not_read_well(
    archive: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightferry.stores.s3.reading.RANGE", 1024 * 1024)
    put(archive, "a", BIG)
    chunks = archive.read("a")
    next(chunks)
    archive.bucket.call("put_object", "a", Body=BIG[::-1])
    with pytest.raises(Unreadable, match="replaced"):
        list(chunks)


# --- what a server can do -------------------------------------------------------------------------


def test_a_careful_server_is_known_for_one(careful: Server) -> None:
    found = probe(careful.new_bucket(versions=True))
    assert found.if_none_match
    assert found.if_none_match_parts
    assert found.rejects_wrong_sha256
    assert found.keeps_metadata
    assert found.lists_parts
    assert found.if_match
    assert found.versions
    assert not found.locked
    assert not found.one_writer_only
    assert not probe(careful.new_bucket()).versions


def test_a_probe_leaves_nothing_behind(careful: Server) -> None:
    for versions in (True, False):
        store = S3Store("archive", careful.new_bucket(versions=versions))
        probe(store.bucket)
        assert keys(store) == []
        assert uploads(store) == []


def test_a_careless_server_is_caught_overwriting(careless: Server) -> None:
    found = probe(careless.new_bucket())
    assert not found.if_none_match
    assert not found.if_none_match_parts
    assert not found.rejects_wrong_sha256
    assert not found.if_match
    assert found.one_writer_only


def test_a_careless_server_is_caught_returning_rot(careless: Server) -> None:
    store = store_in(careless.new_bucket())
    sha256 = put(store, "a/package.tar", BIG)
    assert store.read_back("a/package.tar").sha256 == sha256
    lies_at = careless.folder / store.bucket.name / store.bucket.key("a/package.tar")
    with lies_at.open("r+b") as file:
        file.seek(PART)
        file.write(bytes([BIG[PART] ^ 1]))
    seen = store.read_back("a/package.tar")
    assert seen.size == len(BIG)
    assert seen.sha256 != sha256


def test_other_bytes_are_not_overwritten_even_where_the_server_would(careless: Server) -> None:
    store = store_in(careless.new_bucket())
    put(store, "a", b"first")
    temporary = begin(store, "a", b"other")
    with pytest.raises(Occupied):
        store.publish(temporary, "a", hashlib.sha256(b"other").hexdigest())
    assert get(store, "a") == b"first"


# --- where it is ----------------------------------------------------------------------------------


def test_a_server_that_copies_no_parts_copies_the_whole(careless: Server) -> None:
    store = store_in(careless.new_bucket())
    put(store, "a", b"rotten")
    good = begin(store, "a", b"good")
    store.set_aside("a", new_token())
    assert store.publish(good, "a", hashlib.sha256(b"good").hexdigest()) == "published"
    assert get(store, "a") == b"good"
    assert look(store.bucket, "a").token


def test_a_bucket_is_opened_by_its_settings(careful: Server) -> None:
    bucket = careful.new_bucket()
    marker = init_location(bucket).marker
    settings = {
        **careful.settings(bucket.name, prefix=bucket.settings.prefix),
        "path": careful.key_file,
        "marker": marker,
    }
    open_store("s3", "archive", settings).probe()


def test_two_locations_share_a_bucket_by_their_prefixes(careful: Server) -> None:
    bucket = careful.new_bucket()
    at = bucket.settings.prefix
    one = store_in(careful.bucket("north", bucket.name, prefix=f"{at}north/"))
    two = store_in(careful.bucket("south", bucket.name, prefix=f"{at}south/"))
    put(one, "a", b"bytes")
    assert [it.path for it in one.walk()] == ["a"]
    assert [it.path for it in two.walk()] == []


def test_a_bucket_that_is_not_there_is_away_and_not_empty(careful: Server) -> None:
    store = S3Store("archive", careful.bucket("archive", "not-there"))
    with pytest.raises(Unavailable, match=r"no (marker|bucket)"):
        store.probe()
    with pytest.raises(Unavailable, match="There is no bucket not-there"):
        init_location(store.bucket)
    nobody = S3Store("archive", Bucket("archive", Settings("b", "http://127.0.0.1:1")))
    nobody.bucket.__dict__["client"] = _impatient()
    with pytest.raises(Unavailable, match="does not answer"):
        nobody.probe()


def _impatient():  # type: ignore[no-untyped-def]
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )


def test_keys_that_the_server_does_not_know_are_said(careful: Server, tmp_path: Path) -> None:
    name = careful.new_bucket().name
    wrong = tmp_path / "keys"
    wrong.write_text("[default]\naws_access_key_id=nobody\naws_secret_access_key=nothing\n")
    settings = {**careful.settings(name), "path": wrong}
    with pytest.raises(Unavailable, match=r"(Look at the keys|right to read)"):
        open_store("s3", "archive", settings).probe()
    with pytest.raises(Unavailable, match="no keys for the bucket"):
        open_store("s3", "archive", {**settings, "path": tmp_path / "none"}).probe()


def test_the_marker_of_another_location_is_found(careful: Server) -> None:
    bucket = careful.new_bucket("north")
    init_location(bucket)
    mistaken = careful.bucket("south", bucket.name, prefix=bucket.settings.prefix)
    with pytest.raises(Unavailable, match="marker of north"):
        S3Store("south", mistaken).probe()
    with pytest.raises(Occupied, match="is the location north"):
        init_location(mistaken)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "lacks 'bucket'"),
        ({"bucket": "b", "buckett": "c"}, "did you mean 'bucket'"),
        ({"bucket": "b", "part_size": "1 MiB"}, "5 MiB or more"),
        ({"bucket": "b", "prefix": "north"}, "must end with '/'"),
        ({"bucket": "b", "checksums": "always"}, "required"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_store("s3", "archive", settings)
