"""The demonstration: a dome, a data centre with two archives, and one night played into them.

Everything is real and runs on this machine alone: the embedded PostgreSQL, the daemons as separate
processes, a camera that writes frames at its pace. Deletion is enabled here; a real site starts
without. All of it lives in one directory, and nothing runs on after the end.
"""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import click

from nightferry.cli import show
from nightferry.db import Database
from nightferry.embedded import Embedded
from nightferry.errors import NightferryError
from nightferry.migrate import migrate
from nightferry.state import demo_directory, make, server_account
from nightferry.testing.sites import DAEMONS, Running, Sites, environment

KILL_EVERY = 2.0
QUIET_END = 180.0  # seconds without any progress after which it gives up, and says where it stands


@click.command(help=(__doc__ or ""))
@click.option(
    "--frames",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="play these real files instead of the simulated camera's",
)
@click.option("--count", default=40, show_default=True, help="frames of the simulated camera")
@click.option("--pace", default=0.25, show_default=True, help="seconds between two frames")
@click.option("--kill", is_flag=True, help="kill a random daemon with SIGKILL every two seconds")
@click.option("--keep", is_flag=True, help="leave it running at the end, and say what to type next")
@click.option("--seed", default=1, hidden=True)
def main(frames: Path | None, count: int, pace: float, kill: bool, keep: bool, seed: int) -> None:
    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        code = Demo(frames, count, pace, kill, seed).run(keep)
    except KeyboardInterrupt:
        click.echo("\nInterrupted: everything was stopped, nothing runs on.")
        code = 130
    except NightferryError as error:
        click.echo(f"The demonstration could not go on: {error}", err=True)
        code = 3
    sys.exit(code)


class Demo:
    def __init__(self, frames: Path | None, count: int, pace: float, kill: bool, seed: int) -> None:
        self.frames, self.count, self.pace, self.kill = frames, count, pace, kill
        self.random = random.Random(seed)
        self.kills = 0
        self.live = sys.stdout.isatty()
        self.line = ""
        self.began = time.monotonic()

    def run(self, keep: bool) -> int:
        """Plays the night. Returns the exit code: 0 safe, 1 not, 2 cannot tell."""
        with ExitStack() as stack:
            folder = self._clean_folder(stack)
            click.echo(f"Everything is in {folder}")
            server = stack.enter_context(Embedded(folder / "state"))
            migrate(server.dsn)
            sites = Sites(folder / "sites", server.dsn).make()
            database = stack.enter_context(_closing(sites.database))
            click.echo(
                "Two sites: dome (SOURCE, BUFFER) and center (BUFFER, archives in room-a and "
                "room-b)"
            )
            log = os.open(folder / "daemons.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            stack.callback(os.close, log)
            running = stack.enter_context(Running(sites, log)).start()
            click.echo(
                f"Daemons: {', '.join(f'{d}@{s}' for s, names in DAEMONS.items() for d in names)}\n"
            )
            camera = self._camera(sites)
            stack.callback(_end, camera)
            self._follow(database, running, camera)
            code = self._answer(sites, database)
            if keep:
                self._stay(sites, running)
            click.echo("Stopping the daemons and the database ...")
        return code

    def _clean_folder(self, stack: ExitStack) -> Path:
        """A directory of the demonstration's own; what an earlier one left there is replaced."""
        home = demo_directory(Path(__file__).parents[2], server_account())
        make(home, server_account())
        lock = stack.enter_context((home / "lock").open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NightferryError(
                f"another demonstration is running in {home}: end it first"
            ) from None
        folder = home / "night"
        if folder.exists():
            shutil.rmtree(folder)
        make(folder, server_account())
        return folder

    def _camera(self, sites: Sites) -> "subprocess.Popen[bytes]":
        command = [
            sys.executable,
            "-m",
            "nightferry.testing.camera",
            str(sites.path("dome-source")),
            "--pace",
            str(self.pace),
        ]
        command += (
            ["--from", str(self.frames.resolve())] if self.frames else ["--count", str(self.count)]
        )
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment()
        )

    def _follow(
        self, database: Database, running: Running, camera: "subprocess.Popen[bytes]"
    ) -> None:
        """Shows how far the night is, until all of it is safe and its SOURCE is freed."""
        seen: tuple[Any, ...] = ()
        since = last_kill = time.monotonic()
        wanted = (
            len([f for f in self.frames.rglob("*") if f.is_file() and not f.is_symlink()])
            if self.frames
            else self.count
        )
        while True:
            running.keep_up()
            counts = database.run(lambda tx: tx.run("demo.counts"))[0]
            now = time.monotonic()
            if tuple(counts) != seen:
                seen, since = tuple(counts), now
                self._show(counts, wanted)
            if camera.poll() not in (None, 0):
                raise NightferryError(f"the camera ended with status {camera.returncode}")
            if camera.poll() == 0 and counts.safe >= wanted and not counts.left_there:
                break
            if now - since > QUIET_END:
                click.echo(
                    f"\nNothing has moved for {QUIET_END:.0f} s: what follows is how it stands."
                )
                break
            if self.kill and now - last_kill > KILL_EVERY:
                last_kill = now
                site, daemon = self.random.choice(list(running.processes))
                running.kill(site, daemon)
                self.kills += 1
            time.sleep(0.25)
        click.echo("\n" if self.live else "")

    def _show(self, c: Any, wanted: int) -> None:
        parts = [
            f"{time.monotonic() - self.began:5.0f} s", f"registered {c.registered}/{wanted}",
            f"packed {c.packed}", f"crossed {c.crossed}", f"room-a {c.archive_a}",
            f"room-b {c.archive_b}", f"safe {c.safe}",
            f"freed {show.size(c.freed)}",
        ]  # fmt: skip
        if self.kill:
            parts.append(f"kills {self.kills}")
        text = "  ".join(parts)
        if self.live:
            click.echo("\r" + text.ljust(len(self.line))[:110], nl=False)
        else:
            click.echo(text)
        self.line = text

    def _answer(self, sites: Sites, database: Database) -> int:
        """'nf night' for each night that has files. Returns 1 if one said NO; 2 if not all is safe;
        a night that runs still (of files without a date) can be no more than safe so far."""
        answers = set()
        for row in database.run(lambda tx: tx.run("demo.nights")):
            asked = subprocess.run(
                self._nf(sites, "night", str(row.night)), env=environment(), check=False
            )
            answers.add(asked.returncode)
            click.echo()
        counts = database.run(lambda tx: tx.run("demo.counts"))[0]
        click.echo(
            f"SOURCE: {counts.deleted} files deleted after proof, {show.size(counts.freed)} freed."
        )
        if self.kill:
            click.echo(f"{self.kills} daemons were killed on the way.")
        example = database.run(lambda tx: tx.run("demo.a_freed_file"))
        if example:
            click.echo(f"Why {example[0].path} could go:\n")
            subprocess.run(
                self._nf(sites, "why", example[0].path, "--night", str(example[0].night)),
                env=environment(),
                check=False,
            )
        click.echo()
        return 1 if 1 in answers else 0 if counts.safe == counts.registered else 2

    def _nf(self, sites: Sites, *words: str) -> list[str]:
        sys.stdout.flush()
        return [
            sys.executable,
            "-m",
            "nightferry.cli",
            "--config",
            str(sites.config("dome")),
            *words,
        ]

    def _stay(self, sites: Sites, running: Running) -> None:
        nf = Path(__file__).parents[2] / "bin" / "nf"
        click.echo(
            "All of it goes on running. In another terminal:\n\n"
            f"  export NIGHTFERRY_CONFIG={sites.config('dome')}"
        )
        for words in ("status", "night", "find --state safe", "reap plan"):
            click.echo(f"  {nf} {words}")
        click.echo(f"  cp YOUR-FRAMES/* {sites.path('dome-source')}/\n\nCtrl-C here ends it.")
        while True:
            running.keep_up()
            time.sleep(0.5)


class _closing:
    def __init__(self, database: Database) -> None:
        self.database = database

    def __enter__(self) -> Database:
        return self.database

    def __exit__(self, *_: object) -> None:
        self.database.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
