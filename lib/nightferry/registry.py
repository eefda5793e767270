"""What the ingest daemon commits: files registered, versions, reused names, what is lost.

Everything here may be done twice: a batch whose commit was answered by silence comes again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from nightferry import canary
from nightferry.capture import Captured
from nightferry.db import REFUSED, Row, Tx, copy_rows, first_line, is_refusal
from nightferry.db import json as jsonb
from nightferry.watch import Odd, too_many

_FILE_COLUMNS = (
    "id", "location", "path", "ordinal", "relation", "handling", "ephemeral_until", "sha256",
    "size", "mtime_ns", "ctime_ns", "inode", "header", "defects", "night", "night_from", "clock",
    "instrument", "module", "frame_type", "object", "program", "exposure_start", "exposure_seconds",
    "filter", "ra", "dec", "airmass", "counter", "exposure_key", "attributes", "owner",
    "public_after",
)  # fmt: skip


@dataclass(frozen=True)
class New:
    """A captured file that becomes a row: the ``ordinal``-th at its path."""

    captured: Captured
    ordinal: int = 1
    relation: str = "first"
    replaces: Row | None = None
    rotten: bool = False  # nobody wrote it: what it replaces has become this

    @property
    def defects(self) -> list[str]:
        told = [*self.captured.facts.defects, *self.captured.meaning.exposure.defects]
        if self.rotten and self.replaces is not None:
            told.append(
                "its bytes changed and its times did not: it was registered with the SHA-256 "
                f"{self.replaces.sha256}"
            )
        return told


def register(tx: Tx, location: str, batch: Sequence[Captured]) -> list[UUID]:
    """Registers captured files; returns the new rows' ids, in the batch's order.

    Known bytes under a known path only have their tuple updated. Other bytes are another version if
    instrument and exposure start are the same and known, else another exposure under a used name.
    What they replaced is lost if it was not captured.

    Other bytes under the very same times were written by nobody: the file rotted, and its copy is
    corrupt. What was captured in time is safe, and the bad bytes are nobody's; of what was not they
    are all that is left, and another version.
    """
    last = {c.path: c for c in batch}  # a path that came twice: its last state
    last |= {c.path: c for c in canary.known_among(tx, location, list(last.values()))}
    tx.run("ingest.end_quarantine", location=location, paths=list(last))
    before = {r.path: r for r in tx.run("ingest.current", location=location, paths=list(last))}
    fresh: list[New] = []
    for captured in last.values():
        old = before.get(captured.path)
        if old is None:
            fresh.append(New(captured))
        elif old.sha256 == captured.facts.sha256:
            _seen_again(tx, location, old, captured)
        elif _rotten(old, captured):
            tx.run("ingest.copy_rotten", file=old.id, location=location)
            if tx.run("ingest.captured", file=old.id)[0].captured:
                _update_tuple(tx, old, captured)
            else:
                fresh.append(New(captured, old.ordinal + 1, "version", old, rotten=True))
        else:
            same = _same_exposure(old, captured)
            fresh.append(New(captured, old.ordinal + 1, "version" if same else "exposure", old))
    if not fresh:
        return []
    made = tx.run("ingest.ids", n=len(fresh))
    now, ids = made[0].now, [r.id for r in made]
    for new, file in zip(fresh, ids, strict=True):
        if new.replaces is not None:
            _replaced(tx, location, new, new.replaces, file)
    write_files(tx, location, fresh, ids, now)
    tx.run("ingest.copies", files=ids)
    tx.run("ingest.join_filed", ids=ids)
    if any(new.captured.handling == "canary" for new in fresh):
        tx.run("canary.registered", files=ids)
    return ids


def register_each(tx: Tx, location: str, batch: Sequence[Captured]) -> list[Odd]:
    """As :func:`register`; what the database refuses is left out, and told as odd.

    One such file must not hold up the others of its batch.
    """
    try:
        with tx.refusable():
            register(tx, location, batch)
    except REFUSED as error:
        if not is_refusal(error):
            raise
        if len(batch) == 1:
            why = f"it can't be registered: {first_line(error)}"
            return [Odd(batch[0].path, batch[0].signature, why)]
        return [odd for one in batch for odd in register_each(tx, location, [one])]
    return []


def write_files(
    tx: Tx, location: str, fresh: Sequence[New], ids: Sequence[UUID], now: datetime
) -> None:
    """The rows of new files and of their headers, as they were captured."""
    names = [n.captured.meaning.exposure.instrument for n in fresh]
    tx.run("ingest.instruments", names=names)
    rights = _rights(tx, fresh)
    copy_rows(tx, "raw_data_file", _FILE_COLUMNS, [
        _file_row(location, file, new, now, rights) for new, file in zip(fresh, ids, strict=True)
    ])  # fmt: skip
    copy_rows(tx, "file_header", ("file", "hdu", "cards"), [
        (file, number, cards) for new, file in zip(fresh, ids, strict=True)
        for number, cards in enumerate(new.captured.cards)
    ])  # fmt: skip


def _same_exposure(old: Row, new: Captured) -> bool:
    exposure = new.meaning.exposure
    return exposure.start is not None and (old.instrument, old.exposure_start) == (
        exposure.instrument,
        exposure.start,
    )


def _rotten(old: Row, captured: Captured) -> bool:
    """The same file, and nobody wrote it. A copy that the reaper found corrupt it has also renamed,
    there and back, which shows in the time of its last change."""
    s = captured.signature
    same = (s.size, s.mtime_ns, s.inode) == (old.size, old.mtime_ns, old.inode)
    return same and (s.ctime_ns == old.ctime_ns or old.copy_state == "corrupt")


def _update_tuple(tx: Tx, old: Row, captured: Captured) -> None:
    s = captured.signature
    tx.run(
        "ingest.update_tuple", id=old.id, mtime_ns=s.mtime_ns, ctime_ns=s.ctime_ns, inode=s.inode
    )


def _seen_again(tx: Tx, location: str, old: Row, captured: Captured) -> None:
    _update_tuple(tx, old, captured)
    if old.copy_state in ("missing", "suspect", "corrupt"):
        tx.run("ingest.copy_is_back", file=old.id, location=location)
        tx.run("ingest.not_lost", file=old.id)
    elif old.copy_state in (None, "deleted"):
        tx.run("ingest.copy_again", file=old.id, location=location)


def _replaced(tx: Tx, location: str, new: New, old: Row, by: UUID) -> None:
    """Its bytes are not at its path any more; it is lost if no package has them."""
    tx.run("ingest.replaced", id=old.id, by=by)
    if not new.rotten:
        tx.run("ingest.copy_missing", files=[old.id], location=location)
    how = "rotten" if new.rotten else "overwritten"
    tx.run("ingest.lost", files=[old.id], how=f"{how} before it was captured")


def _rights(tx: Tx, fresh: Sequence[New]) -> dict[str, Row]:
    programs = {n.captured.meaning.exposure.program or "" for n in fresh} - {""}
    found = tx.run("ingest.programs", names=sorted(programs)) if programs else []
    return {r.name: r for r in found}


def _file_row(
    location: str, file: UUID, new: New, now: Any, rights: dict[str, Row]
) -> tuple[Any, ...]:
    c, m, e = new.captured, new.captured.meaning, new.captured.meaning.exposure
    program = rights.get(e.program or "")
    public_after = None
    if program is not None and program.proprietary is not None:
        public_after = (e.start or now) + program.proprietary
    return (
        file, location, c.path, new.ordinal, new.relation, c.handling,
        now + c.keep if c.keep is not None else None, c.facts.sha256, c.facts.size,
        c.signature.mtime_ns, c.signature.ctime_ns, c.signature.inode, c.facts.header,
        new.defects, m.night, m.night_from, m.clock,
        e.instrument, e.module, str(e.frame_type), e.object or "", e.program, e.start, e.seconds,
        e.filter, e.ra, e.dec, e.airmass, e.counter, e.exposure_key, jsonb(e.attributes),
        program.owner if program else None, public_after,
    )  # fmt: skip


def seen(tx: Tx, location: str, files: int) -> None:
    """A full sweep met so many files: those that had vanished at once may be there again."""
    known = tx.run("ingest.count_present", location=location)[0].files
    if not too_many(known - files, known, 0):
        tx.run("ingest.clear_guard", location=location)


def vanished(tx: Tx, location: str, paths: Sequence[str]) -> str | None:
    """Files that two full passes did not find. Returns why nothing was concluded, or None.

    Very many at once are not believed until a person says so: an emptied disk, or a wrong one,
    looks the same.
    """
    here = tx.run("ingest.present_at", location=location, paths=list(paths))
    if not here:
        return None
    count = tx.run("ingest.count_present", location=location)[0]
    accepted = count.accepted or 0
    if too_many(len(here), count.files, 0) and len(here) > accepted:
        tx.run(
            "ingest.set_guard", location=location,
            guard=jsonb({"vanished": len(here), "known": count.files, "example": here[0].path}),
        )  # fmt: skip
        return (
            f"{len(here)} of {count.files} files vanished at once: nothing is concluded. "
            f"If it is true, say 'nf locations accept-missing {location}'; "
            "else look at what is mounted there"
        )
    files = [r.file for r in here]
    tx.run("ingest.copy_missing", files=files, location=location)
    tx.run("ingest.lost", files=files, how="gone before it was captured")
    tx.run("ingest.clear_guard", location=location)
    return None
