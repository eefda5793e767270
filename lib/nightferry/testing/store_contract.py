"""What every store promises, as tests. A plug-in's author subclasses :class:`StoreContract`.

class TestTapeStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with ... as store:
            yield store        # empty, and new for each test
"""

import hashlib
import uuid

import pytest

from nightferry.errors import Occupied, Retry
from nightferry.stores.base import CHUNK, Store

MISSING = "2024/05/none.fits"


def put(store: Store, path: str, data: bytes) -> str:
    """Write and publish ``data`` as ``path``; its SHA-256."""
    sha256 = hashlib.sha256(data).hexdigest()
    store.publish(begin(store, path, data), path, sha256)
    return sha256


def begin(store: Store, path: str, data: bytes, token: str | None = None) -> str:
    """Write ``data`` to a temporary file for ``path``; the temporary's path."""
    with store.write(path, token or new_token()) as writing:
        writing.write(data)
        writing.finish()
    return writing.path


def get(store: Store, path: str) -> bytes:
    return b"".join(store.read(path))


def new_token() -> str:
    return str(uuid.uuid4())


class UntrashedContract:
    """The promises of ``nightferry.stores.base.Store`` that a store without a trash keeps too."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("the subclass gives an empty store")

    def test_it_answers_a_probe_and_knows_its_room(self, store: Store) -> None:
        store.probe()
        space = store.space()
        assert space is None or 0 < space.free <= space.total

    @pytest.mark.parametrize(
        "name",
        ["d1001.fits", "with space and ü.fits", "100%25.fits", "%FF%0A.fits", "n" * 255],
    )
    def test_what_was_published_is_read_as_it_was_written(self, store: Store, name: str) -> None:
        path = f"2024/05/{name}"
        put(store, path, b"SIMPLE  =")
        assert get(store, path) == b"SIMPLE  ="
        assert store.size(path) == 9
        assert [(one.path, one.size) for one in store.walk()] == [(path, 9)]

    def test_nothing_has_its_name_before_it_is_published(self, store: Store) -> None:
        temporary = begin(store, "a/frame.fits", b"bytes")
        assert [one.path for one in store.walk()] == []
        with pytest.raises(FileNotFoundError):
            store.size("a/frame.fits")
        assert get(store, temporary) == b"bytes"

    def test_a_part_is_read_from_any_offset(self, store: Store) -> None:
        data = bytes(range(256)) * (CHUNK // 256) * 2 + b"tail"
        put(store, "big.tar", data)
        chunks = list(store.read("big.tar"))
        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= 4 * 1024 * 1024
        assert b"".join(store.read("big.tar", 100, CHUNK)) == data[100 : 100 + CHUNK]
        assert b"".join(store.read("big.tar", len(data) - 2)) == b"il"
        assert b"".join(store.read("big.tar", len(data) + 1)) == b""

    def test_a_file_of_many_reads_comes_back_whole(self, store: Store) -> None:
        """However much is read ahead, and whatever comes after that."""
        data = b"".join(bytes([n]) * (1 << 20) for n in range(75)) + b"tail"
        sha256 = put(store, "night.tar", data)
        back = hashlib.sha256()
        for chunk in store.read("night.tar"):
            back.update(chunk)
        assert back.hexdigest() == sha256
        read = store.read_back("night.tar")
        assert (read.sha256, read.size) == (sha256, len(data))

    def test_reading_back_tells_hash_and_size(self, store: Store) -> None:
        data = b"0123456789" * 500_000
        sha256 = put(store, "a/package.tar", data)
        seen: list[int] = []
        reading = store.read_back("a/package.tar", seen.append)
        assert (reading.sha256, reading.size) == (sha256, len(data))
        assert reading.how in ("medium", "cache", "remote")
        assert reading.began <= reading.ended
        assert seen == sorted(seen)
        assert seen[-1] == len(data)

    def test_reading_back_stops_when_progress_says_so(self, store: Store) -> None:
        put(store, "a", b"bytes")

        def stop(_: int) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            store.read_back("a", stop)

    def test_the_same_bytes_published_again_are_adopted(self, store: Store) -> None:
        sha256 = put(store, "a", b"same")
        temporary = begin(store, "a", b"same")
        assert store.publish(temporary, "a", sha256) == "identical"
        assert list(store.temporaries()) == []

    def test_a_publish_done_twice_is_done(self, store: Store) -> None:
        temporary = begin(store, "a", b"bytes")
        sha256 = hashlib.sha256(b"bytes").hexdigest()
        assert store.publish(temporary, "a", sha256) == "published"
        assert store.publish(temporary, "a", sha256) == "identical"

    def test_other_bytes_are_never_overwritten(self, store: Store) -> None:
        put(store, "a", b"first")
        temporary = begin(store, "a", b"other")
        with pytest.raises(Occupied):
            store.publish(temporary, "a", hashlib.sha256(b"other").hexdigest())
        assert get(store, "a") == b"first"
        assert get(store, temporary) == b"other"

    def test_a_partial_goes_on_where_it_was(self, store: Store) -> None:
        token = new_token()
        with store.write("a", token, resume=True) as first:
            first.write(b"begun, ")
        with store.write("a", token, resume=True) as second:
            assert second.offset == len(b"begun, ")
            second.write(b"ended")
            second.finish()
        assert second.path == first.path
        assert get(store, second.path) == b"begun, ended"

    def test_an_interrupted_write_that_cannot_resume_leaves_nothing(self, store: Store) -> None:
        with store.write("a", new_token()) as writing:
            writing.write(b"begun")
        assert list(store.temporaries()) == []

    def test_temporaries_are_found_with_their_token_and_discarded(self, store: Store) -> None:
        token = new_token()
        temporary = begin(store, "a/b", b"bytes", token)
        put(store, "a/c", b"other")
        assert [(one.path, one.token) for one in store.temporaries()] == [(temporary, token)]
        store.discard(temporary)
        store.discard(temporary)
        assert list(store.temporaries()) == []
        assert get(store, "a/c") == b"other"

    def test_only_temporaries_are_discarded_and_only_trash_is_erased(self, store: Store) -> None:
        put(store, "a/b", b"bytes")
        with pytest.raises(ValueError):
            store.discard("a/b")
        with pytest.raises(ValueError):
            store.erase("a/b")
        assert get(store, "a/b") == b"bytes"

    def test_what_is_set_aside_is_kept_out_of_the_way(self, store: Store) -> None:
        put(store, "a/b", b"doubtful")
        token = new_token()
        assert store.aside("a/b", token) is None
        kept = store.set_aside("a/b", token)
        assert store.aside("a/b", token) == kept
        assert store.aside("a/b", new_token()) is None
        assert [one.path for one in store.walk()] == []
        assert get(store, kept) == b"doubtful"
        with pytest.raises(ValueError):
            store.erase(kept)

    def test_another_file_than_the_one_that_was_seen_is_not_set_aside(self, store: Store) -> None:
        put(store, "a/b", b"doubtful")
        seen = store.stat("a/b")
        store.set_aside("a/b", new_token(), seen)
        put(store, "a/b", b"made again")
        with pytest.raises(Retry):
            store.set_aside("a/b", new_token(), seen)
        assert get(store, "a/b") == b"made again"

    def test_a_walk_stays_below_its_directory(self, store: Store) -> None:
        for path in ("a/1", "a/b/2", "c/3"):
            put(store, path, b"bytes")
        assert sorted(one.path for one in store.walk()) == ["a/1", "a/b/2", "c/3"]
        assert sorted(one.path for one in store.walk("a")) == ["a/1", "a/b/2"]

    def test_a_missing_file_is_said_to_be_missing(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError):
            store.size(MISSING)
        with pytest.raises(FileNotFoundError):
            get(store, MISSING)
        with pytest.raises(FileNotFoundError):
            store.read_back(MISSING)
        with pytest.raises(FileNotFoundError):
            store.trash(MISSING, new_token())

    @pytest.mark.parametrize("path", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/%00b"])
    def test_a_path_never_leaves_the_store(self, store: Store, path: str) -> None:
        for verb in (
            lambda: store.size(path),
            lambda: get(store, path),
            lambda: store.read_back(path),
            lambda: store.write(path, new_token()),
            lambda: store.trash(path, new_token()),
            lambda: store.set_aside(path, new_token()),
            lambda: store.aside(path, new_token()),
        ):
            with pytest.raises(ValueError):
                verb()

    def test_a_token_is_a_uuid(self, store: Store) -> None:
        put(store, "a", b"bytes")
        with pytest.raises(ValueError):
            store.write("b", "../../b")
        with pytest.raises(ValueError):
            store.trash("a", "../../b")


class StoreContract(UntrashedContract):
    """All of its promises."""

    def test_the_trash_gives_back_what_it_got(self, store: Store) -> None:
        put(store, "a/b", b"bytes")
        token = new_token()
        entry = store.trash("a/b", token)
        assert token in entry
        assert store.trash("a/b", token) == entry
        assert [one.path for one in store.walk()] == []
        assert get(store, entry) == b"bytes"
        store.restore(entry, "a/b")
        store.restore(entry, "a/b")
        assert get(store, "a/b") == b"bytes"

    def test_another_file_than_the_one_that_was_seen_is_not_trashed(self, store: Store) -> None:
        put(store, "a/b", b"first")
        seen = store.stat("a/b")
        store.erase(store.trash("a/b", new_token(), seen))
        put(store, "a/b", b"a new exposure")
        with pytest.raises(Retry):
            store.trash("a/b", new_token(), seen)
        assert get(store, "a/b") == b"a new exposure"

    def test_what_is_erased_from_the_trash_is_gone(self, store: Store) -> None:
        put(store, "a/b", b"bytes")
        put(store, "a/c", b"other")
        entry = store.trash("a/b", new_token())
        store.erase(entry)
        store.erase(entry)
        with pytest.raises(FileNotFoundError):
            store.size(entry)
        assert [one.path for one in store.walk()] == ["a/c"]

    def test_a_restore_never_overwrites_a_new_file(self, store: Store) -> None:
        put(store, "a/b", b"first")
        entry = store.trash("a/b", new_token())
        put(store, "a/b", b"new")
        with pytest.raises(Occupied):
            store.restore(entry, "a/b")
        assert get(store, "a/b") == b"new"
        assert get(store, entry) == b"first"
