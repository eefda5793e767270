"""nightferry-archive -- bring packages to the long-term archives.

Claims    'archive' jobs, one per package (or adopted file) and archive
Writes    a physical_copy in state arriving; enqueues its 'verify'
Settings  archive: in etc/nightferry.yaml
Killed    at any moment: safe. Only verify publishes; rows only if the claim is still ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import Unavailable, Unreadable
from nightferry.jobs import Job, Wanted
from nightferry.transports import NotTheParcel, Parcel, open_transport


@dataclass(frozen=True)
class Settings:
    """None: which archive gets what is observatory.yaml's to say."""


@dataclass(frozen=True)
class Archived:
    """A copy under its temporary name, durable; and the copies that could not be read from."""

    temporary: str
    doubtful: tuple[str, ...]


def archive(job: Job, settings: Settings, work: Work) -> Archived:
    facts: dict[str, Any] = job.facts
    destination = work.store(job.location)
    destination.probe()
    place = work.place(job.location)
    kind = "s3" if place.storage == "s3" else "local"
    how = {"bandwidth": place.settings.get("bandwidth", {})}
    doubtful: list[str] = []
    away: Unavailable | None = None
    for source in facts["sources"]:
        try:
            origin = work.store(source["location"])
            origin.probe()
            transport = open_transport(kind, job.location, origin, destination, how)
            parcel = Parcel(
                str(facts["id"]), source["path"], facts["path"], facts["size"], facts["sha256"]
            )
            sent = transport.send(parcel, work.onward(0, facts["size"]))
            return Archived(sent.temporary, tuple(doubtful))
        except Unavailable as error:
            if error.what == job.location:
                raise
            away = error
        except (NotTheParcel, Unreadable, FileNotFoundError):
            doubtful.append(source["copy"])  # verify has the last word on it
    if doubtful:
        work.emit(Archived("", tuple(doubtful)))
    raise away or Unreadable(
        f"no copy of {facts['path']} could be read; {len(doubtful)} are being read again"
    )


def arrived(tx: Tx, job: Job, archived: Archived) -> Iterator[tuple[str, Wanted]]:
    for copy in archived.doubtful:
        for row in tx.run("archive.doubt_source", copy=copy):
            yield "verify", Wanted(f"{copy}@{row.location}", row.location, row.location, 20)
    if archived.temporary:
        for row in tx.run(
            "archive.arriving", about=job.about, location=job.location, temporary=archived.temporary
        ):
            yield "verify", Wanted(f"{row.id}@{job.location}", job.location, job.location, 20)


daemon = JobDaemon("archive", Settings, archive, record=arrived, batch=arrived, doing="archiving")
main = command(daemon)
