"""What a package holds, as data: the document that becomes ``nightferry.json``.

It is stored in the ledger before the first byte of the package is written, and the package is
written from nothing else.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias, get_args

from nightferry.errors import GiveUp
from nightferry.names import check_relative, to_bytes
from nightferry.packaging.canonical import (
    Json,
    canonical,
    mapping,
    moment,
    page,
    text,
    text_or_none,
    time_text,
    whole_number,
)
from nightferry.packaging.naming import archive_path, stored_path
from nightferry.packaging.tar import MAX_NAME

FORMAT = "nightferry-package"
VERSION = 1

Header: TypeAlias = Literal["whole", "none", "broken"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_UNSAFE_TEXT = re.compile(r"[\x00-\x1f\x7f\\]|%(?![0-9A-F]{2})|%2F|%00")
_MAX_SIZE = 2**63 - 1


class NotPackable(GiveUp):
    """These files can't be one package as they are. The text names the file and the reason."""

    def __init__(self, message: str) -> None:
        super().__init__("cannot be one package", message)


@dataclass(frozen=True)
class Member:
    """One file of the night, as registered.

    ``path`` is the ledger's text, ``mtime`` whole seconds since 1970 in UTC, ``mode`` the
    permission bits it had. ``hdus`` is the header of every HDU: its cards, one a line. ``derived``
    is what was read out of them, without anybody's corrections; ``ledger`` the other columns of
    its row. ``offset`` is where its bytes begin in the tar, once known; no part of equality.
    """

    id: str
    path: str
    size: int
    sha256: str
    mtime: int
    mode: int = 0o644
    header: Header = "none"
    defects: tuple[str, ...] = ()
    hdus: tuple[str, ...] = ()
    observation: str | None = None
    derived: Mapping[str, Json] = field(default_factory=dict)
    ledger: Mapping[str, Json] = field(default_factory=dict)
    offset: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Its name below the package's top folder."""
        return "data/" + stored_path(self.path)

    def as_json(self, offset: int | None) -> dict[str, Any]:
        raw = to_bytes(self.path)
        found: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "path": self.path,
            "size": self.size,
            "sha256": self.sha256,
            "mtime": self.mtime,
            "mode": f"{self.mode:04o}",
            "header": self.header,
            "defects": self.defects,
            "hdus": self.hdus,
            "observation": self.observation,
            "derived": canonical(self.derived),
            "ledger": canonical(self.ledger),
        }
        if found["name"].encode() != b"data/" + raw:
            found["path_hex"] = raw.hex()
        if offset is not None:
            found["offset"] = offset
        return found


@dataclass(frozen=True)
class Observation:
    """One observation that files of the package belong to; ``ledger``: the columns of its row."""

    id: str
    owner: str | None = None
    public_after: datetime | None = None
    ledger: Mapping[str, Json] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "owner": self.owner,
            "public_after": time_text(self.public_after),
            "ledger": canonical(self.ledger),
        }


@dataclass(frozen=True)
class Document:
    """One package: who it is, and its files, sorted by their names in it.

    ``created`` is when its row was made, to the second; ``owner`` None is unknown, and so closed.

    Raises:
        NotPackable: two files share a name, a name is too long, a value can't be stored.
    """

    id: str
    name: str
    site: str
    night: date
    instrument: str
    created: datetime
    members: tuple[Member, ...]
    module: str | None = None
    owner: str | None = None
    public_after: datetime | None = None
    observations: tuple[Observation, ...] = ()
    ledger: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _SAFE_NAME.fullmatch(self.name):
            raise NotPackable(f"package name {self.name!r}: use letters, digits and ._- only")
        if any(not c.isprintable() for c in self.id + self.site + self.instrument):
            raise NotPackable(f"package {self.name}: a control character in id, site or instrument")
        created = self.created.astimezone(UTC).replace(microsecond=0)
        object.__setattr__(self, "created", created)
        ordered = tuple(sorted(self.members, key=lambda member: member.name.encode()))
        object.__setattr__(self, "members", ordered)
        _check_members(self)

    @property
    def path(self) -> str:
        """Its place in a location: ``<instrument>/<night>/<name>.tar``."""
        return archive_path(self.instrument, self.night, self.name)

    @property
    def payload(self) -> int:
        """Bytes of all its files."""
        return sum(member.size for member in self.members)

    def to_json(self, offsets: Sequence[int] | None = None) -> bytes:
        """The canonical JSON: UTF-8, keys sorted, one line per file, a newline at its end.

        Without ``offsets`` (one per member, in order) it is what the ledger stores.

        Raises:
            NotPackable: a text has a NUL or half a surrogate pair, which jsonb can't hold, or a
                number is none that JSON can hold.
        """
        places = offsets if offsets is not None else [None] * len(self.members)
        members = zip(self.members, places, strict=True)
        try:
            return page(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "id": self.id,
                    "name": self.name,
                    "site": self.site,
                    "night": self.night.isoformat(),
                    "instrument": self.instrument,
                    "module": self.module,
                    "created": time_text(self.created),
                    "owner": self.owner,
                    "public_after": time_text(self.public_after),
                    "ledger": canonical(self.ledger),
                    "observations": (o.as_json() for o in self.observations),
                    "files": (member.as_json(offset) for member, offset in members),
                }
            )
        except ValueError as error:
            raise NotPackable(f"package {self.name}: {error}") from error

    @classmethod
    def from_json(cls, stored: bytes | str | Mapping[str, Any]) -> "Document":
        """The document out of its JSON, or out of what the database made of it.

        Raises NotPackable, with the reason, where it is no document of this version.
        """
        try:
            whole = stored if isinstance(stored, Mapping) else json.loads(stored)
            if whole["format"] != FORMAT or whole["version"] != VERSION:
                raise NotPackable(
                    f"this is {whole['format']!r} version {whole['version']!r}, and this program"
                    f" reads {FORMAT!r} version {VERSION}: use the program that wrote it"
                )
            return cls(
                id=text(whole["id"]),
                name=text(whole["name"]),
                site=text(whole["site"]),
                night=date.fromisoformat(whole["night"]),
                instrument=text(whole["instrument"]),
                module=text_or_none(whole["module"]),
                created=datetime.fromisoformat(whole["created"]),
                owner=text_or_none(whole["owner"]),
                public_after=moment(whole["public_after"]),
                ledger=mapping(whole["ledger"]),
                observations=tuple(map(_observation, whole["observations"])),
                members=tuple(map(_member, whole["files"])),
            )
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise NotPackable(f"not a package's document: {reason}") from error


def _check_members(document: Document) -> None:
    if not document.members:
        raise NotPackable(f"package {document.name}: it has no files")
    names: set[str] = set()
    originals: set[bytes] = set()
    folders: set[str] = set()
    for member in document.members:
        _check_member(document.name, member)
        if member.name in names or to_bytes(member.path) in originals:
            raise NotPackable(
                f"{member.path!r}: two files of package {document.name} would have the name"
                f" {member.name!r}; put the second one into another package"
            )
        names.add(member.name)
        originals.add(to_bytes(member.path))
        parts = member.name.split("/")
        folders.update("/".join(parts[:n]) for n in range(1, len(parts)))
    for both in sorted(names & folders):
        raise NotPackable(
            f"{both!r}: a file and a folder of package {document.name} have this name;"
            " put one of them into another package"
        )


def _check_member(package: str, member: Member) -> None:
    def refuse(reason: str) -> NotPackable:
        return NotPackable(f"{member.path[:200]!r} in package {package}: {reason}")

    try:
        check_relative(member.path)
        length = len(f"{package}/{member.name}".encode())
    except ValueError as error:
        raise refuse(str(error)[:300]) from None
    if length > MAX_NAME:
        raise refuse(f"its name takes {length} bytes, and no tool takes more than {MAX_NAME}")
    if _UNSAFE_TEXT.search(member.path):
        raise refuse("not a path as the ledger writes it")
    if not _SHA256.fullmatch(member.sha256):
        raise refuse(f"{member.sha256!r} is no SHA-256 in 64 lower-case hex digits")
    if not 0 <= member.size <= _MAX_SIZE:
        raise refuse(f"a size of {member.size} bytes")
    if not 0 <= member.mode <= 0o7777:
        raise refuse(f"a mode of {member.mode:o}")


def _observation(stored: Mapping[str, Any]) -> Observation:
    return Observation(
        id=text(stored["id"]),
        owner=text_or_none(stored["owner"]),
        public_after=moment(stored["public_after"]),
        ledger=mapping(stored["ledger"]),
    )


def _member(stored: Mapping[str, Any]) -> Member:
    if stored["header"] not in get_args(Header):
        raise ValueError(f"header {stored['header']!r}")
    return Member(
        id=text(stored["id"]),
        path=text(stored["path"]),
        size=whole_number(stored["size"]),
        sha256=text(stored["sha256"]),
        mtime=whole_number(stored["mtime"]),
        mode=int(text(stored["mode"]), 8),
        header=stored["header"],
        defects=tuple(map(text, stored["defects"])),
        hdus=tuple(map(text, stored["hdus"])),
        observation=text_or_none(stored["observation"]),
        derived=mapping(stored["derived"]),
        ledger=mapping(stored["ledger"]),
        offset=whole_number(stored["offset"]) if "offset" in stored else None,
    )
