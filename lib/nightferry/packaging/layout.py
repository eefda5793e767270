"""Where every byte of a package will be, computed from its document before a file is touched.

The order is fixed: the tag files, the files of the night, ``nightferry.json`` last. All but the
files' own bytes is known at once, so a package can be compared with its layout byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from nightferry.packaging import tar
from nightferry.packaging.manifest import VERSION, Document, Member

DESCRIPTION = "nightferry.json"
_TAG_MANIFEST = "tagmanifest-sha256.txt"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of the tar: a file of the night (``member``), or a tag file (``content``).

    ``name`` is below the package's top folder, ``offset`` where its bytes begin in the tar.
    """

    name: str
    size: int
    offset: int
    header: bytes
    content: bytes
    member: Member | None

    @property
    def padding(self) -> bytes:
        """The zero bytes after it."""
        return bytes(tar.padded(self.size) - self.size)


@dataclass(frozen=True)
class Layout:
    """The package of a document: its exact ``size`` in bytes, and where its members are.

    ``offsets`` has one number for each of ``document.members``, in their order; ``description`` is
    the whole of ``nightferry.json``.
    """

    document: Document
    size: int
    offsets: tuple[int, ...]
    description: bytes
    tags: tuple[tuple[str, bytes], ...]

    def entries(self) -> Iterator[Entry]:
        """Every member of the tar, in order."""
        offset = 0
        created = int(self.document.created.timestamp())
        for name, content in self.tags:
            entry = self._entry(name, len(content), created, offset, content, None)
            yield entry
            offset = entry.offset + tar.padded(entry.size)
        for m in self.document.members:
            entry = self._entry(m.name, m.size, m.mtime, offset, b"", m)
            yield entry
            offset = entry.offset + tar.padded(entry.size)
        size = len(self.description)
        yield self._entry(DESCRIPTION, size, created, offset, self.description, None)

    def _entry(
        self, name: str, size: int, mtime: int, start: int, content: bytes, member: Member | None
    ) -> Entry:
        header = tar.header(_full(self.document, name), size, mtime)
        return Entry(name, size, start + len(header), header, content, member)


def plan(document: Document) -> Layout:
    """The layout of the package that ``document`` describes. Touches no file.

    Raises:
        NotPackable: a text in the document can't be stored.
    """
    tags = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": _bag_info(document),
        "manifest-sha256.txt": _manifest((m.sha256, m.name) for m in document.members),
    }
    # The tag manifest covers nightferry.json, which holds offsets that come after the tag
    # manifest; but the length of a tag manifest depends on names alone.
    covered = (*tags, DESCRIPTION)
    length = len(_manifest(("0" * 64, name) for name in covered))
    sizes = [*((name, len(content)) for name, content in tags.items()), (_TAG_MANIFEST, length)]
    position = 0
    for name, size in sizes:
        position += tar.header_size(_full(document, name)) + tar.padded(size)
    offsets = []
    for member in document.members:
        position += tar.header_size(_full(document, member.name))
        offsets.append(position)
        position += tar.padded(member.size)
    description = document.to_json(offsets)
    position += tar.header_size(_full(document, DESCRIPTION)) + tar.padded(len(description))
    contents = {**tags, DESCRIPTION: description}
    tags[_TAG_MANIFEST] = _manifest((sha256(contents[n]).hexdigest(), n) for n in covered)
    return Layout(
        document, position + len(tar.END), tuple(offsets), description, tuple(tags.items())
    )


def _full(document: Document, name: str) -> bytes:
    return f"{document.name}/{name}".encode()


def _manifest(lines: "Iterator[tuple[str, str]]") -> bytes:
    return "".join(f"{digest}  {name}\n" for digest, name in lines).encode()


def _bag_info(document: Document) -> bytes:
    return (
        f"Bagging-Date: {document.created.date().isoformat()}\n"
        f"External-Identifier: {document.id}\n"
        f"Internal-Sender-Description: {document.instrument}, night {document.night.isoformat()}\n"
        f"Payload-Oxum: {document.payload}.{len(document.members)}\n"
        f"Source-Organization: {document.site}\n"
        f"Bag-Software-Agent: Nightferry, package format {VERSION}, see {DESCRIPTION}\n"
    ).encode()
