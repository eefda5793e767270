"""``nf safe DIR``: may this folder, on any disk, be erased? Prints what erasable.py finds."""

import os
import sys
from collections import Counter
from pathlib import Path

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Tx
from nightferry.erasable import Looked, Outcome, answered, archives_at, look
from nightferry.names import to_text

BATCH = 500  # files asked of the ledger at once
MOST_LISTED = 30
TOLD_EVERY = 64_000_000  # bytes


@click.command(epilog=show.EXIT_CODES)
@click.argument(
    "folders",
    metavar="DIR...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--all", "list_all", is_flag=True, help="List every file, not only those in doubt.")
@json_option
@pass_nf
def command(nf: Context, folders: tuple[Path, ...], list_all: bool, as_json: bool) -> int:
    """May these folders, on any disk, be erased? Hashes every file in them; changes nothing.

    Yes, if each regular file's bytes are known and safe in the archives. Links are not followed.

    JSON keys: answer, files, bytes, safe, not_safe, cannot_tell, archives, things (path, size,
    sha256, outcome, why).
    """
    archives = nf.db.run(lambda tx: _archives(tx, nf, folders))
    looked = _looked(nf, folders)
    counts = Counter(thing.outcome for thing in looked)
    answer, code = _answer(counts, archives)
    if as_json:
        _emit(answer, looked, counts, archives)
    else:
        _print(looked, counts, list_all, folders)
        show.verdict(*_verdict(answer, looked, counts, archives, folders))
    return code


def _archives(tx: Tx, nf: Context, folders: tuple[Path, ...]) -> list[str]:
    found = (archives_at(tx, folder, nf.config.locations) for folder in folders)
    return sorted(set().union(*found))


def _looked(nf: Context, folders: tuple[Path, ...]) -> list[Looked]:
    looked: list[Looked] = []
    waiting: list[Looked] = []
    progress = _Progress()
    for folder in folders:
        for thing in look(os.fsencode(folder), progress):
            (waiting if thing.sha256 else looked).append(thing)
            if len(waiting) == BATCH:
                looked += nf.db.run(lambda tx: answered(tx, waiting))
                waiting.clear()
    looked += nf.db.run(lambda tx: answered(tx, waiting))
    progress.end()
    return sorted(looked, key=lambda thing: thing.path)


class _Progress:
    """How far the hashing is, on a terminal only."""

    def __init__(self) -> None:
        self.bytes, self.told = 0, 0
        self.shown = sys.stderr.isatty()

    def __call__(self, n: int) -> None:
        self.bytes += n
        if self.shown and self.bytes - self.told >= TOLD_EVERY:
            self.told = self.bytes
            sys.stderr.write(f"\r{show.size(self.bytes)} read ")
            sys.stderr.flush()

    def end(self) -> None:
        if self.told:
            sys.stderr.write("\r" + " " * 30 + "\r")


def _answer(counts: Counter[Outcome], archives: list[str]) -> tuple[str, int]:
    if counts["not safe"] or archives:
        return "NO", show.NO
    if counts["cannot tell"] or not counts["safe"]:
        return "CANNOT TELL", show.CANNOT_TELL
    return "YES", show.YES


def _print(
    looked: list[Looked], counts: Counter[Outcome], list_all: bool, folders: tuple[Path, ...]
) -> None:
    root = to_text(os.fsencode(folders[0])).rstrip("/") + "/" if len(folders) == 1 else ""
    listed = [t for t in looked if list_all or t.outcome != "safe"]
    if listed:
        rows = [
            (t.path.removeprefix(root), show.size(t.size), t.outcome, t.why)
            for t in (listed if list_all else listed[:MOST_LISTED])
        ]
        click.echo(show.table(rows, (f"FILE BELOW {root}" if root else "FILE", "SIZE", "", "WHY")))
        if not list_all and len(listed) > MOST_LISTED:
            show.say(f"and {len(listed) - MOST_LISTED:,} more: --all lists every file")
        show.say()
    for outcome in ("safe", "not safe", "cannot tell", "not a file"):
        of_it = [t for t in looked if t.outcome == outcome]
        if of_it:
            noun = "thing" if outcome == "not a file" else "file"
            size = show.size(sum(t.size for t in of_it))
            show.say(f"{show.count(len(of_it), noun)}, {size}: {outcome}")
    if empty := sum(t.size == 0 and bool(t.sha256) for t in looked):
        show.say(f"{empty:,} of them empty")


def _verdict(
    answer: str,
    looked: list[Looked],
    counts: Counter[Outcome],
    archives: list[str],
    folders: tuple[Path, ...],
) -> tuple[str, str]:
    what = ", ".join(to_text(os.fsencode(f)) for f in folders)
    files = counts["safe"] + counts["not safe"] + counts["cannot tell"]
    if archives:
        return (
            f"NO: {what} is, holds or lies in {', '.join(archives)}. Archives are never erased.",
            "nf locations list",
        )
    if answer == "YES":
        other = counts["not a file"]
        named = f" {show.count(other, 'other thing')} named above would go too." if other else ""
        return (
            f"YES: {what} may be erased. {files:,} of {files:,} files are safe in the archives, "
            f"byte by byte.{named}",
            show.command("nf", "safe", "--all", *folders),
        )
    if answer == "NO":
        first = next(t for t in looked if t.outcome == "not safe")
        return (
            f"NO: {counts['not safe']:,} of {files:,} files in {what} are not safe. "
            f"{first.path}: {first.why}.",
            "nf status",
        )
    if not files:
        return f"CANNOT TELL: no file is in {what}. Is the disk mounted?", show.command(
            "ls", "-la", *folders
        )
    return (
        f"CANNOT TELL: {counts['cannot tell']:,} of {files:,} files in {what} could not be read "
        "whole.",
        show.command("nf", "safe", *folders),
    )


def _emit(answer: str, looked: list[Looked], counts: Counter[Outcome], archives: list[str]) -> None:
    show.emit_json(
        {
            "answer": answer,
            "files": sum(n for outcome, n in counts.items() if outcome != "not a file"),
            "bytes": sum(t.size for t in looked if t.outcome != "not a file"),
            "safe": counts["safe"],
            "not_safe": counts["not safe"],
            "cannot_tell": counts["cannot tell"],
            "archives": archives,
            "things": [vars(t) for t in looked],
        }
    )
