"""Results that were made from raw files, handed in: read, put down at a buffer, and registered.

From there they go the way of every file: verify publishes them, they are packed as a data product
of their own, archived, proven, and the buffer lets them go. The folder they come from is only read.
"""

import json
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from nightferry import jobs
from nightferry.capture import Captured, Meaning, Moved, Reader
from nightferry.db import Database, Row, Tx
from nightferry.durable import Root
from nightferry.errors import NightferryError
from nightferry.filesystem import file_system_type, is_network
from nightferry.grouping import rights_of
from nightferry.instruments import FrameType, Instruments
from nightferry.jobs import Wanted
from nightferry.marker import MARKER_FILE
from nightferry.registry import New, write_files
from nightferry.staging import DONE, MANIFEST, REQUESTS
from nightferry.stores import Store
from nightferry.temporary import parse_temporary
from nightferry.watch import Signature, signature_of

FOLDER = "products"  # below the buffer's root, and so the first part of their paths
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_CHUNK = 1024 * 1024


class NotReturned(NightferryError):
    """Nothing was handed in, and nothing is left of it. The text says which file, and why."""


@dataclass(frozen=True)
class Product:
    """A folder of results, by ``name``, made from the files ``sources``."""

    folder: Path
    name: str
    sources: Sequence[UUID]
    staging: UUID | None = None  # the request that its sources were staged by
    note: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NotReturned(
                f"{self.name!r} is no name for a data product: say another with --name, of "
                "letters, digits and ._-"
            )


@dataclass(frozen=True)
class Returned:
    """What was handed in: its ``files`` and ``size`` in bytes, and whose they are."""

    product: UUID
    night: date
    files: int
    size: int
    owner: str | None
    public_after: datetime | None


@dataclass(frozen=True)
class _Put:
    """One file as it was read, and where its bytes lie now."""

    source: str
    captured: Captured
    temporary: str


def request_of(folder: Path) -> UUID | None:
    """The staging request whose directory this folder is, or lies in; None = of no request."""
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if place.parent.name == REQUESTS and (place / MANIFEST).is_file():
            try:
                return UUID(json.loads((place / MANIFEST).read_text())["request"])
            except (ValueError, KeyError, TypeError) as error:
                raise NotReturned(f"{place / MANIFEST} is no manifest of a request") from error
    return None


def hand_in(
    database: Database, product: Product, buffer: Store, definitions: Path | None = None
) -> Returned:
    """Reads the folder, puts its files down at ``buffer`` and registers them; all or nothing.

    Raises:
        NotReturned: a file can't be handed in as it stands, or the name is taken.
        ConfigError, Unavailable, Retry: as they say.
    """
    buffer.probe()
    sources = database.run(lambda tx: _sources(tx, product))
    made = database.run(lambda tx: _begin(tx, product, buffer.location))
    put: list[_Put] = []
    try:
        with Root.unmarked(product.folder.resolve()) as folder:
            _put_down(folder, product, str(made), buffer, put, definitions)
        return database.run(lambda tx: _record(tx, product, made, buffer, sources, put))
    except BaseException:
        for one in put:
            buffer.discard(one.temporary)
        database.run(lambda tx: tx.run("return.give_up", product=made))
        raise


def _sources(tx: Tx, product: Product) -> list[Row]:
    found = tx.run("return.sources", files=list(product.sources))
    if not found:
        raise NotReturned(
            f"{product.folder}: nothing says which raw files it was made from. Return a folder "
            "that lies in a request's own (requests/ID of a PROCESSING location), or name them: "
            "--from FILE, --from OBSERVATION"
        )
    return found


def _begin(tx: Tx, product: Product, location: str) -> UUID:
    """The row by which its temporary files are known to be meant."""
    taken = tx.one("return.taken", name=product.name)
    if taken is not None:
        raise NotReturned(
            f"the name {product.name} is taken: {taken.by} returned it on "
            f"{taken.returned:%Y-%m-%d}. Say another with --name: nothing is replaced"
        )
    tx.run("return.forget")
    begun: UUID = tx.run(
        "return.begin", name=product.name, location=location, note=product.note,
        staging=product.staging,
    )[0].id  # fmt: skip
    return begun


def _put_down(
    folder: Root, product: Product, token: str, buffer: Store, put: list[_Put],
    definitions: Path | None,
) -> None:  # fmt: skip
    stable = not is_network(file_system_type(product.folder))
    reader = Reader(folder, stable, Instruments.load(definitions), {})
    found = _files(folder, stable)
    if not found:
        raise NotReturned(f"{product.folder} has no files")
    for path, seen in found.items():
        final = f"{FOLDER}/{product.name}/{path}"
        captured = _captured(folder, reader, path, seen)
        put.append(_copy(folder, path, replace(captured, path=final), token, buffer))
    if _files(folder, stable) != found:
        raise _growing(folder, "", "files came, went or were written meanwhile")


def _files(folder: Root, stable: bool) -> dict[str, Signature]:
    """Every file, and how it stands. What else is in the folder can't be kept, and is refused."""
    found: dict[str, Signature] = {}
    directories = [""]
    own_request = _is_request(folder.path)
    if (folder.path / MARKER_FILE).exists():
        raise NotReturned(f"{folder.path} is a location itself: name the folder of the results")
    while directories:
        directory = directories.pop()
        for entry in sorted(folder.scan(directory)):
            path = f"{directory}/{entry.name}" if directory else entry.name
            mode = entry.stat.st_mode
            if stat.S_ISDIR(mode):
                directories.append(path)
            elif stat.S_ISLNK(mode):
                raise NotReturned(
                    f"{folder.path / path} is a symbolic link: what it leads to would not be kept. "
                    "Put the file itself there, or take the link away"
                )
            elif not stat.S_ISREG(mode):
                raise NotReturned(f"{folder.path / path} is no regular file, and can't be kept")
            elif parse_temporary(path) is not None:
                raise _growing(folder, path, "it has a temporary file's name")
            elif not (own_request and path in (MANIFEST, DONE)):
                found[path] = signature_of(entry.stat, stable)
    return found


def _is_request(folder: Path) -> bool:
    return folder.parent.name == REQUESTS and (folder / MANIFEST).is_file()


def _captured(folder: Root, reader: Reader, path: str, seen: Signature) -> Captured:
    try:
        if folder.has_writer(path):
            raise _growing(folder, path, "some process has it open for writing")
        return reader.capture(path, seen)
    except (Moved, FileNotFoundError) as error:
        raise _growing(folder, path, "it changed while it was read") from error


def _copy(folder: Root, path: str, captured: Captured, token: str, buffer: Store) -> _Put:
    digest = sha256()
    fd = folder.open_file(path)
    with open(fd, "rb", buffering=0) as file, buffer.write(captured.path, token) as out:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
        if digest.hexdigest() != captured.facts.sha256:
            raise _growing(folder, path, "it changed while it was read")
        out.finish()
    there = buffer.stat(out.path)
    seen = Signature(there.size, there.mtime_ns, there.ctime_ns or 0, 0)
    return _Put(path, replace(captured, signature=seen), out.path)


def _growing(folder: Root, path: str, why: str) -> NotReturned:
    return NotReturned(
        f"{folder.path / path if path else folder.path}: {why}. Return it when it is finished"
    )


def _record(
    tx: Tx, product: Product, made: UUID, buffer: Store, sources: list[Row], put: list[_Put]
) -> Returned:
    ids = tx.run("ingest.ids", n=len(put))
    files = [row.id for row in ids]
    if not tx.run("return.returned", product=made):
        raise NotReturned(f"{product.name}: it took longer than two days and was given up: again")
    fresh = [New(replace(one.captured, meaning=_meaning(one.captured, sources))) for one in put]
    write_files(tx, buffer.location, fresh, files, ids[0].now)
    owner, public_after = rights_of(sources)
    tx.run("return.put_down", product=made, files=files, owner=owner, public_after=public_after)
    tx.run("return.made_from", product=made, files=[s.id for s in sources])
    copies = tx.run("return.arriving", files=files, temporaries=[one.temporary for one in put])
    at = buffer.location
    jobs.enqueue(tx, "verify", [Wanted(f"{c.id}@{at}", at, at, 20) for c in copies])
    size = sum(one.captured.facts.size for one in put)
    return Returned(made, _night(sources), len(put), size, owner, public_after)


def _night(sources: list[Row]) -> date:
    last: date = max(s.night for s in sources)
    return last


def _meaning(captured: Captured, sources: list[Row]) -> Meaning:
    """A product is of its raw files' instrument, programme and (last) night; what else its header
    took over from them describes it, but it is no frame: nothing counts it as one."""
    instruments, programs = ({s.instrument for s in sources}, {s.program for s in sources})
    exposure = replace(
        captured.meaning.exposure,
        instrument=instruments.pop() if len(instruments) == 1 else "unknown",
        program=programs.pop() if len(programs) == 1 else None,
        frame_type=FrameType.PRODUCT, module="", counter=None, exposure_key=None, defects=(),
    )  # fmt: skip
    return replace(
        captured.meaning,
        night=_night(sources),
        night_from="exposure",
        clock="unknown",
        exposure=exposure,
    )
