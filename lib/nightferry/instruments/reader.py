"""Reads one file once: SHA-256, and the headers of all its HDUs. Any regular file is acceptable.

What compression it has is told by its first bytes, not by its name. A ``.fz`` is a FITS file like
any other. Whatever is in a file, no exception comes of it but those of the disk.
"""

import hashlib
import os
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator

from nightferry.instruments.base import Completeness, FileFacts, Limits
from nightferry.instruments.walker import BLOCK, Walker

__all__ = ["completeness", "read_file"]

CHUNK = 1 << 20
_PIECE = 1 << 18  # of decompressed bytes: what a bomb may take of memory at a time
_GZIP = b"\x1f\x8b"
_COMPRESS = b"\x1f\x9d"
_FITS_NAMES = (".fits", ".fit", ".fts", ".fz", ".fits.gz", ".fit.gz", ".fts.gz", ".fits.z")
LIMITS = Limits()


def read_file(
    fd: int,
    path: str,
    limits: Limits = LIMITS,
    progress: Callable[[int], None] | None = None,
) -> FileFacts:
    """Hash the file open at ``fd`` and collect its headers, in one pass.

    Reads as many bytes as the file has when the call begins: whether it changed meanwhile, the
    caller sees by fstat before and after. ``path`` serves only the text of defects. ``progress``
    is called with the bytes read so far.

    Raises:
        OSError: the disk could not be read.
    """
    digest = hashlib.sha256()
    size = 0
    stream: _Stream | None = None
    for chunk in _chunks(fd, os.fstat(fd).st_size):
        if stream is None:
            stream = _open_stream(chunk, fd, limits)
        digest.update(chunk)
        size += len(chunk)
        stream.feed(chunk)
        if progress is not None:
            progress(size)
    if stream is None:
        return FileFacts(digest.hexdigest(), 0, "none", ("It is empty.",), (), False)
    stream.finish()
    walker = stream.walker
    defects = list(walker.defects)
    if walker.header == "none" and path.lower().endswith(_FITS_NAMES):
        defects.append("Its name is that of a FITS file, but it does not begin as one (SIMPLE =).")
    if stream.defect:
        defects.append(stream.defect)
    broken = walker.header == "whole" and stream.complete is False and bool(stream.defect)
    return FileFacts(
        digest.hexdigest(),
        size,
        "broken" if broken else walker.header,
        tuple(defects),
        walker.hdus,
        stream.complete,
    )


def completeness(fd: int, path: str, limits: Limits = LIMITS) -> Completeness:
    """Is the file open at ``fd`` as long as it says itself? Reads headers only, where it can.

    A plain FITS file is jumped through from header to header. A compressed one is decompressed to
    its trailer, within ``limits``.

    Raises:
        OSError: the disk could not be read.
    """
    size = os.fstat(fd).st_size
    first = os.pread(fd, 4 * BLOCK, 0)
    if not first:
        return Completeness(False, "It is empty.")
    stream = _open_stream(first, fd, limits)
    if type(stream) is _Stream:
        walker = stream.walker
        offset = 0
        while offset < size and not walker.done:
            if walker.to_skip:
                step = min(walker.to_skip, size - offset)
                walker.skipped(step)
            else:
                chunk = os.pread(fd, 4 * BLOCK if offset else len(first), offset)
                if not chunk:
                    break
                walker.feed(chunk)
                step = len(chunk)
            offset += step
    else:
        for chunk in _chunks(fd, size):
            stream.feed(chunk)
            if stream.ended:
                break
    stream.finish()
    if stream.complete is None and not stream.defect and not stream.walker.defects:
        return Completeness(None, "Its format does not say how long it is.")
    sentences = [*stream.walker.defects, *([stream.defect] if stream.defect else [])]
    return Completeness(stream.complete, " ".join(sentences) or "It is as long as it says.")


def _chunks(fd: int, size: int) -> Iterator[bytes]:
    offset = 0
    while offset < size:
        chunk = os.pread(fd, min(CHUNK, size - offset), offset)
        if not chunk:
            return
        yield chunk
        offset += len(chunk)


class _Stream:
    """The bytes of a file on their way to the walker, through what decompresses them."""

    def __init__(self, limits: Limits) -> None:
        self.walker = Walker(limits)
        self.limits = limits
        self.defect = ""  # of the stream itself, not of the FITS in it
        self.ended = False  # nothing more is wanted
        self._decompressed = 0
        self._spent = 0.0  # seconds, in earlier calls of feed
        self._began = 0.0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file, as it came."""
        if not self.ended:
            self._began = time.monotonic()
            self._feed(chunk)
            self._spent += time.monotonic() - self._began

    def _feed(self, chunk: bytes) -> None:
        """For a file that is not compressed."""
        self._pass_on(chunk)
        self.ended = self.walker.done

    def finish(self) -> None:
        self.walker.finish()

    @property
    def complete(self) -> bool | None:
        return self.walker.complete

    def _pass_on(self, piece: bytes) -> None:
        """Hand FITS bytes to the walker, and stop where that costs too much."""
        self.walker.feed(piece)
        if self.walker.header == "broken":
            self.ended = True
        elif self._spent + time.monotonic() - self._began > self.limits.seconds:
            self._give_up(f"took longer than {self.limits.seconds:g} s")

    def _pass_on_decompressed(self, piece: bytes) -> None:
        self._decompressed += len(piece)
        self._pass_on(piece)
        if self._decompressed > self.limits.decompressed_bytes and not self.ended:
            most = self.limits.decompressed_bytes
            self._give_up(f"has more than {most} bytes when decompressed")

    def _give_up(self, what: str) -> None:
        self.ended = True
        sentence = f"It {what}, and was not read further."
        if self.walker.done:
            self.defect = sentence
        else:
            self.walker.stop(sentence)


class _Gzip(_Stream):
    """RFC 1952: one or more members, each with a CRC and a length in its trailer."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._member = zlib.decompressobj(31)
        self._whole = False  # at the end of a member

    def _feed(self, chunk: bytes) -> None:
        while chunk and not self.ended:
            if self._member.eof:
                chunk = chunk.lstrip(b"\0")  # padding between and after members
                if not chunk:
                    return
                self._member = zlib.decompressobj(31)
            before = self._member.copy()
            try:
                piece = self._member.decompress(chunk, _PIECE)
            except zlib.error as problem:
                self._salvage(before, chunk)
                self.ended = True
                self._whole = False
                self.defect = f"Its gzip stream is damaged ({problem})."
                return
            self._whole = self._member.eof
            chunk = self._member.unused_data if self._whole else self._member.unconsumed_tail
            self._pass_on_decompressed(piece)

    def _salvage(self, member: "zlib._Decompress", chunk: bytes, step: int = 4096) -> None:
        """Pass on what comes before the damage in ``chunk``: zlib drops it with its error."""
        for at in range(0, len(chunk), step):
            before = member.copy()
            try:
                piece = member.decompress(chunk[at : at + step])
            except zlib.error:
                if step > 1:
                    self._salvage(before, chunk[at : at + step], 1)
                return
            self._pass_on_decompressed(piece)

    def finish(self) -> None:
        if not self.ended and not self._whole:
            self.defect = "Its gzip stream ends before its trailer: it is cut short."
        if not self.ended or self.defect:
            self.walker.finish()

    @property
    def complete(self) -> bool | None:
        if self.ended and not self._whole:
            return False if "damaged" in self.defect else None
        return self._whole and self.walker.complete is not False


class _Compress(_Stream):
    """Unix compress (.Z), decompressed by gzip, which every system has.

    The format has neither length nor checksum: only the FITS inside tells whether it is whole.
    """

    def __init__(self, limits: Limits, fd: int) -> None:
        super().__init__(limits)
        self._fd = fd
        self._good = False

    def _feed(self, chunk: bytes) -> None:
        # gzip reads the open file itself, from its beginning; our own reads do not move its offset.
        os.lseek(self._fd, 0, os.SEEK_SET)
        try:
            gzip = subprocess.Popen(
                ["gzip", "-dc"],
                stdin=self._fd,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            self._give_up("can only be decompressed by the command gzip, which is not installed")
            return
        assert gzip.stdout is not None
        with gzip:  # closes the pipe, so that gzip ends where we stop, and waits for it
            while not self.ended and (piece := gzip.stdout.read(_PIECE)):
                self._pass_on_decompressed(piece)
        if not self.ended:
            self._good = gzip.returncode == 0
            if not self._good:
                self.defect = "Its compressed stream is damaged (gzip can't decompress it)."
            self.walker.finish()
        self.ended = True

    def finish(self) -> None:
        """All was done at the first bytes."""

    @property
    def complete(self) -> bool | None:
        return self.walker.complete if self._good or not self.defect else False


def _open_stream(first: bytes, fd: int, limits: Limits) -> _Stream:
    """The stream for a file that begins with ``first``."""
    if first.startswith(_GZIP):
        return _Gzip(limits)
    if first.startswith(_COMPRESS):
        return _Compress(limits, fd)
    return _Stream(limits)
