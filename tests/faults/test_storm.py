"""Six daemons of each kind, killed at random all night: the ledger, the disks and the camera's own list
agree at the end, by the word of a program that knows nothing of ours (independent.py).

The short form is 150 frames; the whole one 5,000, and minutes of kills.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from os import fsencode, kill
from pathlib import Path

import pytest
from nightferry.testing.sites import Sites, wait_until

from tests.daemons.ground import Ground, frame, ground
from tests.faults.keeping import Figure
from tests.faults.stage import Stage

# Kind by kind six, where their places are mounted.
CREW = {
    ("dome", "ingest"): 6, ("dome", "package"): 6, ("dome", "transfer"): 6, ("dome", "verify"): 3,
    ("dome", "reap"): 3, ("center", "archive"): 6, ("center", "verify"): 3, ("center", "reap"): 3,
}  # fmt: skip
# Quicker than a site's, but 39 daemons that ask all the time would do nothing else on two cores.
TIMING = {
    "lease": "4 s", "tick": "1 s", "wanted": "6 s", "poll": "1 s", "probe": "4 s",
    "put_off": "0.5 s", "stall": "30 s",
}  # fmt: skip
SETTLE = {
    "quiet": "0.2 s", "looks": 2, "looks_apart": "0.1 s", "sweep_today": "1 s", "sweep_all": "4 s",
}  # fmt: skip
AWAY = 6.0  # seconds that some stay away, which is longer than a lease
PLACES = {
    "dome-source": "SOURCE", "dome-buffer": "BUFFER", "center-buffer": "BUFFER",
    "archive-a": "LONG_TERM_ARCHIVE", "archive-b": "LONG_TERM_ARCHIVE",
}  # fmt: skip
OPEN = """SELECT (SELECT count(*) FROM job WHERE subject NOT LIKE 'temporaries@%%') + (SELECT count(*) FROM deletion WHERE closed IS NULL)
 + (SELECT count(*) FROM data_transfer_package WHERE closed IS NULL)
 + (SELECT count(*) FROM physical_copy c JOIN data_location l ON l.name = c.location
    WHERE c.state NOT IN ('present', 'deleted') OR (c.state = 'present' AND l.type IN ('SOURCE', 'BUFFER')))"""


def taken(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """A night's frames: groups of ten, of all sizes; some names are hard to write, some bytes come
    twice, and some are no frames."""
    dice = random.Random(seed)
    for number in range(1, count + 1):
        seconds = number * 32_000 // count
        when = f"2026-03-{14 + (seconds + 79_500) // 86_400}T"
        clock = (seconds + 79_500) % 86_400
        when += f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}.{number % 1000:03d}"
        data = dice.randbytes(dice.choice((2_880, 2_880, 8_640, 28_800, 288_000)))
        name = f"n{number:05d}.fits"
        cards = {"DATE_BEG": when, "OBJECT": f"field {number // 10}", "NAXIS": 1, "BITPIX": 8}
        content = frame(number, **cards, NAXIS1=len(data)) + data
        if number % 50 == 7:
            name = f"b {number} 100% ü'\".fits"
        if number % 50 == 8:
            name, content = f"log/{number}.txt", b"seeing 0.8\n"
        yield name, content


@dataclass
class Crew:
    """Daemons that run, die and run again, as systemd would have it."""

    stage: Stage
    sites: Sites
    dice: random.Random
    pids: dict[tuple[str, str, int], int] = field(default_factory=dict)
    away: dict[tuple[str, str, int], float] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    ended: list[str] = field(default_factory=list)  # what nobody killed

    def start(self) -> None:
        for (site, daemon), many in CREW.items():
            for number in range(many):
                self._start((site, daemon, number))

    def _start(self, who: tuple[str, str, int]) -> None:
        site, daemon, number = who
        config = str(self.sites.config(site))
        self.away.pop(who, None)
        self.pids[who] = self.stage.start(
            [daemon, "--config", config, "--name", str(number)], self.log
        )

    @property
    def log(self) -> Path:
        return self.sites.folder / "log"

    def kill_one(self) -> None:
        """A daemon, which takes its workers with it, or one of its workers alone."""
        who = self.dice.choice(sorted(self.pids))
        pid, daemon = self.pids[who], who[1]
        workers = children(pid)
        if workers and self.dice.random() < 0.4:
            killed(int(self.dice.choice(workers)))
            self.kills[f"{daemon}'s worker"] += 1
            return
        killed(pid)
        self.stage.wait(self.pids.pop(who), 10)
        self.kills[daemon] += 1
        # One in six comes back only when its lease is over: another one has to take its work.
        stays_away = self.dice.random() < 1 / 6
        self.away[who] = time.monotonic() + (AWAY if stays_away else 0)

    def keep_up(self) -> None:
        for who, until in list(self.away.items()):
            if time.monotonic() >= until:
                self._start(who)
        for who, pid in list(self.pids.items()):
            if state_of(pid) in ("Z", ""):
                self.ended.append(f"{who} with {self.stage.wait(pid, 1)}")
                self._start(who)

    def stop(self) -> None:
        for pid in self.pids.values():
            kill(pid, signal.SIGTERM)
        for who, pid in self.pids.items():
            if status := self.stage.wait(pid, 20):
                self.ended.append(f"{who} was stopped with {status}")
        self.pids.clear()


def children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def killed(pid: int) -> None:
    try:
        kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was quicker


def storm(
    folder: Path, dsn: str, count: int, seconds: float, every: float, patience: float
) -> tuple[str, str]:
    """A night of ``count`` frames over ``seconds``, a kill about each ``every`` seconds: what the
    independent program says of it, and what there was in figures."""
    sites = Sites(
        folder,
        dsn,
        timing=TIMING,
        settle=SETTLE,
        group_quiet="0.5 s",
        keep="1 s",
        trash_grace="0 s",
    )
    site = Ground(sites)
    frames = folder / "frames.sha256"
    over = threading.Event()
    written: list[str] = []

    def camera() -> None:
        with frames.open("wb") as out:
            for name, content in taken(count, seed=count):
                out.write(f"{sha256(content).hexdigest()}  ".encode() + fsencode(name) + b"\n")
                out.flush()
                site.put(name, content)
                written.append(name)
                if over.wait(seconds / count):
                    return

    began = time.monotonic()
    pause = threading.Event()
    player = threading.Thread(target=camera)
    with Stage(dsn) as stage:
        crew = Crew(stage, sites, random.Random(count))
        crew.start()
        player.start()
        try:
            while player.is_alive() or time.monotonic() < began + seconds:
                pause.wait(crew.dice.expovariate(1 / every))
                crew.kill_one()
                crew.keep_up()
            stormy = time.monotonic() - began

            def calm() -> bool:
                crew.keep_up()
                freed = site.one(
                    "SELECT count(*) FROM physical_copy WHERE location = 'dome-source' AND state = 'deleted'"
                )
                return freed == count and site.one(OPEN) == 0

            try:
                wait_until(calm, patience, "the end of the night")
            except TimeoutError:
                pass  # the independent program says what is not done
        finally:
            over.set()
            player.join()
            crew.stop()
    packages = site.one("SELECT count(*) FROM raw_data_package")
    site.db.close()
    was = (
        f"{len(written):,} frames, in {packages} packages, {crew.kills.total()} kills in {stormy:.0f} s"
        f" ({', '.join(f'{n} {what}' for what, n in sorted(crew.kills.items()))}),"
        f" over after {time.monotonic() - began:.0f} s"
    )
    assert crew.ended == [], f"nobody killed them: {crew.ended}\n{crew.log.read_text()[-3000:]}"
    assert crew.kills.total() > seconds / every / 3
    return judged(sites, frames), was


def judged(sites: Sites, frames: Path) -> str:
    """What the independent program says."""
    command = [sys.executable, str(Path(__file__).with_name("independent.py"))]
    command += ["--dsn", sites.dsn, "--frames", str(frames)]
    command += [f"--place={name}={kind}={sites.path(name)}" for name, kind in PLACES.items()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
    assert not done.stderr, done.stderr
    return done.stdout


PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.mark.slow
def test_the_independent_program_sees_what_differs(database: str, tmp_path: Path) -> None:
    """Else its word would be worth nothing."""
    site = ground(tmp_path, database)
    frames = tmp_path / "frames.sha256"
    with frames.open("w") as out:
        for name, content in taken(12, seed=1):
            site.put(name, content)
            out.write(f"{sha256(content).hexdigest()}  {name}\n")
    site.travel()
    site.reap()
    good = "0 differences in 12 frames at 5 places\n"
    assert judged(site.sites, frames) == good
    tar = max(site.sites.path("archive-b").rglob("*.tar"), key=lambda p: p.stat().st_size)
    whole, listed = tar.read_bytes(), frames.read_bytes()
    sidecar = tar.with_name(tar.name + ".sha256")
    told = sidecar.read_text()
    for harm, undo, word in (
        (lambda: tar.write_bytes(whole[:5000] + b"!" + whole[5001:]), lambda: tar.write_bytes(whole), "FAILED"),
        (lambda: tar.write_bytes(whole[:-10_000]), lambda: tar.write_bytes(whole), "more than archive-b"),
        (tar.unlink, lambda: tar.write_bytes(whole), "more than the disk of archive-b"),
        (sidecar.unlink, lambda: sidecar.write_text(told), "is not there"),
        (lambda: tar.with_name(".x.part").write_bytes(b"x"), tar.with_name(".x.part").unlink, ".x.part"),
        (lambda: frames.write_bytes(listed.replace(b"n00002", b"n99999")), lambda: frames.write_bytes(listed), "n99999"),
        (lambda: frames.write_bytes(listed + listed.splitlines(True)[0]), lambda: frames.write_bytes(listed), "the camera has 1 of"),
        (lambda: site.put("back.fits"), (site.source / "back.fits").unlink, "back.fits"),
        (lambda: site.ask("UPDATE physical_copy SET state = 'suspect' WHERE location = 'archive-a'"),
         lambda: site.ask("UPDATE physical_copy SET state = 'present' WHERE location = 'archive-a'"),
         "neither there nor deleted"),
        (lambda: site.ask("INSERT INTO blocked (kind, subject, reason) VALUES ('verify', 'x', 'y')"),
         lambda: site.ask("DELETE FROM blocked"), "work is blocked"),
        (lambda: site.ask("UPDATE deletion_copy SET changed = changed - interval '1 day'"),
         lambda: site.ask("UPDATE deletion_copy SET changed = changed + interval '1 day'"), "deleted unproven"),
    ):  # fmt: skip
        harm()
        said = judged(site.sites, frames)
        assert word in said, said
        undo()
    assert judged(site.sites, frames) == good
    site.db.close()


@pytest.mark.slow
def test_a_stormy_night_ends_with_ledger_disks_and_camera_agreed(
    database: str, tmp_path: Path, figure: Figure
) -> None:
    said, was = storm(tmp_path, database, 150, seconds=9, every=0.2, patience=90)
    figure("a short storm:", f"{differences(said)} differences over {was}")
    assert said == "0 differences in 150 frames at 5 places\n", said


@pytest.mark.whole
def test_a_night_of_5000_frames_in_a_storm_of_minutes_ends_with_ledger_disks_and_camera_agreed(
    database: str, tmp_path: Path, figure: Figure
) -> None:
    said, was = storm(tmp_path, database, 5000, seconds=240, every=0.3, patience=600)
    figure("storm:", f"{differences(said)} differences over {was}")
    assert said == "0 differences in 5000 frames at 5 places\n", said


def differences(said: str) -> str:
    """How many the independent program has counted."""
    return said.splitlines()[-1].partition(" ")[0]
