"""nightferry-package -- make a night's files into packages.

Claims    'package' jobs, one per planned package
Writes    the package's SHA-256, and a physical_copy in state arriving at the site's buffer;
          on its tick, plans packages of the files that are in none; enqueues 'verify'
Settings  package: in etc/nightferry.yaml
Killed    at any moment: safe. The plan is in the ledger before the first byte, the same plan gives
          the same bytes, and only verify publishes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nightferry import grouping
from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import GiveUp, NotAFile
from nightferry.jobs import Job, Wanted
from nightferry.packaging.manifest import Document, Member
from nightferry.packaging.pack import MemberChanged, pack


@dataclass(frozen=True)
class Settings:
    """None: what differs between sites is the observatory's policy."""


@dataclass(frozen=True)
class Made:
    """A package under its temporary name, durable and not yet proven."""

    temporary: str
    sha256: str
    size: int


def package(job: Job, settings: Settings, work: Work) -> Made:
    facts: dict[str, Any] = job.facts
    document = Document.from_json(facts["document"])
    work.store(facts["origin"]).probe()  # a disk that is not there has not lost its files
    source, buffer = work.root(facts["origin"]), work.store(job.location)

    def open_member(member: Member) -> int:
        try:
            return source.open_file(member.path)
        except NotAFile:  # the file is gone, and holds up no other
            raise MemberChanged(member.path, "gone") from None

    with buffer.write(facts["path"], str(facts["id"])) as out:
        made = pack(document, open_member, out.write, work.counter(of=document.payload))
        out.finish()
    if facts["sha256"] is not None and made.sha256 != facts["sha256"]:
        raise GiveUp(
            "packed differently",
            f"{facts['name']}: packed again it has the SHA-256 {made.sha256}, and had "
            f"{facts['sha256']} before: "
            "a member's header or path was changed in the ledger; see 'nf why'",
        )
    return Made(out.path, made.sha256, made.size)


def record(tx: Tx, job: Job, made: Made) -> Iterator[tuple[str, Wanted]]:
    package_id = job.about
    if not tx.run("package.packed", id=package_id, sha256=made.sha256, size=made.size):
        raise GiveUp("packed differently", f"package {package_id} has other bytes in the ledger")
    for row in tx.run(
        "package.arriving", package=package_id, location=job.location, path=job.facts["path"],
        temporary=made.temporary, sha256=made.sha256, size=made.size,
    ):  # fmt: skip
        yield "verify", Wanted(f"{row.id}@{job.location}", job.location, job.location, 20)


def refuse(tx: Tx, job: Job, error: GiveUp) -> bool:
    """A member changed: if the package has no bytes yet, its files are grouped anew without it."""
    if not isinstance(error, MemberChanged):
        return False
    tx.run("package.doubt_member", id=job.about, path=error.path)
    if job.facts["sha256"] is not None:
        return False
    tx.run("package.dissolve", id=job.about, why=str(error))
    return True


def tick(tx: Tx, settings: Settings) -> Iterator[tuple[str, Wanted]]:
    yield from grouping.plan_packages(tx)


daemon = JobDaemon("package", Settings, package, record, tick=tick, refuse=refuse, doing="packing")
main = command(daemon)
