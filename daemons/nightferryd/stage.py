"""nightferry-stage -- bring archived packages back to a PROCESSING location, unpacked.

Claims    'stage' jobs: one per package to be unpacked or removed, one per request to be concluded
Writes    what is staged and what is not any more; a manifest, a .done and a command's end for each
          request; on its tick, ends requests whose time is over
Settings  stage: in etc/nightferry.yaml
Killed    at any moment: safe. What was half unpacked is removed and unpacked again; a request is
          ready only once its row says so, and its command may be started twice.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import GiveUp, NoRoom, NotHere, Retry, Unavailable, Unreadable
from nightferry.jobs import Job, Wanted
from nightferry.packaging.read import Refused, Source, read_document
from nightferry.packaging.unpack import unpack
from nightferry.staging import DONE, MANIFEST, apart
from nightferry.stores.base import Store


@dataclass(frozen=True)
class Settings:
    """``commands``: what a request may name to be started once it is ready, word by word."""

    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Staged:
    """What the package, or the request, is from now on; and why, where it is not what was meant."""

    state: str
    detail: str = ""


@dataclass(frozen=True)
class Doubt:
    """A copy that is not what the ledger says."""

    copy: str


def stage(job: Job, settings: Settings, work: Work) -> Staged:
    work.store(job.location).probe()
    return WORKS[str(job.facts["work"])](job, settings, work)


def _unpack(job: Job, settings: Settings, work: Work) -> Staged:
    """From the first copy here that has it whole. Every byte is compared with the ledger's sums."""
    facts: dict[str, Any] = job.facts
    root = work.staging(job.location)
    away: Unavailable | None = None
    doubtful = 0
    here = [copy for copy in facts["sources"] if work.has(copy["location"])]
    if facts["sources"] and not here:
        # Those places are well: it is another host that can reach them.
        raise NotHere(apart(facts["name"], job.location, facts["hosts"], facts["sources"]))
    for copy in here:
        try:
            store = work.store(copy["location"])
            store.probe()
            _clear(job, work)
            _from(store, copy["path"], facts, root.staging_place(facts["path"]), work)
            return Staged("ready")
        except Unavailable as error:
            away = error
        except NoRoom:
            _clear(job, work)  # others that are smaller may still fit
            raise
        except (Refused, Unreadable, FileNotFoundError):
            doubtful += 1
            work.emit(Doubt(copy["copy"]))  # verify has the last word on it
    _clear(job, work)
    if away is not None:
        raise away
    raise Unreadable(
        f"no copy of {facts['name']} could be read; {doubtful} are being read again"
        if doubtful
        else f"no copy of {facts['name']} is left: nf why {facts['name']}"
    )


def _from(store: Store, path: str, facts: dict[str, Any], place: Any, work: Work) -> None:
    read = work.counter(2 * facts["size"])

    def chunks(at: int, length: int) -> Iterator[bytes]:
        for chunk in store.read(path, at, length):
            read(len(chunk))
            yield chunk

    source = Source(store.size(path), chunks)
    document = read_document(source)
    sums = sorted(member.sha256 for member in document.members)
    if (document.id, sums) != (str(facts["package"]), facts["sums"]):
        raise Refused(f"{store.location}:{path} is not the package that the ledger has there")
    unpack(source, place, document)


def _clear(job: Job, work: Work) -> None:
    """What was begun there before goes, while it is ours to begin: not what another began since."""
    root, path = work.staging(job.location), str(job.facts["path"])
    seen = None
    with suppress(FileNotFoundError):
        seen = root.stat(path)
    work.check()
    if seen is not None:
        root.unstage(path, seen)


def _remove(job: Job, settings: Settings, work: Work) -> Staged:
    try:
        _clear(job, work)
    except Retry as error:
        return Staged("leaving", str(error))
    return Staged("gone")


def _conclude(job: Job, settings: Settings, work: Work) -> Staged:
    """The manifest, the command, and last the .done: who waits for it finds all else."""
    facts: dict[str, Any] = job.facts
    _clear(job, work)
    folder = work.staging(job.location).staging_place(facts["path"])
    _put(job, work, MANIFEST, facts["manifest"])
    outcome = ""
    if facts["command"]:
        words = settings.commands.get(facts["command"])
        if words is None:
            raise GiveUp(
                "unknown command",
                f"no command {facts['command']!r} under stage: commands: in nightferry.yaml",
            )
        outcome = _run(words, folder / MANIFEST, work)
    _put(job, work, DONE, {"outcome": outcome})
    return Staged("ready", outcome)


def _put(job: Job, work: Work, name: str, document: object) -> None:
    from hashlib import sha256

    store, path = work.store(job.location), f"{job.facts['path']}/{name}"
    text = json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
    work.check()
    with store.write(path, job.about) as out:
        out.write(text)
        out.finish()
    work.check()
    store.publish(out.path, path, sha256(text).hexdigest())


def _run(words: tuple[str, ...], manifest: Any, work: Work) -> str:
    """Starts it with the manifest as its last word, and waits for its end."""
    with subprocess.Popen(
        [*words, str(manifest)], stdin=subprocess.DEVNULL, cwd=manifest.parent,
        env=os.environ | {"NIGHTFERRY_MANIFEST": str(manifest)},
    ) as process:  # fmt: skip
        try:
            while True:
                work.progress(work.done)
                try:
                    return f"its command ended with {process.wait(1.0)}"
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.terminate()
            raise


def _forget(job: Job, settings: Settings, work: Work) -> Staged:
    try:
        work.staging(job.location).unstage(str(job.facts["path"]))
    except Retry as error:
        return Staged("ended", str(error))
    return Staged("gone", "its time was over, or it was given back")


WORKS = {"unpack": _unpack, "remove": _remove, "conclude": _conclude, "forget": _forget}


def doubted(tx: Tx, job: Job, doubt: Doubt) -> Iterator[tuple[str, Wanted]]:
    for row in tx.run("archive.doubt_source", copy=doubt.copy):
        yield "verify", Wanted(f"{row.id}@{row.location}", row.location, row.location, 20)


def record(tx: Tx, job: Job, staged: Staged) -> Iterator[tuple[str, Wanted]]:
    if job.facts["work"] in ("unpack", "remove"):
        tx.run("stage.staged_is", id=job.about, state=staged.state, detail=staged.detail)
    else:
        tx.run("stage.staging_is", id=job.about, state=staged.state, outcome=staged.detail)
    yield from _wanted(tx)


def tick(tx: Tx, settings: Settings) -> Iterator[tuple[str, Wanted]]:
    tx.run("stage.expire")
    tx.run("stage.let_go")
    yield from _wanted(tx)


def _wanted(tx: Tx) -> Iterator[tuple[str, Wanted]]:
    for row in tx.run("stage.wanted"):
        yield "stage", Wanted(row.subject, row.place, row.needs, row.priority)


daemon = JobDaemon("stage", Settings, stage, record, batch=doubted, tick=tick)
main = command(daemon)
