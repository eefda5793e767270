"""Writing an object in parts, several on their way at once; what the server has is gone on with.

Parts that arrived outlive a killed writer: the server lists them. What is too short to be a part is
kept beside them only where the writer ends in order; a killed one sends those few bytes again.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from nightferry.errors import GiveUp, NightferryError, Retry
from nightferry.stores.s3.client import Bucket, NoUpload, Taken
from nightferry.stores.s3.names import Temporary
from nightferry.stores.s3.reading import look, read
from nightferry.stores.s3.temporaries import Begun, Part, discard, forget

MOST_PARTS = 10_000  # the protocol's own


class S3Writing:
    """One temporary file in a bucket. Made by ``S3Store.write``."""

    def __init__(
        self, bucket: Bucket, it: Temporary, resume: bool, sha256: str, begun: Begun
    ) -> None:
        self.path = it.path
        self._bucket = bucket
        self._it = it
        self._resume = resume
        self._metadata = {"nightferry-token": it.token}
        if sha256:
            self._metadata["nightferry-sha256"] = sha256
        self._begun = begun
        self._upload = begun.upload
        self._parts = {part.number: part for part in begun.parts}
        self._buffer = bytearray(begun.tail)
        self._sent = begun.in_parts
        self._under_way: deque[Future[None]] = deque()
        self._streams: ThreadPoolExecutor | None = None
        self._open = begun.whole is None
        self.offset = self._sent + len(begun.tail) if begun.whole is None else begun.whole

    # --- what is there already --------------------------------------------------------------------

    def agrees(self, chunks: Iterator[bytes]) -> bool:
        """Whether the bytes that are there already are how ``chunks`` goes on; all are consumed.

        Parts can't be read before the object is whole: their MD5 is compared, where the server
        gives one. A wrong part that passes here is found when the copy is read back.
        """
        if self._begun.whole is not None:
            there = read(self._bucket, look(self._bucket, self._it.bytes_at), 0, None)
            return _digest(there) == _digest(chunks)
        wanted = [(part.size, part.etag) for part in self._begun.parts]
        rest, same = bytearray(), True
        for chunk in chunks:
            rest += chunk
            while wanted and len(rest) >= wanted[0][0]:
                size, etag = wanted.pop(0)
                same = same and _is_md5_of(etag, rest[:size])
                del rest[:size]
        return same and not wanted and bytes(rest) == self._begun.tail

    # --- writing ----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Waits where more parts are under way than there are streams."""
        if not self._open:
            raise GiveUp(
                "written past its end", f"{self.path}: it is complete: nothing is added to it"
            )
        rest = memoryview(data).cast("B")
        while rest:
            room = max(self._next_size() - len(self._buffer), 0)
            piece, rest = rest[:room], rest[room:]
            self._buffer += piece
            self.offset += len(piece)
            if len(self._buffer) >= self._next_size():
                self._send()

    def finish(self) -> None:
        """The whole object, under its key. Retry: another took the key meanwhile."""
        if not self._open:
            return
        try:
            if self._upload is None:
                self._put_whole()
            else:
                if self._buffer:
                    self._send()
                self._wait()
                self._complete()
        except Taken as error:
            if not self._is_ours():
                self.discard()
                raise Retry(
                    f"{error}. Another object took its name while it was written; it is written "
                    "again from its source, beside it."
                ) from error
        except NoUpload as error:
            if not self._is_ours():
                self.discard()
                raise Retry(
                    f"{error}. Its parts are gone; it is written again from its source."
                ) from error
        self._open = False
        self._forget_tail()
        self._close()

    def discard(self) -> None:
        """Nothing of it stays, but for what was published meanwhile."""
        self._open = False
        self._close()
        discard(self._bucket, self._it, self._upload)

    def _next_size(self) -> int:
        """Parts grow, so that ten thousand of them hold the largest file that there is."""
        return self._bucket.settings.part_size * (1 + (len(self._parts) // 1000))

    def _send(self) -> None:
        """Hands the buffer to a stream as the next part."""
        if self._upload is None:
            self._upload = self._begin_upload()
        number, data = len(self._parts) + 1, bytes(self._buffer)
        if number > MOST_PARTS:
            raise GiveUp("too large for the bucket", f"{self.path}: more than {MOST_PARTS} parts")
        self._parts[number] = Part(number, len(data), "")
        self._buffer.clear()
        self._sent += len(data)
        if self._streams is None:
            self._streams = ThreadPoolExecutor(self._bucket.settings.streams)
        self._under_way.append(self._streams.submit(self._send_part, number, data))
        while len(self._under_way) > self._bucket.settings.streams:
            self._under_way.popleft().result()

    def _send_part(self, number: int, data: bytes) -> None:
        answer = self._bucket.call(
            "upload_part",
            self._it.bytes_at,
            UploadId=self._upload,
            PartNumber=number,
            Body=data,
        )
        self._parts[number] = Part(number, len(data), answer["ETag"])

    def _begin_upload(self) -> str:
        """A ticket names the upload before its first part: so its parts are found again."""
        answer = self._bucket.call(
            "create_multipart_upload", self._it.bytes_at, Metadata=self._metadata
        )
        upload: str = answer["UploadId"]
        self._put_ticket(upload)
        return upload

    def _put_ticket(self, upload: str | None) -> None:
        if not self._it.beside:
            text = json.dumps({"upload": upload}).encode()
            self._bucket.call("put_object", self._it.path, Body=text)

    def _put_whole(self) -> None:
        self._put_ticket(None)
        self._only_if_free("put_object", Body=bytes(self._buffer), Metadata=self._metadata)

    def _complete(self) -> None:
        parts = [{"PartNumber": p.number, "ETag": p.etag} for p in self._parts.values()]
        self._only_if_free(
            "complete_multipart_upload", UploadId=self._upload, MultipartUpload={"Parts": parts}
        )

    def _only_if_free(self, verb: str, **values: Any) -> None:
        self._bucket.call(verb, self._it.bytes_at, IfNoneMatch="*", **values)

    def _is_ours(self) -> bool:
        """The answer to our own request may have been lost, and it was sent again."""
        try:
            found = look(self._bucket, self._it.bytes_at)
        except FileNotFoundError:
            return False
        return (found.token, found.size) == (self._it.token, self.offset)

    def _wait(self) -> None:
        while self._under_way:
            self._under_way.popleft().result()

    # --- ends -------------------------------------------------------------------------------------

    def _keep_tail(self) -> None:
        self._put_ticket(self._upload)
        self._bucket.call(
            "put_object",
            self._it.tail,
            Body=bytes(self._buffer),
            Metadata={"nightferry-after": str(self._sent)},
        )

    def _forget_tail(self) -> None:
        if self._begun.tail:
            forget(self._bucket, self._it.tail)

    def _close(self) -> None:
        if self._streams is not None:
            self._streams.shutdown(wait=True, cancel_futures=True)
            self._streams = None
        self._under_way.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open and not self._resume:
            self.discard()
        elif self._open:
            self._open = False
            _at_best(self._wait)
            if self._parts or self._buffer:
                _at_best(self._keep_tail)
        self._close()


def _digest(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _is_md5_of(etag: str, data: bytearray) -> bool:
    """A tag of another form than an MD5 says nothing of the bytes."""
    said = etag.strip('"')
    return len(said) != 32 or said == hashlib.md5(data, usedforsecurity=False).hexdigest()


def _at_best(do: Callable[[], None]) -> None:
    """What is kept on the way out only saves work: the error that ends the writing is told."""
    try:
        do()
    except (NightferryError, FileNotFoundError):
        pass
