"""The command bin/test --faults: the fault suite whole, and docs/promises.md of what came out.

Narrowed by an option it runs those faults alone, and writes no page.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import psycopg

from tests.faults import campaign, promises, results
from tests.faults.beside import BESIDE
from tests.faults.tracing import Point

ROOT = Path(__file__).resolve().parents[2]
# Beside the kills and errors, which take what these leave of the processors: here clocks are looked
# at, there not. One by one, so that what is begun last is short (beside.turn).
PYTEST = (
    "-m", "pytest", "-n", "2", "--maxschedchunk", "1", "--no-header", "tests/faults", *BESIDE,
    "-m", "slow or not slow",
)  # fmt: skip
GIVE_WAY = 5  # how nice the kills and errors are, with their server


@click.command()
@click.option(
    "--points", default="", help="only faults whose name holds this, as 'archive, worker: fsync'"
)
@click.option("--sample", type=click.IntRange(1), help="only so many of them, always the same")
@click.option("--resume", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="go on in this run's folder: what was not well, or not tried")  # fmt: skip
def faults(points: str, sample: int | None, resume: Path | None) -> None:
    """Runs every fault at every point, the other families beside, and writes docs/promises.md."""
    if os.geteuid() or not shutil.which("strace"):
        raise click.ClickException("faults are strace's, and root's: install it, and run as root")
    folder = resume or Path(tempfile.mkdtemp(prefix="nightferry-faults-"))
    os.environ[results.FOLDER] = str(folder)
    campaign.tell(f"results are kept in {folder}", stays=True)
    began = time.monotonic()
    found: list[Point] = []
    elsewhere: list[tuple[Point, str]] = []
    whole = not points and sample is None
    if whole:
        os.nice(GIVE_WAY)
    try:
        with campaign.prepared(found, points, elsewhere) as prepared:
            at = {"commit": promises.commit(), "postgres": _version(prepared.server)}
            results.keep(folder, "begun", **at)
            campaign.keep_those_without_errors(found, folder)
            campaign.keep_those_elsewhere(elsewhere, folder)
            with families(folder / "families.txt") if whole else nullcontext() as others:
                campaign.run(campaign.faults(found, points, sample), prepared, folder)
        good = not any(r["wrong"] for r in campaign.kept(folder))
        good &= others is None or others.returncode == 0
    finally:  # the time of a run that was broken off counts
        results.keep(folder, "time", seconds=round(time.monotonic() - began))
    page = promises.page(folder)
    if whole:
        (ROOT / "docs" / "promises.md").write_text(page)
    click.echo(page)
    sys.exit(0 if good else 1)


@contextmanager
def families(said: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The other families, from now on; at the end they are waited for, and what they said is told."""
    with open(said, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, *PYTEST], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
        )
    os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) - GIVE_WAY)
    try:
        yield process
        campaign.tell(f"the other families: {said}", stays=True)
        process.wait()
        click.echo(said.read_text(errors="replace"))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _version(server: str) -> str:
    with psycopg.connect(server) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else ""


if __name__ == "__main__":
    faults()
