"""nf get -- one file out of its package, verified, without unpacking the rest."""

import os
from datetime import date
from pathlib import Path

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx, json
from nightferry.delivery import Delivered, Source, Wanted, deliver
from nightferry.names import to_bytes
from nightferry.rights import Rights, check_seen


@click.command(epilog=show.EXIT_CODES)
@click.argument("file")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path),
    help="Where it goes: a new name, or a folder that is there.",
)  # fmt: skip
@click.option("--night", type=NIGHT, help="Which night's, where a name comes again.")
@click.option("--override", default="", help="An operator's reason to have what is not public.")
@json_option
@pass_nf
def command(
    nf: Context, file: str, out: Path, night: date | None, override: str, as_json: bool
) -> int:
    """Brings one FILE (a path, a name, an id) back, from the first copy here that has it whole.

    It is read by its place in the package and compared with its SHA-256; OUT appears only when all
    of it agrees, and nothing is overwritten. A copy that has other bytes is said, and verify reads
    it again. What has an owner is for them, the members of the group of that name, and everyone
    once it is public.

    JSON: {"file", "path", "night", "size", "sha256", "out", "from": location or null,
    "bad": [{"location", "path", "why"}], "away": [{"location", "path", "why"}]}
    """
    found, sources = nf.db.run(lambda tx: _look(nf, tx, file, night, override))
    wanted = Wanted(found.path, found.size, found.sha256)
    if out.is_dir():
        out = out / os.fsdecode(to_bytes(found.path.rpartition("/")[2]))
    done = deliver(wanted, sources, nf.config.locations, out.absolute())
    doubted = nf.db.run(lambda tx: _doubt(tx, done))
    code = show.YES if done.source else show.NO
    if as_json:
        show.emit_json(_document(found, out, done))
        return code
    for source, why in done.bad:
        again = ": verify reads it again" if source.copy in doubted else ""
        show.say(f"bad copy: {why}{again}")
    for source, why in done.away if not done.source else ():
        show.say(f"not asked: {source.location}: {why}")
    _conclude(found, out, done)
    return code


def _look(
    nf: Context, tx: Tx, text: str, night: date | None, override: str
) -> tuple[Row, list[Source]]:
    meant = named.one_file(nf, tx, text, night)
    if meant is None:
        named.unknown("file", text)
    found = tx.one("get.file", file=meant.id)
    assert found is not None
    if check_seen([Rights(found.path, found.closed, found.public_after)], override):
        detail = json({"override": override})
        tx.run("event.tell", what="seen by override", subject=str(found.id), detail=detail)
    return found, [Source.of(row) for row in tx.run("get.sources", file=meant.id)]


def _doubt(tx: Tx, done: Delivered) -> set[str]:
    return {str(r.id) for s, _ in done.bad for r in tx.run("get.doubt", copy=s.copy)}


def _conclude(found: Row, out: Path, done: Delivered) -> None:
    if done.source is None:
        tried = f"{show.count(len(done.bad), 'copy', 'copies')} bad" if done.bad else "none is here"
        show.verdict(
            f"NO: {found.path} could not be had from any copy ({tried}). {out} was not written.",
            show.command("nf", "why", found.id),
        )
        return
    where = f"{done.source.location}, out of {done.source.package}"
    show.verdict(
        f"YES: {out} is {found.path} of night {found.night}: {show.size(found.size)}, as it was "
        f"registered (SHA-256 {found.sha256[:12]}…). From "
        f"{where if done.source.package else done.source.location}.",
        show.command("nf", "why", found.id) if done.bad else None,
    )


def _document(found: Row, out: Path, done: Delivered) -> dict[str, object]:
    def told(copies: list[tuple[Source, str]]) -> list[dict[str, str]]:
        return [{"location": s.location, "path": s.path, "why": why} for s, why in copies]

    return {
        "file": found.id,
        "path": found.path,
        "night": found.night,
        "size": found.size,
        "sha256": found.sha256,
        "out": str(out),
        "from": done.source.location if done.source else None,
        "bad": told(done.bad),
        "away": told(done.away),
    }
