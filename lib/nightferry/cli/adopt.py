"""nf adopt -- registers an existing archive in place."""

import sys
import time

import click

from nightferry.adoption import Adopted, adopt
from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.errors import ConfigError
from nightferry.yamlfile import size

EVERY = 5.0  # seconds between two lines of progress


@click.command(epilog=show.EXIT_CODES)
@click.argument("location")
@click.option("--under", default="", metavar="DIR", help="Only this directory below its root.")
@click.option("--rate", metavar="SIZE", help="At most so many bytes a second: 50 MB.")
@click.option("--processes", type=int, default=0, help="Left out: one a processor.")
@json_option
@pass_nf
def command(
    nf: Context, location: str, under: str, rate: str | None, processes: int, as_json: bool
) -> int:
    """Registers the files that lie in an archive as they are: nothing is moved, written or deleted.

    Every file is read once, in full, with the disk's idle priority. Ctrl-C is safe: run it again,
    and it goes on. Temporary files (dotfiles, .part, .tmp) are left alone.

    JSON: {"location", "registered", "copies", "known", "bytes", "refused": [{"path", "reason"}]}
    """
    path = nf.config.locations.get(location)
    if path is None:
        raise ConfigError(
            f"{location} is not mounted on this host: name it under locations: in {nf.config.path}"
        )
    done = adopt(
        nf.db,
        location,
        path,
        host=nf.config.host,
        under=_below(nf, location, under),
        rate=_rate(rate),
        processes=processes,
        definitions=nf.config.instruments,
        tell=_Progress(),
    )
    if as_json:
        refused = [{"path": p, "reason": why} for p, why in done.refused]
        show.emit_json({"location": location} | vars(done) | {"refused": refused})
        return show.NO if refused else show.YES
    for refused_path, why in done.refused[:20]:
        show.say(f"{refused_path}: {why}")
    read = show.count(done.registered + done.copies, "file")
    show.verdict(
        f"{read} adopted ({show.size(done.bytes)}), {done.known:,} known before, "
        f"{len(done.refused)} refused.",
        "nf quarantine list" if done.refused else "nf find",
    )
    return show.NO if done.refused else show.YES


def _below(nf: Context, location: str, under: str) -> str:
    where, path = named.ledger_path(nf, under.rstrip("/"))
    if where not in (None, location):
        raise ConfigError(f"{under} is below {where}, not {location}")
    return "" if path == "." else path


def _rate(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return int(size(text))
    except ValueError:
        raise click.UsageError(f"--rate: {text!r} is no size such as '50 MB'") from None


class _Progress:
    """A line on stderr now and then."""

    def __init__(self) -> None:
        self.began = self.told = time.monotonic()

    def __call__(self, done: Adopted) -> None:
        now = time.monotonic()
        if now - self.told < EVERY:
            return
        self.told = now
        files = done.registered + done.copies
        speed = files / (now - self.began)
        sys.stderr.write(f"{files:,} files, {show.size(done.bytes)}, {speed:.0f} files/s\n")
