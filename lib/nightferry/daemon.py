"""The one loop that all daemons share: claim → do → commit, signals, leases, heartbeats, --once.

The loop owns the database, the leases and the signals; what is slow runs in worker processes
(workshop.py). It never waits for a disk, so it can always answer, and stop. What a daemon is stands
in kind.py, what a worker is given to do in duty.py, what wakes the loop in attention.py.

Over 300 lines: what is here once would stand in every daemon; the parts share the loop's state.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import uniform
from typing import Any

import click

import nightferry
from nightferry import chronicle, config, jobs, migrate, status
from nightferry.attention import Attention
from nightferry.child import Place
from nightferry.conduct import MORE_TIME, OF_NO_USE, Outage, check_names, load, read_again
from nightferry.connections import OneConnection
from nightferry.db import ANSWER, Database, DatabaseAway, Row, Tx
from nightferry.duty import Desk, JobDuty, ProbeDuty, WatchDuty
from nightferry.errors import ConfigError, NightferryError, Unavailable
from nightferry.jobs import Job
from nightferry.kind import JobDaemon, PlaceDaemon
from nightferry.log import start as start_log
from nightferry.log import tell
from nightferry.looking import Look, Question, look, may_be_asked
from nightferry.probe import probe
from nightferry.workshop import Workshop

__all__ = ["JobDaemon", "Loop", "PlaceDaemon", "command"]

WAIT_AWAY = (0.5, 10.0)  # seconds between tries while the database is away: first, most
HEARTBEAT = timedelta(seconds=10)
PROGRESS = timedelta(seconds=5)  # between two words in a job's row of how far it is


class Loop:
    """One running daemon."""

    def __init__(
        self, daemon: JobDaemon | PlaceDaemon, host: config.HostConfig, *, name: str, once: bool
    ) -> None:
        self.daemon, self.name, self.once = daemon, name, once
        self.kind = daemon.kind
        self.prefix = f"{host.host}/{self.kind}/{name}:"
        me = f"{self.prefix}{os.getpid()}.{_started(os.getpid())}"
        self.desk = Desk(me, host, host.settings(self.kind, daemon.settings))
        self.db = Database(
            lambda: self.desk.host.dsn, actor=f"nightferry-{self.kind}",
            site=host.site, host=host.host, connections=OneConnection, answer=ANSWER,
        )  # fmt: skip
        self.workshop = Workshop(self.db)
        self.attention = Attention(self.db, f"nightferry-{self.kind} hints")
        self.claimer = jobs.Claimer(self.kind, me, host.timing.lease)
        self.routes: dict[str, Any] = {}
        self.questions: dict[str, Question] = {}  # places that are being asked if they are there
        self.standing_by: dict[str, str] = {}
        self.outage = Outage(self.attention, self.kind)
        self._due: dict[str, float] = {}
        self._status = "starting"
        self._queue: Row | None = None
        self._caught_up = self._looked = False

    # --- the loop -----------------------------------------------------------------------------

    def run(self) -> None:
        self.attention.catch_signals()
        pause, begun, ready = WAIT_AWAY[0], False, False
        while True:
            try:
                if not begun:
                    self._begin()
                    begun = True
                if ready and self.attention.reload:  # it may say where the database is
                    read_again(self.attention, self.desk.host, self._take)
                self._step()
                pause = WAIT_AWAY[0]
                self.outage.is_over()
                if not ready:  # the schema is understood, the places looked at, one claim tried
                    ready = True
                    self.attention.tell_systemd("READY=1")
                if self._over():
                    break
                self._wait(self._pause())
            except OF_NO_USE as error:
                self.outage.goes_on(error, self.desk.host, self.desk.own)
                self._due.clear()  # the next step does all: else one that asks nothing would do
                self.workshop.listen()
                if self.attention.stopping:
                    self.workshop.kill()  # nothing that they do now could be recorded
                    break
                self._wait(pause * uniform(0.75, 1.25))
                pause = min(pause * 2, WAIT_AWAY[1])
        self._end()

    def _begin(self) -> None:
        """The schema is ours to understand, no predecessor holds work, the places are known."""
        self.db.run(migrate.check)
        self.db.run(lambda tx: check_names(tx, self.desk.host))
        self.attention.listen()  # before the first poll
        self.db.run(self._succeed)
        self._refresh()
        if not self.once:
            self._look_around()

    def _look_around(self) -> None:
        """Is each place there? Answered within two seconds, whatever hangs."""
        for name, found in look(self.desk.places.values()).items():
            if found.answered:
                self.db.run(
                    lambda tx, n=name, f=found: self.desk.set_state(tx, n, f.trouble, f.space)  # type: ignore[misc]
                )
            self._is_away(name, found.trouble)
        self._looked = True

    def _wait(self, seconds: float) -> None:
        """Here alone the watchdog is fed. So it is not by a loop that never comes here: it waits
        for a lock of its own, for a worker that stopped in the middle of a word, or for a server
        that keeps its line open and says nothing. One that can't even be killed is told of in the
        status: a new daemon could not end it either, and there are other places to serve.
        """
        heard = [*self.workshop.workers.values(), *self.questions.values()]
        self.attention.wait(seconds, heard, progress=not self.workshop.overdue())

    def _step(self) -> None:
        timing = self.desk.host.timing
        self.workshop.hear()
        if self._is_due("heartbeat", HEARTBEAT):
            self.db.run(self._beat)
        if self._is_due("months", timedelta(hours=6)):
            self.db.run(lambda tx: tx.run("jobs.months"))
        if self._is_due("places", timing.wanted):
            self._refresh()
            self.attention.listen()
        if self._is_due("renew", timing.lease / 3):
            self.workshop.renew()
        if self._is_due("progress", PROGRESS):
            self.workshop.tell_progress()
        if self.attention.stopping:
            doing = f"STATUS=stopping: {self.attention.stopping}"
            self.attention.tell_systemd("STOPPING=1", doing, MORE_TIME)
            self.workshop.stop()
            return
        if isinstance(self.daemon, JobDaemon):
            self._look_for_work()
            self._claim(self.daemon)
        else:
            self._watch(self.daemon)
        if self._is_due("probe", timedelta(days=1) if self.once else timing.probe / 4):
            self._probe()
        self._hear_places()
        self.workshop.end_idle(timing.idle.total_seconds())
        self._say_status()

    def _pause(self) -> float:
        soon = self.once or self.attention.stopping
        return 0.05 if soon else self.desk.host.timing.poll.total_seconds() * uniform(0.75, 1)

    def _is_due(self, what: str, every: timedelta) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every.total_seconds() * uniform(0.9, 1.1)
        return True

    # --- jobs -----------------------------------------------------------------------------------

    def _look_for_work(self) -> None:
        """What waits becomes ready; the daemon's own tick; what the ledger says is missing."""
        timing = self.desk.host.timing
        if self._is_due("tick", timing.tick):
            self.db.singly(lambda tx: jobs.tick(tx, timing.lease))
            self._own_tick()
        if self._is_due("wanted", timing.wanted) or (self.once and not self._caught_up):
            self._want()
            self._caught_up = True

    def _want(self) -> int:
        return self.db.run(lambda tx: jobs.enqueue(tx, self.kind, jobs.wanted(tx, self.kind)))

    def _own_tick(self) -> None:
        """Short work of the kind that is one at a time over all hosts."""
        tick = self.daemon.tick if isinstance(self.daemon, JobDaemon) else None
        if tick is None:
            return
        lease = self._take_lease("", f"{self.kind}.tick", self.desk.lease)
        if lease is None:
            return

        def work(tx: Tx) -> None:
            jobs.hold_lease(tx, lease, self.desk.lease)
            self.desk.enqueue(tx, tick(tx, self.desk.settings))

        def with_lines(tx: Tx) -> list[chronicle.Line]:
            work(tx)
            return chronicle.lines(tx)

        try:
            chronicle.tell_all(self.db.run(with_lines))
        finally:
            self.db.run(lambda tx: jobs.drop_lease(tx, lease))

    def _claim(self, daemon: JobDaemon) -> None:
        free = [place for place in self.desk.own if self.workshop.is_free(place)]
        if not free:
            return
        for job in self.db.singly(lambda tx: self._claim_for(tx, free)):
            duty = JobDuty(job, daemon, self.desk)
            arguments = (job, self.desk.settings)
            self.workshop.give(job.place, duty, daemon.do, arguments, self.desk)

    def _claim_for(self, tx: Tx, free: Sequence[str]) -> list[Job]:
        """A job for each free place that has one."""
        claimed: dict[str, Job] = {}
        for place, needs in self.claimer.lanes(tx, free):
            if place not in claimed and (job := self._claim_one(tx, place, needs)) is not None:
                claimed[place] = job
        return list(claimed.values())

    def _claim_one(self, tx: Tx, place: str, needs: str) -> Job | None:
        """The lane's most urgent job and the ledger's word on it; done at once if that is none."""
        for job in self.claimer.claim(tx, place, needs):
            facts = tx.one(f"{self.kind}.facts", about=job.about, location=job.location)
            if facts is not None:
                return replace(job, facts=dict(facts._mapping))
            jobs.finish(tx, [job])  # somebody did it, or nobody wants it any more
        return None

    # --- places ---------------------------------------------------------------------------------

    def _watch(self, daemon: PlaceDaemon) -> None:
        timing = self.desk.host.timing
        for place in self.desk.own & self.desk.places.keys():
            again = timedelta(days=1) if self.once else timing.put_off
            if not self.workshop.is_free(place) or not self._is_due(f"watch {place}", again):
                continue
            lease = self._take_lease(place, self.kind, timing.lease)
            if lease is None:
                holder = self.db.run(lambda tx, p=place: jobs.holder(tx, p, self.kind))  # type: ignore[misc]
                self.standing_by[place] = holder or "another"
                continue
            self.standing_by.pop(place, None)
            duty = WatchDuty(lease, daemon, self.desk)
            arguments = (place, self.desk.settings, self.once)
            self.workshop.give(place, duty, daemon.watch, arguments, self.desk)

    def _take_lease(self, location: str, kind: str, length: timedelta) -> jobs.Lease | None:
        return self.db.run(lambda tx: jobs.take_lease(tx, location, kind, self.desk.me, length))

    def _refresh(self) -> None:
        """The ledger's word on this host's locations, and on the routes that begin at them."""
        host = self.desk.host
        rows = self.db.run(lambda tx: tx.run("daemon.places", names=list(host.locations)))
        for name in set(host.locations) - {r.name for r in rows}:
            if self._is_due(f"unknown {name}", timedelta(hours=1)):
                tell(
                    logging.WARNING,
                    f"{name} is in {host.path} but not in the database: nf config apply",
                )
        self.desk.places.clear()
        # Another site's place may be mounted here to be sent to: its copies are for that site.
        self.desk.own = {r.name for r in rows if r.site == host.site}
        for r in rows:
            if isinstance(self.daemon, JobDaemon) or r.type in self.daemon.types:
                path = host.locations[r.name]
                place = Place(r.name, path, r.storage, r.type, r.marker, r.settings, r.capabilities)
                self.desk.places[r.name] = place
        mine = list(self.desk.places)
        if self._looked:  # before that, it is what a predecessor found
            for r in self.db.run(lambda tx: tx.run("daemon.troubles", names=mine, host=host.host)):
                self._is_away(r.location, r.trouble)
        routes = self.db.run(lambda tx: tx.run("daemon.routes", names=mine))
        self.routes = {r.name: r for r in routes}

    def _is_away(self, name: str, trouble: str) -> None:
        """Said once in the journal, and in the status for as long as it is so."""
        before = self.desk.away.pop(name, "")
        if trouble:
            self.desk.away[name] = trouble
        if bool(before) != bool(trouble):
            level = logging.WARNING if trouble else logging.INFO
            said = f"is away: {trouble}" if trouble else "is back"
            tell(level, f"{name} {said}", location=name)

    def _probe(self) -> None:
        """One daemon of a host asks each place if it is there; breakers close on the answer."""
        asked = [] if isinstance(self.daemon, PlaceDaemon) else list(self.desk.places)

        def whom(tx: Tx) -> list[str]:
            broken = {b.name for b in jobs.open_breakers(tx)}
            # With --once only what would keep it from its work.
            names = [n for n in asked if n in broken or not self.once]
            names += [r for r in self.routes if r in broken]
            return jobs.unheld(tx, names, self._probing)

        for name in self.db.run(whom):
            place = self.desk.places.get(name)
            if place is not None and place.storage == "posix":
                self._ask_whether_there(place)
            else:
                self._send_to_look(name, self.routes.get(name))

    def _ask_whether_there(self, place: Place) -> None:
        """By a process that is soon over: no worker is kept for it."""
        asked = place.name in self.questions or not may_be_asked(place.name)
        if not asked and self._is_its_turn(place.name):
            patience = ProbeDuty(place.name, self.desk).patience.total_seconds()
            self.questions[place.name] = Question(place, patience)

    def _send_to_look(self, name: str, route: Row | None) -> None:
        """By a worker, which has learnt the language of a bucket or of another host."""
        at = name if route is None else route.origin
        if self.workshop.is_free(at) and self._is_its_turn(name):
            arguments = (name, dict(route._mapping) if route is not None else None)
            self.workshop.give(at, ProbeDuty(name, self.desk), probe, arguments, self.desk)

    def _is_its_turn(self, name: str) -> bool:
        every = self.desk.host.timing.probe
        return self._take_lease(name, self._probing, every) is not None

    @property
    def _probing(self) -> str:
        return f"probe@{self.desk.host.host}"

    def _hear_places(self) -> None:
        """What the places answered that were asked."""
        for name, question in list(self.questions.items()):
            if (found := question.answer()) is not None:
                del self.questions[name]
                self.db.run(lambda tx, n=name, f=found: self._answered(tx, n, f))  # type: ignore[misc]

    def _answered(self, tx: Tx, name: str, found: Look) -> None:
        duty = ProbeDuty(name, self.desk)
        if found.trouble:
            duty.failed(tx, Unavailable(name, found.trouble))
        else:
            duty.done(tx, found.space)

    # --- beginnings and ends --------------------------------------------------------------------

    def _succeed(self, tx: Tx) -> None:
        """Gives back what a predecessor of this name on this host held, if it is proven gone."""
        rows = tx.run("jobs.workers_of", kind=self.kind, prefix=self.prefix)
        gone = [r.worker for r in rows if not _alive(r.worker.removeprefix(self.prefix))]
        for subject in jobs.succeed_predecessors(tx, gone) if gone else []:
            told = f"took over {self.kind} {subject} from a predecessor that ended"
            tell(logging.INFO, told, job=subject)

    def _beat(self, tx: Tx) -> None:
        tx.run(
            "jobs.heartbeat",
            daemon=self.kind, host=self.desk.host.host, name=self.name, pid=os.getpid(),
            version=nightferry.__version__, status=self._status,
        )  # fmt: skip

    def _take(self, fresh: config.HostConfig) -> None:
        """A configuration that was read again; raises ConfigError before anything is changed."""
        settings: Any = fresh.settings(self.kind, self.daemon.settings)
        if self.outage.since is None:  # else it may say where the database is now
            self.db.run(lambda tx: check_names(tx, fresh))
        self.desk.settings, self.desk.host = settings, fresh
        self._due.pop("places", None)  # at the next step, if the database is away now
        self._refresh()

    def _say_status(self) -> None:
        duties = list(self.workshop.duties())
        parts = status.others(duties)
        if isinstance(self.daemon, JobDaemon) and duties:
            if self._queue is None or self._is_due("queue", HEARTBEAT):
                self._queue = self.db.run(lambda tx: jobs.queue(tx, self.kind, list(self.desk.own)))
            parts += filter(
                None,
                [status.working(self.daemon.doing, duties, self._queue.open, self._queue.oldest)],
            )
        parts += [f"standing by for {p}: {who} has it" for p, who in self.standing_by.items()]
        parts += [f"waiting for the kernel to end a worker at {p}" for p in self.workshop.unended()]
        parts += status.away(self.desk.away)
        text = "; ".join(parts) or "nothing to do"
        self._status = f"{text} ({self.desk.finished} done, {self.desk.failed} failed)"
        self.attention.tell_systemd(f"STATUS={self._status}")

    def _over(self) -> bool:
        if self.attention.stopping:
            return not self.workshop
        if not self.once or self.questions or any(self.workshop.duties()):
            return False
        if isinstance(self.daemon, PlaceDaemon):
            return True
        if self._left().open:
            return False
        self._own_tick()  # the ledger is asked once more
        self._want()
        left = self._left()
        if left.open:
            return False
        if left.waiting or left.elsewhere:
            told = (
                f"{left.waiting} {self.kind} job(s) wait for later, {left.elsewhere} run elsewhere"
            )
            tell(logging.INFO, told)
        return True

    def _left(self) -> Row:
        places = list(self.desk.own)
        return self.db.run(lambda tx: jobs.open_work(tx, self.kind, places, self.desk.me))

    def _end(self) -> None:
        self.attention.tell_systemd("STOPPING=1")  # a daemon with no work ends before its next step
        self.workshop.close()
        status = "stopped" if self.attention.stopping else "done (--once)"
        try:
            if self.outage.since is None:
                self.db.run(lambda tx: self._last_beat(tx, status))
        except DatabaseAway as error:
            tell(logging.WARNING, f"stopped without saying so: {error}")
        self.db.close()

    def _last_beat(self, tx: Tx, status: str) -> None:
        tx.run(
            "jobs.last_heartbeat",
            daemon=self.kind, host=self.desk.host.host, name=self.name, pid=os.getpid(),
            status=status,
        )  # fmt: skip


def _started(pid: int) -> str:
    """The start time of a process in clock ticks: a pid alone is used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _alive(worker: str) -> bool:
    pid, _, started = worker.partition(".")
    return pid.isdigit() and bool(started) and _started(int(pid)) == started


def command(daemon: JobDaemon | PlaceDaemon) -> Callable[[], None]:
    """The command line of a daemon: its ``main``."""
    page = sys.modules[daemon.record.__module__].__doc__

    @click.command(help=f"\b\n{page}", context_settings={"max_content_width": 100})
    @click.option(
        "--config", "path", type=click.Path(path_type=Path), help="nightferry.yaml of this host"
    )
    @click.option("--name", default="", help="tells several daemons of a kind on one host apart")
    @click.option("--once", is_flag=True, help="do what there is to do, then end")
    @click.version_option(nightferry.__version__)
    def main(path: Path | None, name: str, once: bool) -> None:
        start_log(f"nightferry-{daemon.kind}")
        try:
            loop = Loop(daemon, load(path), name=name, once=once)
            loop.run()
        except ConfigError as error:  # the unit does not try again
            tell(logging.ERROR, str(error))
            sys.exit(os.EX_CONFIG)
        except NightferryError as error:
            tell(logging.ERROR, str(error))
            sys.exit(1)
        if once and loop.desk.watch_failed:
            sys.exit(1)

    return main
