"""What an adoption commits: files, their copy, and the reading as a verification."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from nightferry.adoption.reading import Read
from nightferry.db import Tx
from nightferry.db import json as jsonb
from nightferry.registry import New, write_files


@dataclass
class Adopted:
    """What a run did so far: counts of files, and bytes read."""

    registered: int = 0
    copies: int = 0  # of files that another archive was adopted with
    known: int = 0
    bytes: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)  # path, reason

    def add(self, other: "Adopted") -> None:
        self.registered += other.registered
        self.copies += other.copies
        self.known += other.known
        self.bytes += other.bytes
        self.refused += other.refused


def record(tx: Tx, location: str, host: str, batch: Sequence[Read]) -> Adopted:
    """Registers what was read; what could not be, or has other bytes than before, is told."""
    done = Adopted()
    for read in batch:
        if read.captured is None:
            _refuse(tx, location, read.path, read.trouble, done)
    good = {read.path: read for read in batch if read.captured is not None}
    read_well = list(good)
    _met_again(tx, location, good, done)
    refused = {path for path, _ in done.refused}
    mended = [path for path in read_well if path not in refused]
    tx.run("ingest.end_quarantine", location=location, paths=mended)
    sums = [read.whole.facts.sha256 for read in good.values()]
    elsewhere = {
        r.path: r.id
        for r in tx.run("adopt.same_elsewhere", location=location, paths=list(good), sums=sums)
    }
    fresh = [read for path, read in good.items() if path not in elsewhere]
    ids = tx.run("ingest.ids", n=len(fresh) + len(good))
    files = [r.id for r in ids[: len(fresh)]]
    if fresh:
        _write(tx, location, fresh, files, ids[0].now)
    owners = dict(zip((read.path for read in fresh), files, strict=True)) | elsewhere
    reads = list(good.values())
    columns = {
        "copies": [r.id for r in ids[len(fresh) :]],
        "sums": [r.whole.facts.sha256 for r in reads],
        "sizes": [r.whole.facts.size for r in reads],
    }
    paths = [r.path for r in reads]
    owned = [owners[path] for path in paths]
    tx.run("adopt.copies", location=location, files=owned, paths=paths, **columns)
    tx.run(
        "adopt.readings",
        host=host,
        began=[r.began for r in reads],
        ended=[r.ended for r in reads],
        hows=[r.how for r in reads],
        **columns,
    )
    done.registered += len(fresh)
    done.copies += len(elsewhere)
    done.bytes += sum(r.whole.facts.size for r in reads)
    return done


def _write(tx: Tx, location: str, fresh: list[Read], files: list[UUID], now: datetime) -> None:
    paths = [read.path for read in fresh]
    before = {r.path: r for r in tx.run("adopt.ordinals", location=location, paths=paths)}
    new: list[New] = []
    for read, file in zip(fresh, files, strict=True):
        old = before.get(read.path)
        if old is None:
            new.append(New(read.whole))
            continue
        if old.current is not None:
            tx.run("ingest.replaced", id=old.current, by=file)
        new.append(New(read.whole, old.ordinal + 1, "version"))
    write_files(tx, location, new, files, now)


def _met_again(tx: Tx, location: str, good: dict[str, Read], done: Adopted) -> None:
    """Takes out what the ledger has at these paths: the same bytes are known, others refused."""
    doubtful = []
    for copy in tx.run("adopt.copies_at", location=location, paths=list(good)):
        read = good.pop(copy.path, None)
        if read is None:
            continue
        if copy.sha256 != read.whole.facts.sha256:
            doubtful.append(copy.path)
            reason = "other bytes than those that were adopted under this name"
            _refuse(tx, location, copy.path, reason, done)
            continue
        done.known += 1
        if copy.first_here:
            s = read.whole.signature
            tx.run(
                "ingest.update_tuple",
                id=copy.file,
                mtime_ns=s.mtime_ns,
                ctime_ns=s.ctime_ns,
                inode=s.inode,
            )
        if copy.state != "present":
            tx.run("ingest.copy_is_back", file=copy.file, location=location)
    tx.run("adopt.doubt", location=location, paths=doubtful)  # verify has the last word


def _refuse(tx: Tx, location: str, path: str, reason: str, done: Adopted) -> None:
    tx.run(
        "adopt.quarantine",
        location=location,
        path=path,
        reason=reason,
        advice="look at it; run nf adopt again when it is mended, or release it to be ignored",
        evidence=jsonb({}),
    )
    done.refused.append((path, reason))
