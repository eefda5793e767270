"""A bucket as a store: each promise of ``base.py``, where nothing can be renamed.

Over 300 lines: every verb of a store, a page of promises.

How a file has no name before it is published, see ``names.py``. A bucket that keeps versions has a
trash: a deletion there is a marker over the object, until the version itself goes. A bucket without
versions has none, and what can't be undone is not done: ``trash`` refuses.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from nightferry.errors import Occupied, Retry, Unavailable, Unreadable
from nightferry.marker import MARKER_FILE
from nightferry.names import check_relative
from nightferry.place import OURS
from nightferry.readback import Reading, Unfinished
from nightferry.stores.base import Abandoned, Space, Stored
from nightferry.stores.s3.client import Bucket, Settings, Taken, credentials_file
from nightferry.stores.s3.copying import copy
from nightferry.stores.s3.names import (
    ARRIVING,
    BESIDE,
    SET_ASIDE,
    TRASH,
    UPLOAD,
    Temporary,
    kept,
    not_ours,
    trashed,
)
from nightferry.stores.s3.reading import Object, look, read
from nightferry.stores.s3.temporaries import (
    Begun,
    abort,
    begun,
    discard,
    forget,
    ticket_of,
    withdraw,
)
from nightferry.stores.s3.trash import Trash
from nightferry.stores.s3.writing import S3Writing
from nightferry.temporary import check_token

ORPHANED = timedelta(days=1)  # an upload that no ticket names, and whose writer had this long


class S3Store:
    """The location ``location`` in a bucket, proven by its marker's uuid."""

    def __init__(self, location: str, bucket: Bucket, marker: str | None = None) -> None:
        self.location = location
        self.bucket = bucket
        self.marker = marker
        self._trash = Trash(bucket)

    @classmethod
    def from_settings(cls, location: str, settings: Mapping[str, object]) -> Self:
        """``path`` (of this host's keys), ``marker``, and what observatory.yaml says."""
        known = {k: v for k, v in settings.items() if k not in ("path", "marker")}
        marker = settings.get("marker")
        bucket = Bucket(
            location, Settings.read(location, known), credentials_file(location, settings)
        )
        return cls(location, bucket, None if marker is None else str(marker))

    def probe(self) -> None:
        try:
            answer = self.bucket.call("get_object", MARKER_FILE)
            with self.bucket.speaking(MARKER_FILE):
                found = json.loads(answer["Body"].read())
        except FileNotFoundError as error:
            raise Unavailable(
                self.location,
                f"{self.location}: no marker {MARKER_FILE} in {self.bucket.where}. If this is a "
                f"new location, run: nf locations init {self.location}",
            ) from error
        except ValueError as error:
            raise Unavailable(
                self.location, f"{self.location}: its marker can't be understood: {error}"
            ) from error
        if found.get("location") != self.location or self.marker not in (
            None,
            found.get("marker"),
        ):
            raise Unavailable(
                self.location,
                f"{self.location}: {self.bucket.where} carries the marker of "
                f"{found.get('location')} ({found.get('marker')}), not of {self.location} "
                f"({self.marker or 'any'}). Correct the bucket or the prefix in observatory.yaml.",
            )

    def space(self) -> Space | None:
        return None  # a bucket does not say

    # --- reading ----------------------------------------------------------------------------------

    def size(self, path: str) -> int:
        return self._seen(path).size

    def stat(self, path: str) -> Stored:
        found = self._seen(path)
        return Stored(path, found.size, found.mtime_ns)

    def has_writer(self, path: str) -> bool | None:
        self._seen(path)
        return False  # an object is whole when it is there, and never changes

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        yield from read(self.bucket, self._seen(path), offset, length)

    def read_back(
        self,
        path: str,
        progress: Callable[[int], None] | None = None,
        unfinished: Unfinished | None = None,
    ) -> Reading:
        # ``unfinished`` goes by an inode, and there is none: each reading is a whole one.
        began = datetime.now(UTC)
        digest, size = hashlib.sha256(), 0
        for chunk in read(self.bucket, self._seen(path), 0, None):
            digest.update(chunk)
            size += len(chunk)
            if progress is not None:
                progress(size)
        return Reading(digest.hexdigest(), size, began, datetime.now(UTC), "remote")

    def _seen(self, path: str) -> Object:
        """What ``path`` means: a file, a temporary one, or an entry of the trash."""
        check_relative(path)
        if it := Temporary.of(path):
            if not it.beside:
                ticket_of(self.bucket, it)
            found = look(self.bucket, it.bytes_at)
            if found.token not in ("", it.token):
                raise FileNotFoundError(2, "another's", f"{self.location}:{path}")
            return found
        if path.startswith(f"{TRASH}/"):
            return look(self.bucket, trashed(path), self._trash.version_of(path))
        found = look(self.bucket, path)
        if not path.startswith(f"{OURS}/") and self._is_arriving(found):
            raise FileNotFoundError(2, "not published yet", f"{self.location}:{path}")
        return found

    def _is_arriving(self, found: Object) -> bool:
        """Whether its writer's ticket says that it has no name yet. Asked after the object was
        seen: its ticket is older than it."""
        tickets = {it.token for it in self._tickets(found.path) if it.final == found.path}
        return found.token in tickets or (not found.token and bool(tickets))

    # --- writing ----------------------------------------------------------------------------------

    def write(self, final: str, token: str, resume: bool = False, sha256: str = "") -> S3Writing:
        it = Temporary(not_ours(final), check_token(token))
        there = begun(self.bucket, it) if resume else self._afresh(it)
        if there.whole is None and self._is_taken(it):
            discard(self.bucket, it)
            it = Temporary(final, token, beside=True)
            there = begun(self.bucket, it) if resume else self._afresh(it)
        return S3Writing(self.bucket, it, resume, sha256, there)

    def _afresh(self, it: Temporary) -> Begun:
        discard(self.bucket, it)
        return Begun()

    def _is_taken(self, it: Temporary) -> bool:
        """By another file than the one that this very ticket is for."""
        try:
            look(self.bucket, it.final)
        except FileNotFoundError:
            return False
        return True

    def publish(self, temporary: str, final: str, sha256: str) -> Literal["published", "identical"]:
        it = Temporary.of(temporary)
        if it is None or it.final != final:
            raise ValueError(f"{temporary} is no temporary file of {final}")
        if it.beside:
            return self._publish_beside(it, sha256)
        try:
            ticket_of(self.bucket, it)
        except FileNotFoundError:
            self._adopt(final, sha256)
            return "identical"
        found = look(self.bucket, final)
        if found.token not in ("", it.token):
            forget(self.bucket, it.path)
            self._adopt(final, sha256)
            return "identical"
        forget(self.bucket, it.path)  # from here on it has its name
        return "published"

    def _publish_beside(self, it: Temporary, sha256: str) -> Literal["published", "identical"]:
        try:
            there = look(self.bucket, it.path)
        except FileNotFoundError:
            self._adopt(it.final, sha256)
            return "identical"
        if self._is_taken(it):
            self._adopt(it.final, sha256)
            withdraw(self.bucket, it.path, there.version)
            return "identical"
        own = Temporary(it.final, it.token)
        self.bucket.call("put_object", own.path, Body=b'{"upload": null}')
        try:
            copy(self.bucket, it.path, it.final, only_if_free=True)
        except Taken:
            if look(self.bucket, it.final).token != it.token:  # else the answer to ours was lost
                forget(self.bucket, own.path)
                self._adopt(it.final, sha256)
                withdraw(self.bucket, it.path, there.version)
                return "identical"
        copied = self.read_back(own.path)
        if copied.sha256 != sha256:
            discard(self.bucket, own)
            raise Unreadable(
                f"{self.location}:{it.final}: the server's own copy has the SHA-256 "
                f"{copied.sha256}, and not what was read back before. Look at the server."
            )
        forget(self.bucket, own.path)
        withdraw(self.bucket, it.path, there.version)
        return "published"

    def _adopt(self, final: str, sha256: str) -> None:
        """What stands there is these bytes; or Occupied."""
        if self._is_arriving(look(self.bucket, final)):
            raise Retry(f"{self.location}:{final}: another copy is arriving under this name")
        there = self.read_back(final)
        if there.sha256 != sha256:
            raise Occupied(
                f"{self.location}:{final}: another object stands there, {there.size} bytes with "
                f"the SHA-256 {there.sha256}. Nothing was overwritten."
            )

    def discard(self, temporary: str) -> None:
        if temporary.startswith(f"{UPLOAD}/"):
            upload, _, path = temporary.removeprefix(f"{UPLOAD}/").partition("/")
            abort(self.bucket, path, upload)
            return
        it = Temporary.of(temporary)
        if it is None:
            raise ValueError(f"{temporary} is no temporary file")
        discard(self.bucket, it)

    def temporaries(self) -> Iterator[Abandoned]:
        named: set[str] = set()
        for folder in (ARRIVING, BESIDE):
            for page in self.bucket.pages("list_objects_v2", f"{folder}/"):
                for one in page.get("Contents", []):
                    it = Temporary.of(self.bucket.path(one["Key"]))
                    if it is None:
                        continue
                    if not it.beside:
                        named.add(self._upload_of(it))
                    yield Abandoned(it.path, it.token, one["LastModified"])
        for page in self.bucket.pages("list_multipart_uploads", ""):
            for one in page.get("Uploads", []):
                path, upload = self.bucket.path(one["Key"]), str(one["UploadId"])
                it = Temporary.of(path)
                if it is not None:
                    yield Abandoned(path, it.token, one["Initiated"])
                elif upload not in named and one["Initiated"] < datetime.now(UTC) - ORPHANED:
                    yield Abandoned(f"{UPLOAD}/{upload}/{path}", "", one["Initiated"])

    def _upload_of(self, it: Temporary) -> str:
        try:
            return str(ticket_of(self.bucket, it).get("upload") or "")
        except FileNotFoundError:
            return ""

    # --- the trash --------------------------------------------------------------------------------

    def trash(self, path: str, token: str, seen: Stored | None = None) -> str:
        entry = kept(TRASH, path, token)
        if not self._trash.has(entry):
            found = self._seen(path)
            self._check_seen(path, found, seen)
            self._trash.note(entry, found)
        self._trash.mark(entry)
        return entry

    def _check_seen(self, path: str, found: Object, seen: Stored | None) -> None:
        if seen is not None and (found.size, found.mtime_ns) != (seen.size, seen.mtime_ns):
            raise Retry(f"{self.location}:{path}: it is not the object that was seen; it stays.")

    def restore(self, trash_path: str, path: str) -> None:
        if trashed(trash_path) != path:
            raise ValueError(f"{trash_path} is not the entry of {path}")
        self._trash.put_back(trash_path)

    def erase(self, trash_path: str) -> None:
        trashed(trash_path)
        self._trash.erase(trash_path)

    def set_aside(self, path: str, token: str, seen: Stored | None = None) -> str:
        entry = kept(SET_ASIDE, path, token)
        try:
            self._check_seen(path, self._seen(path), seen)
        except FileNotFoundError:
            look(self.bucket, entry)  # set aside before, or gone
            return entry
        copy(self.bucket, path, entry, only_if_free=False)
        forget(self.bucket, path)
        return entry

    def aside(self, path: str, token: str) -> str | None:
        entry = kept(SET_ASIDE, path, token)
        try:
            look(self.bucket, entry)
        except FileNotFoundError:
            return None
        return entry

    # --- everything -------------------------------------------------------------------------------

    def walk(self, under: str = "") -> Iterator[Stored]:
        for page in self.bucket.pages("list_objects_v2", f"{under}/" if under else ""):
            found = [
                Stored(path, one["Size"], int(one["LastModified"].timestamp() * 1e9))
                for one in page.get("Contents", [])
                if not _is_ours(path := self.bucket.path(one["Key"]))
            ]
            # Tickets are read after the objects: what has none by now was published.
            waiting = {it.final for it in self._tickets()} if found else set()
            for one in found:
                if one.path not in waiting or self._is_there(one.path):
                    yield one

    def _is_there(self, path: str) -> bool:
        try:
            self._seen(path)
        except FileNotFoundError:
            return False
        return True

    def _tickets(self, below: str = "") -> Iterator[Temporary]:
        for page in self.bucket.pages("list_objects_v2", f"{ARRIVING}/{below and below + '/'}"):
            for one in page.get("Contents", []):
                if it := Temporary.of(self.bucket.path(one["Key"])):
                    yield it

    def close(self) -> None:
        """Connections are the client's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_ours(path: str) -> bool:
    return path == MARKER_FILE or path.startswith(f"{OURS}/") or path.endswith("/")
