"""Reading a package: its document from the end, a check of every byte, one file by its offset.

``nightferry.json`` is the last member, and JSON has no NUL byte while every tar header has: so the
last ``ustar`` with a NUL after it is its header, and the document of a package of any size is found
by reading backwards from the end, without walking over the files.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from nightferry.errors import GiveUp
from nightferry.names import to_text
from nightferry.packaging import tar
from nightferry.packaging.layout import DESCRIPTION, Entry, Layout, plan
from nightferry.packaging.manifest import Document, Member, NotPackable

_CHUNK = 4 * 1024 * 1024
_LOOK = 1024 * 1024
_MAX_DESCRIPTION = 1024**3
_MAGIC = b"ustar\x0000"
_MAGIC_AT = 257


class Refused(GiveUp):
    """These bytes are not the package that they should be. The text says where, and why."""

    def __init__(self, message: str) -> None:
        super().__init__("not the package that it should be", message)

    def __reduce__(self) -> tuple[type["Refused"], tuple[str]]:
        return type(self), (str(self),)


@dataclass(frozen=True)
class Source:
    """Where the bytes of a package come from: ``read(offset, length)`` gives chunks in order.

    A store's file: ``Source(store.size(path), lambda at, n: store.read(path, at, n))``.
    """

    size: int
    read: Callable[[int, int], Iterator[bytes]]

    @classmethod
    def of_fd(cls, fd: int) -> "Source":
        """A file that is open for reading; its own position is not moved."""

        def read(offset: int, length: int) -> Iterator[bytes]:
            while length > 0 and (chunk := os.pread(fd, min(length, _CHUNK), offset)):
                yield chunk
                offset += len(chunk)
                length -= len(chunk)

        return cls(os.fstat(fd).st_size, read)


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a package: ``name`` in it, or None for the package itself; and what."""

    name: str | None
    what: str


def read_document(source: Source) -> Document:
    """The document of a package, its offsets filled in. Reads the end of it only.

    Raises:
        Refused: the package is cut short, goes on after its end, or its ``nightferry.json`` is
            missing, not ours, or not for a package of this size.
    """
    description = _last_member(source)
    try:
        document = Document.from_json(description)
        layout = plan(document)
    except NotPackable as error:
        raise Refused(f"{DESCRIPTION}: {error}") from error
    if layout.description != description:
        raise Refused(f"{DESCRIPTION} is not as it was written: its offsets or values were changed")
    if layout.size != source.size:
        raise Refused(f"{source.size} bytes, and its {DESCRIPTION} says {layout.size}")
    return document


def require_tags(source: Source, document: Document) -> None:
    """Compare the texts at the package's beginning with what ``document`` makes of them.

    They hold the SHA-256 of ``nightferry.json`` and of every file: so a document that rotted, and
    is still one, is found without reading the files.

    Raises:
        Refused: the text says which of them differs.
    """
    for entry in plan(document).entries():
        if entry.member is not None:
            return
        there = b"".join(source.read(entry.offset, entry.size))
        if there != entry.content:
            raise Refused(f"{entry.name} and {DESCRIPTION} do not agree: one of them was changed")


def check(source: Source, document: Document | None = None) -> list[Finding]:
    """Everything that is wrong with a package; nothing is wrong with an empty list.

    Reads all of it once, and compares every byte with ``document``: the ledger's, or by default
    the package's own.
    """
    if document is None:
        try:
            document = read_document(source)
        except Refused as error:
            return [Finding(None, str(error))]
    layout = plan(document)
    findings = []
    if source.size != layout.size:
        findings.append(Finding(None, f"{source.size} bytes, should be {layout.size}"))
    for entry, header, body in walk(layout, source):
        wrong = [] if header == entry.header else [f"in its place stands {tar.explain(header)}"]
        try:
            for _ in body:
                pass
        except Refused as error:
            wrong.append(str(error))
        findings += [Finding(entry.name, what) for what in wrong]
    end = b"".join(source.read(layout.size - len(tar.END), len(tar.END)))
    if end != tar.END:
        findings.append(Finding(None, "the two empty blocks at its end are not there"))
    return findings


def extract_member(source: Source, member: Member) -> Iterator[bytes]:
    """The bytes of one file of a document that was read from a package, without the others.

    They are good only when the iteration has ended without an error.

    Raises:
        Refused: they are too few, or not the registered ones.
        ValueError: the document was not read from a package: it has no offsets.
    """
    if member.offset is None:
        raise ValueError(f"{member.path}: no offset; take the document from read_document")
    yield from _checked(member, source.read(member.offset, member.size))


def walk(layout: Layout, source: Source) -> Iterator[tuple[Entry, bytes, Iterator[bytes]]]:
    """Every member that should be there, the header that is, and its checked bytes.

    One pass over the package; the bytes of a member must be taken before the next one, and what
    is left of them is passed over. Their iterator raises Refused where they are not the ones of
    the document.
    """
    stream = _Stream(source.read(0, layout.size))
    for entry in layout.entries():
        stream.pass_to(entry.offset - len(entry.header))
        yield entry, b"".join(stream.take(len(entry.header))), _body(entry, stream)


def _body(entry: Entry, stream: "_Stream") -> Iterator[bytes]:
    chunks = stream.take(entry.size)
    if entry.member:
        yield from _checked(entry.member, chunks)
    elif b"".join(chunks) != entry.content:
        raise Refused(f"{entry.name} is not the one of this package")
    if b"".join(stream.take(len(entry.padding))) != entry.padding:
        raise Refused(f"{entry.name}: the bytes after it are not empty")


def _checked(member: Member, chunks: Iterator[bytes]) -> Iterator[bytes]:
    digest, size = sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if size != member.size:
        raise Refused(f"{member.path}: {size} bytes, registered with {member.size}")
    if digest.hexdigest() != member.sha256:
        raise Refused(f"{member.path}: its SHA-256 is not the registered one")


class _Stream:
    """Chunks of any length, taken as stretches of a given length."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._position = 0

    def pass_to(self, position: int) -> None:
        """Forward to ``position`` in the package."""
        for _ in self.take(position - self._position):
            pass

    def take(self, length: int) -> Iterator[bytes]:
        """The next ``length`` bytes, or what there is of them."""
        while length > 0:
            if not self._rest:
                chunk = next(self._chunks, b"")
                if not chunk:
                    return
                self._rest = memoryview(chunk)
            piece, self._rest = self._rest[:length], self._rest[length:]
            length -= len(piece)
            self._position += len(piece)
            yield bytes(piece)


def _last_member(source: Source) -> bytes:
    """The bytes of ``nightferry.json``, which must be the last member."""
    if source.size % tar.BLOCK or source.size < 4 * tar.BLOCK:
        raise Refused(f"{source.size} bytes are no whole tar: cut short, or not a package")
    tail, at, look = b"", -1, 0
    while at < 0 and look < min(source.size, _MAX_DESCRIPTION):
        look = min(max(4 * look, _LOOK), source.size)
        tail = b"".join(source.read(source.size - look, look))
        if len(tail) != look:
            raise Refused(f"its last {look} bytes could not be read: there are {len(tail)}")
        at = tail.rfind(_MAGIC) - _MAGIC_AT
    if at < 0 or (len(tail) - at) % tar.BLOCK:
        raise Refused(f"no {DESCRIPTION} at its end")
    return _content(tail[at:])


def _content(last: bytes) -> bytes:
    """What the last member holds, from its header to the end of the package."""
    header, body = last[: tar.BLOCK], last[tar.BLOCK :]
    if not header[:100].rstrip(b"\0").endswith(b"/" + DESCRIPTION.encode()):
        raise Refused(f"its last member is {tar.explain(header)}, not {DESCRIPTION}: cut short?")
    try:
        size = int(header[124:135], 8)
    except ValueError:
        raise Refused(
            f"the header of {DESCRIPTION} has no size: {to_text(header[124:136])}"
        ) from None
    if any(body[size:]) or len(body) != tar.padded(size) + len(tar.END):
        raise Refused(
            f"after {DESCRIPTION} come {len(body) - tar.padded(size)} bytes, and it should be the"
            f" {len(tar.END)} empty ones of the end: cut short, or something was added"
        )
    return body[:size]
