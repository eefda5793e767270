"""nightferry-verify -- read a copy in full, at its own place, and say what was seen.

Claims    'verify' jobs, one per copy; reading old copies again gives way to all other work
Writes    a verification; publishes an arriving copy that agrees; marks one that does not; makes a
          sidecar again that does not say what the ledger says
Settings  verify: in etc/nightferry.yaml
Killed    at any moment: safe. Publishing can be done twice, and a name is given only to bytes that
          were read back and agreed.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from nightferry.child import Work
from nightferry.courtesy import Pace, last_in_the_queue
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx, json
from nightferry.errors import GaveWay, GiveUp, Occupied, Retry, Unreadable
from nightferry.jobs import Job, Wanted
from nightferry.log import tell
from nightferry.packaging.sidecar import SUFFIX, Sidecar, render
from nightferry.readback import Reading, Unfinished
from nightferry.right_of_way import RightOfWay
from nightferry.stores.base import Store
from nightferry.yamlfile import Size

PATIENT = 800  # jobs from this priority on give way to all others
LEAST_RATE = 20_000_000  # bytes/s; a reading that takes days would be interrupted for ever


@dataclass(frozen=True)
class Settings:
    """``scrub_rate``: at most so many bytes a second are read of a place whose copies are only old.
    Left out: what is needed to read everything in time, and not less than 20 MB/s."""

    scrub_rate: Size | None = None


@dataclass(frozen=True)
class Seen:
    """What a reading saw. ``state`` is what the copy is from now on; ``seconds`` are from the claim
    to the end of the reading."""

    outcome: str  # good, differs, unreadable; '' = it was not there to be read
    state: str
    seconds: float = 0.0
    sha256: str | None = None
    size: int | None = None
    how: str = "cache"
    detail: str = ""
    began: datetime | None = None  # by an earlier claim that gave way, and this one went on
    set_aside: str | None = None  # where bad bytes that had the name lie now
    sidecar: str = ""  # what was wrong with it: it is no part of what was read

    def but(self, state: str, detail: str) -> "Seen":
        """Read to the end, and other bytes than the ledger's."""
        return replace(self, outcome="differs", state=state, detail=detail)


def verify(job: Job, settings: Settings, work: Work) -> Seen:
    seen = _verify(job, settings, work)
    if not job.facts["replaces"]:
        return seen
    # Also what an earlier claim moved, and could not say so any more.
    aside = work.store(job.location).aside(str(job.facts["path"]), str(job.facts["id"]))
    return replace(seen, set_aside=aside)


def _verify(job: Job, settings: Settings, work: Work) -> Seen:
    began = time.monotonic()
    facts: dict[str, Any] = job.facts
    store = work.store(job.location)
    store.probe()
    arriving = facts["state"] == "arriving"
    where = facts["temporary"] if arriving else facts["path"]
    onward = work.onward(0, facts["size"])
    first_claim = None
    try:
        try:
            if job.priority >= PATIENT:
                reading, first_claim = _read_patiently(job, settings, work, store, where)
            else:
                reading = store.read_back(where, onward)
        except FileNotFoundError:
            if not arriving:
                raise
            # Published by a claim that ended before it could say so?
            reading = store.read_back(facts["path"], onward)
            where = facts["path"]
            if reading.sha256 != facts["sha256"]:
                return Seen(
                    "",
                    "missing",
                    detail=f"{facts['temporary']} is gone, and never had its final name",
                )
    except FileNotFoundError:
        store.probe()  # a file is missing only on a disk that is there
        return Seen("", "missing", detail=f"{where} is not there")
    except Unreadable as error:
        return Seen("unreadable", "suspect", time.monotonic() - began, detail=str(error))
    seen = Seen(
        "good", "present", time.monotonic() - began, reading.sha256, reading.size, reading.how,
        began=first_claim,
    )  # fmt: skip
    if (reading.sha256, reading.size) != (facts["sha256"], facts["size"]):
        work.check()
        if arriving and where == facts["temporary"]:
            store.discard(where)
        return seen.but(
            "corrupt",
            f"{where}: {reading.size} bytes with SHA-256 {reading.sha256}; the ledger says "
            f"{facts['size']} bytes with {facts['sha256']}",
        )
    sidecar = None
    if facts["is_package"]:
        tar = facts["path"].rpartition("/")[2]
        sidecar = Sidecar(
            str(facts["thing"]), tar, facts["sha256"], facts["size"], facts["members"]
        )
    if arriving:
        return _publish(job, store, work, where, sidecar, seen)
    trouble = _mended(job, store, work, sidecar) if sidecar is not None else ""
    return replace(seen, sidecar=trouble, detail=trouble)


# Readings of this process that gave way, by copy, and when the first part of each was claimed. A
# large copy would else begin anew each time, and perhaps never be read to its end.
_gave_way: dict[str, tuple[Unfinished, datetime]] = {}


def _read_patiently(
    job: Job, settings: Settings, work: Work, store: Store, where: str
) -> tuple[Reading, datetime]:
    """Reads, unless it is in somebody's way; goes on where it gave way before. With its first
    claim's time."""
    part, claimed = _gave_way.pop(job.subject, (Unfinished(), job.claimed_at))
    try:
        with last_in_the_queue():
            progress = _giving_way(job, settings, work, part.size)
            return store.read_back(where, progress, part), claimed
    except GaveWay:
        _gave_way[job.subject] = part, claimed
        raise


def _giving_way(job: Job, settings: Settings, work: Work, before: int) -> Callable[[int], None]:
    """Progress that holds the reading to its rate, and ends it when it is in somebody's way.

    ``before``: bytes that an earlier claim has read.
    """
    facts: dict[str, Any] = job.facts
    way = RightOfWay(job, work, PATIENT, "more urgent work")
    done = 0

    def look() -> None:
        work.progress(done, facts["size"])
        way.look()

    pace = Pace(_rate(job, settings), look)

    def progress(so_far: int) -> None:
        nonlocal done
        done = so_far
        look()
        pace.reached(so_far - before)

    return progress


def _rate(job: Job, settings: Settings) -> float:
    """Bytes a second; 0 = as fast as it goes: what nobody has ever read is proven at once."""
    if settings.scrub_rate is not None:
        return float(settings.scrub_rate)
    needed: Any = job.facts["pace_needed"]
    return max(needed or 0.0, LEAST_RATE) if job.priority > PATIENT else 0.0


def _publish(
    job: Job, store: Store, work: Work, where: str, sidecar: Sidecar | None, seen: Seen
) -> Seen:
    """The read bytes get their final name; known bad bytes that have it are set aside first.

    Only what is in the way is moved, and only if it is what was seen there while the claim was
    ours: whoever took over meanwhile may have published.
    """
    facts: dict[str, Any] = job.facts
    final = facts["path"]
    tried: set[str] = set()
    work.check()
    while True:
        name = final + SUFFIX
        try:
            if sidecar is not None:
                _publish_sidecar(store, final, sidecar)
            name = final
            if where != final:
                store.publish(where, final, facts["sha256"])
            return seen
        except Occupied as error:
            if name in tried or not facts["replaces"]:
                return replace(seen, state="quarantine", detail=str(error))
        tried.add(name)
        with suppress(FileNotFoundError):  # it went by itself
            there = store.stat(name)
            work.check()
            store.set_aside(name, str(facts["id"]), there)


def _publish_sidecar(store: Store, final: str, sidecar: Sidecar) -> None:
    text = render(sidecar).encode()
    with store.write(final + SUFFIX, sidecar.package) as out:
        out.write(text)
        out.finish()
    store.publish(out.path, final + SUFFIX, hashlib.sha256(text).hexdigest())


def _mended(job: Job, store: Store, work: Work, sidecar: Sidecar) -> str:
    """What was wrong with the sidecar beside a good package, and what was done; '' = nothing.

    It says nothing that the ledger does not know, so it is made again, from there. The package
    stays what it is: else bad sidecars alone could make every copy of it unusable.
    """
    path = job.facts["path"] + SUFFIX  # type: ignore[operator]
    try:
        there = store.stat(path)
        if b"".join(store.read(path)) == render(sidecar).encode():
            return ""
        trouble = f"{path} did not say what the ledger says"
    except FileNotFoundError:
        there, trouble = None, f"{path} was not there"
    work.check()
    try:
        if there is not None:
            trouble += f"; it lies at {store.set_aside(path, str(job.claim), there)}"
        _publish_sidecar(store, job.facts["path"], sidecar)  # type: ignore[arg-type]
    except (Retry, GiveUp, Occupied, FileNotFoundError) as error:
        return f"{trouble}; it could not be made again: {error}"
    return f"{trouble}; it was made again"


def record(tx: Tx, job: Job, seen: Seen) -> Iterator[tuple[str, Wanted]]:
    facts: dict[str, Any] = job.facts
    if seen.outcome:
        tx.run(
            "verify.read", copy=job.about, began=seen.began or job.claimed_at,
            ended=job.claimed_at + timedelta(seconds=seen.seconds), outcome=seen.outcome,
            sha256=seen.sha256, size=seen.size, how=seen.how, detail=seen.detail,
        )  # fmt: skip
    if seen.set_aside is not None:
        tx.run("verify.set_aside", location=job.location, was=facts["path"], path=seen.set_aside)
    if seen.state == "quarantine":
        tx.run(
            "verify.quarantine", location=job.location, path=facts["path"],
            reason="another file stands where a package or file was to be published",
            advice=f"look at both: the good bytes wait in {facts['temporary']}; move the other "
            "away, then 'nf quarantine release'",
            evidence=json({"copy": str(job.about), "detail": seen.detail}),
        )  # fmt: skip
        tx.run(
            "verify.occupied",
            kind="verify",
            subject=job.subject,
            evidence=json({"message": seen.detail}),
        )
        return
    if seen.sidecar:
        tx.run("verify.sidecar", copy=job.about, detail=seen.sidecar)
        tell(logging.WARNING, f"{job.location}: {seen.sidecar}", file=facts["path"] + SUFFIX)
    tx.run("verify.set_state", copy=job.about, state=seen.state)
    for row in tx.run("verify.follow", copy=job.about) if seen.state != facts["state"] else ():
        yield row.kind, Wanted(row.subject, row.place, row.needs, row.priority)


def tick(tx: Tx, settings: Settings) -> Iterator[tuple[str, Wanted]]:
    """How fast each place has to be read again, now and then."""
    tx.run("verify.set_paces")
    return iter(())


daemon = JobDaemon("verify", Settings, verify, record, tick=tick, doing="reading back")
main = command(daemon)
