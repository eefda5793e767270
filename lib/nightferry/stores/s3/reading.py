"""Reading an object by ranges, several under way at once, in order and nothing left out."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from nightferry.errors import Unreadable
from nightferry.stores.base import CHUNK
from nightferry.stores.s3.client import MIB, Bucket, Taken

RANGE = 8 * MIB
TRIES = 3


@dataclass(frozen=True)
class Object:
    """An object as the server has it now. ``version`` is None where the bucket keeps none."""

    path: str
    size: int
    mtime_ns: int
    etag: str
    version: str | None
    token: str  # of whoever wrote it; '' if it says none
    sha256: str  # as its writer meant it; '' if unknown


def look(bucket: Bucket, path: str, version: str | None = None) -> Object:
    """Raises FileNotFoundError."""
    which = {"VersionId": version} if version else {}
    found = bucket.call("head_object", path, **which)
    said = {name.lower(): value for name, value in found.get("Metadata", {}).items()}
    now = found.get("VersionId")
    return Object(
        path,
        found["ContentLength"],
        int(found["LastModified"].timestamp() * 1e9),
        found["ETag"],
        None if now in (None, "null") else now,
        said.get("nightferry-token", ""),
        said.get("nightferry-sha256", ""),
    )


def read(bucket: Bucket, it: Object, offset: int, length: int | None) -> Iterator[bytes]:
    """The object's bytes from ``offset``; exactly as many as there must be.

    Raises:
        Unreadable: too few came, or the object was replaced meanwhile.
    """
    end = it.size if length is None else min(it.size, offset + length)
    starts = iter(range(offset, end, RANGE))
    with ThreadPoolExecutor(bucket.settings.streams) as streams:

        def ask(start: int) -> bytes:
            return _range(bucket, it, start, min(start + RANGE, end))

        coming = deque(streams.submit(ask, one) for one in islice(starts, bucket.settings.streams))
        try:
            while coming:
                data = memoryview(coming.popleft().result())
                if (start := next(starts, None)) is not None:
                    coming.append(streams.submit(ask, start))
                for at in range(0, len(data), CHUNK):
                    yield bytes(data[at : at + CHUNK])
        finally:
            for one in coming:
                one.cancel()


def _range(bucket: Bucket, it: Object, start: int, end: int) -> bytes:
    which = {"VersionId": it.version} if it.version else {}
    data = b""
    for _ in range(TRIES):
        try:
            answer = bucket.call(
                "get_object", it.path, Range=f"bytes={start}-{end - 1}", IfMatch=it.etag, **which
            )
        except Taken as error:
            raise Unreadable(
                f"{bucket.location}:{it.path}: it was replaced while it was read. Find out who "
                "writes to it, then verify again."
            ) from error
        with bucket.speaking(it.path):
            data = bytes(answer["Body"].read())
        if len(data) == end - start:
            return data
    raise Unreadable(
        f"{bucket.location}:{it.path}: {len(data)} bytes came for the {end - start} from {start}"
    )
