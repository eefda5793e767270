"""Canaries: a small file goes through the whole chain, comes back, and is taken out again.

It is announced in the ledger before it appears at a SOURCE; only bytes that were announced are
registered as a canary. From there it goes the way of all frames, through the same daemons, to every
archive that the source's frames have to reach. It counts in no night. When its trip is over, the
rule of deletion lets all its copies go.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from nightferry import jobs
from nightferry.capture import Captured
from nightferry.db import Database, Row, Tx
from nightferry.delivery import Source, Wanted, deliver
from nightferry.durable import Root
from nightferry.errors import NightferryError
from nightferry.place import CANARIES

_PREFIX = f"{CANARIES}-"
_TEXT = """\
This is no observation. nf canary sent it at {sent} from {location}, to see that whatever is
written here comes to every archive and back. It is taken out again by itself.
{id}
"""
_LIVING = ("arriving", "present", "suspect", "deleting")
_MOST = 1000  # open jobs of a kind that are looked through for ours
# Who does each stage, in the order of the stages.
STAGES = {
    "written": "",
    "registered": "ingest",
    "packed": "package",
    "crossed": "transfer",
    "archived": "archive",
    "verified": "verify",
    "returned": "",
    "taken out": "reap",
}


@dataclass(frozen=True)
class Canary:
    """One that was sent: ``path`` at ``location``."""

    id: uuid.UUID
    location: str
    path: str
    sha256: str
    size: int
    sent: datetime


@dataclass(frozen=True)
class Step:
    """One stage at one place; ``at`` is None until it is done. By the database's clock."""

    stage: str
    place: str
    at: datetime | None


@dataclass(frozen=True)
class Stuck:
    """What a step waits for, and the command that tells more or mends it."""

    step: Step
    why: str
    todo: str


def known_among(tx: Tx, location: str, batch: Sequence[Captured]) -> Iterator[Captured]:
    """The canaries of ``batch``, as such: announced under their names, with these bytes."""
    named = [c for c in batch if c.path.startswith(_PREFIX)]
    if not named:
        return
    rows = tx.run("canary.announced", location=location, paths=[c.path for c in named])
    sums = {row.path: row.sha256 for row in rows}
    for c in named:
        if sums.get(c.path) == c.facts.sha256:
            exposure = replace(c.meaning.exposure, instrument=CANARIES)
            meaning = replace(c.meaning, exposure=exposure)
            yield replace(c, handling="canary", keep=None, meaning=meaning)


def source_of(tx: Tx, mounted: Mapping[str, Path], wanted: str | None) -> Row:
    """The SOURCE to send one from: the one that is named, or this host's first.

    Raises:
        NightferryError: there is none; the text says why.
    """
    rows = tx.run("canary.sources", names=[wanted] if wanted else list(mounted))
    if wanted and (not rows or wanted not in mounted):
        raise NightferryError(f"{wanted} is no SOURCE that this host has: nf locations list")
    told = "this host has no SOURCE: send a canary from the host of the camera"
    for row in rows:
        if row.ready_marker:
            told = f"at {row.name} a file waits for a ready marker, which a canary does not have"
        elif row.photometry:
            told = f"{row.name} holds tables of measured stars, and no frames"
        else:
            return row
    raise NightferryError(told)


def send(database: Database, source: Row, folder: Path, daily: bool) -> Canary:
    """Announces a canary, and writes it into the source's ``folder``.

    Raises:
        Unavailable, Retry, GiveUp: the folder is not there, or can't be written.
    """
    identity = uuid.uuid4()
    now = datetime.now(UTC)
    path = f"{_PREFIX}{now:%Y%m%dT%H%M%SZ}-{identity.hex[-8:]}.txt"
    text = _TEXT.format(sent=f"{now:%Y-%m-%d %H:%M:%S} UTC", location=source.name, id=identity)
    content = text.encode()
    digest = hashlib.sha256(content).hexdigest()
    with Root.open(source.name, folder, source.marker) as root:
        with root.temporary(path, str(identity)) as temporary:  # first: it may be refused
            temporary.write(content)
            temporary.finish()
        row = database.run(
            lambda tx: tx.run(
                "canary.announce", id=identity, location=source.name, path=path,
                sha256=digest, size=len(content), daily=daily,
            )
        )[0]  # fmt: skip
        root.publish(temporary.path, path, digest)
    return Canary(identity, source.name, path, digest, len(content), row.sent)


class Trip:
    """One canary's way, as the ledger tells it, and what came back."""

    def __init__(self, database: Database, canary: Canary, mounted: Mapping[str, Path]) -> None:
        self.database, self.canary, self.mounted = database, canary, mounted
        self.returned: dict[str, datetime] = {}
        self.not_here: list[str] = []  # archives of other hosts: read there, fetched nowhere
        self.wrong = ""
        self._ended = False

    def look(self) -> list[Step]:
        """Every step, done or not; what has come to an archive of this host is fetched back."""
        steps = self.database.run(self._steps)
        if fetched := [
            s.place for s in steps if s.stage == "returned" and self._may_fetch(s, steps)
        ]:
            for archive in fetched:
                self._fetch(archive)
            steps = self.database.run(self._steps)
        if all(s.at for s in steps if s.stage != "taken out") and not self._ended:
            self.end("returned", "")
        return steps

    def end(self, outcome: str, why: str) -> None:
        """Its trip is over: from now on it may be taken out."""
        self.database.run(
            lambda tx: tx.run("canary.ended", id=self.canary.id, outcome=outcome, why=why)
        )
        self._ended = True

    def _steps(self, tx: Tx) -> list[Step]:
        trip = tx.run("canary.trip", id=self.canary.id)[0]
        copies = tx.run("canary.copies", file=trip.file, package=trip.package)
        archives = tx.run("canary.archives", location=self.canary.location)
        if not archives:
            raise NightferryError("no archive is configured for it to reach: nf config check")
        self.not_here = [a.name for a in archives if a.name not in self.mounted]
        found = {c.location: c for c in copies}
        here = archives[0].from_site
        steps = [
            Step("written", self.canary.location, trip.sent),
            Step("registered", self.canary.location, trip.registered),
            Step("packed", here, trip.packed),
        ]
        for site in dict.fromkeys(a.site for a in archives if a.site != here):
            arrived = [c.read_well for c in copies if c.type == "BUFFER" and c.site == site]
            steps.append(Step("crossed", site, min(filter(None, arrived), default=None)))
        for a in archives:
            steps.append(
                Step("archived", a.name, found[a.name].created if a.name in found else None)
            )
        for a in archives:
            steps.append(
                Step("verified", a.name, found[a.name].read_well if a.name in found else None)
            )
        for a in archives:
            if a.name in self.mounted:
                steps.append(Step("returned", a.name, self.returned.get(a.name)))
        return [*steps, Step("taken out", "all places", trip.gone)]

    def _may_fetch(self, step: Step, steps: list[Step]) -> bool:
        verified = any(s.stage == "verified" and s.place == step.place and s.at for s in steps)
        return verified and step.at is None and not self.wrong

    def _fetch(self, archive: str) -> None:
        """As ``nf get`` would, from this archive alone."""

        def sources(tx: Tx) -> list[Row]:
            file = tx.run("canary.trip", id=self.canary.id)[0].file
            return [r for r in tx.run("get.sources", file=file) if r.location == archive]

        copies = [Source.of(row) for row in self.database.run(sources)]
        wanted = Wanted(self.canary.path, self.canary.size, self.canary.sha256)
        with TemporaryDirectory(prefix="nightferry-canary-") as folder:
            done = deliver(wanted, copies, self.mounted, Path(folder) / "canary.txt")
        if done.source is not None:
            clock = self.database.run(lambda tx: tx.run("canary.trip", id=self.canary.id)[0].now)
            self.returned[archive] = clock
        elif done.bad:
            self.wrong = done.bad[0][1]

    def why_kept(self) -> str:
        """Whose word keeps it where it is, once it may go; '' if it is nobody's."""
        rows = self.database.run(lambda tx: tx.run("canary.kept", id=self.canary.id))
        return rows[0].detail if rows else ""

    def stuck(self, step: Step) -> Stuck:
        """What ``step`` waits for, as far as the ledger knows."""
        return self.database.run(lambda tx: self._stuck(tx, step))

    def _stuck(self, tx: Tx, step: Step) -> Stuck:
        daemon, place = STAGES[step.stage], step.place
        trip = tx.run("canary.trip", id=self.canary.id)[0]
        copies = tx.run("canary.copies", file=trip.file, package=trip.package)
        abouts = [str(x) for x in (trip.file, trip.package, *(c.id for c in copies)) if x]
        if step.stage == "taken out":
            place = next((c.location for c in copies if c.state in _LIVING), self.canary.location)
        elif written := [c for c in copies if c.state == "arriving"]:
            daemon, place = "verify", written[0].location  # it is there, and not read yet
        elif step.stage == "crossed":
            place = self.canary.location  # its sender's
        if rows := tx.run("canary.blocked", abouts=abouts):
            told = [f"{rows[0].kind} failed for good", rows[0].reason, rows[0].message]
            return Stuck(step, ": ".join(filter(None, told)), "nf jobs list")
        if not daemon:
            return Stuck(step, f"{place} did not give it back", "nf locations list")
        if rows := tx.run("canary.away", place=place) or tx.run("canary.away", place=step.place):
            return Stuck(step, f"{rows[0].name} is away: {rows[0].reason}", "nf locations list")
        if not tx.run("canary.runs", daemon=daemon, place=place)[0].runs:
            told = [f"no nightferry-{daemon} runs where {place} is"]
            return Stuck(step, told[0], f"systemctl status nightferry-{daemon}")
        if rows := tx.run("canary.broken", place=step.place):
            return Stuck(step, f"{rows[0].name} fails: {rows[0].reason}", "nf jobs list")
        for job in jobs.listed(tx, daemon, limit=_MOST):
            if job.error and job.subject.partition("@")[0] in abouts:
                return Stuck(step, f"{daemon}: {job.error.get('message')}", "nf jobs list")
        todo = f"nf jobs list --kind {daemon}"
        return Stuck(step, f"nightferry-{daemon} runs at {place}, and has not done it yet", todo)
