"""The worker processes of one daemon, one a place: given their duties, heard, renewed, ended."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from nightferry import chronicle, jobs
from nightferry.child import Task
from nightferry.db import REFUSED, Database, DatabaseAway, Tx, first_line
from nightferry.duty import Desk, Duty, JobDuty
from nightferry.errors import LeaseLost, NightferryError, Stopping, Unavailable
from nightferry.log import tell
from nightferry.workers import Worker

STOP_PATIENCE = 6.0  # seconds: systemd is promised an end within ten


class Workshop:
    """Workers by place. Whatever they say is dealt with here, in transactions of ``db``."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.workers: dict[str, Worker] = {}
        self._ended: list[Worker] = []
        self._killed: dict[str, Worker] = {}  # one that hangs on a mount may live on
        self._stop_by: float | None = None

    def __bool__(self) -> bool:
        return bool(self.workers)

    def duties(self) -> Iterator[tuple[Duty, Worker]]:
        """What is being done, and by whom."""
        for worker in list(self.workers.values()):
            if worker.assignment is not None:
                yield worker.assignment, worker

    def unended(self) -> list[str]:
        """Places with a worker that was killed and did not end: it hangs in the kernel."""
        self._killed = {p: w for p, w in self._killed.items() if not w.gone()}
        return list(self._killed)

    def overdue(self) -> dict[str, Worker]:
        """Workers that are silent for longer than their work may be: each hangs on a mount, or has
        a fault. They are ended wherever they are found; the watchdog is not fed while one is left.

        One that waits for our answer is not among them: the database may be away.
        """
        now = time.monotonic()
        return {
            place: worker
            for place, worker in self.workers.items()
            if worker.assignment is not None
            and not worker.inbox
            and now - worker.last_progress > worker.assignment.patience.total_seconds()
        }

    def is_free(self, place: str) -> bool:
        """Nothing is done there. Beside a worker that can't be killed no other is started: it would
        hang as well, and so on while the mount does."""
        if place in self.unended():
            return False
        worker = self.workers.get(place)
        return worker is None or worker.assignment is None

    def give(
        self,
        place: str,
        duty: Duty,
        run: Callable[..., Any],
        arguments: tuple[Any, ...],
        desk: Desk,
    ) -> None:
        """Has ``run(*arguments, work)`` done by the place's worker, which is started if need be."""
        worker = self.workers.get(place)
        if worker is None:
            worker = self.workers[place] = Worker()
        name = f"{run.__module__}:{run.__name__}"
        worker.give(duty, Task(name, arguments, desk.places, desk.host.instruments))

    # --- what workers say -----------------------------------------------------------------------

    def hear(self) -> None:
        """Deals with all that the workers have said since.

        Raises:
            DatabaseAway: in the middle of it; what was not dealt with is found here again.
        """
        for place, worker in list(self.workers.items()):
            worker.listen()
            while worker.inbox:
                self._deal_with(place, worker, worker.inbox[0])
                worker.inbox.popleft()
                if self.workers.get(place) is not worker:
                    break
        for place, worker in self.overdue().items():
            self._kill(place)
            self._has_stalled(place, worker.assignment)

    def listen(self) -> None:
        """Only takes in what they say: the database is away. The lease of one that has to be ended
        ends by itself."""
        for worker in self.workers.values():
            worker.listen()
        for place in self.overdue():
            self._kill(place)

    def _deal_with(self, place: str, worker: Worker, message: tuple[Any, ...]) -> None:
        what, *rest = message
        try:
            match what:
                case "ask":
                    rows = self.db.run(lambda tx: tx.run(rest[0], **rest[1]))
                    worker.answer([tuple(r) for r in rows])
                case "check":
                    self.db.run(self._duty_of(worker).fence)
                    worker.answer(None)
                case "emit":
                    worker.answer(self._told(lambda tx: self._commit(tx, worker, rest[0])))
                case "done":
                    self._told(lambda tx: self._duty_of(worker).done(tx, rest[0]))
                    worker.free()
                case "failed":
                    self._fail(worker, rest[0])
                case "broke":
                    self._fail(worker, NightferryError(rest[0]))
                case "died":
                    self._fail(worker, NightferryError(rest[0]))
                    self._remove(place).end()
        except DatabaseAway:
            raise
        except REFUSED as error:  # a statement failed: this work's fault, not the loop's
            told = NightferryError(f"the database refused: {first_line(error)}")
            self._refuse(worker, what, told)
        except NightferryError as error:  # what the ledger says of the result
            self._refuse(worker, what, error)

    def _told(self, work: Callable[[Tx], Any]) -> Any:
        """Commits it, and then the journal has a line for each change."""

        def with_lines(tx: Tx) -> tuple[Any, list[chronicle.Line]]:
            done = work(tx)
            return done, chronicle.lines(tx)

        done, lines = self.db.run(with_lines)
        chronicle.tell_all(lines)
        return done

    def _duty_of(self, worker: Worker) -> Duty:
        duty: Duty | None = worker.assignment
        if duty is None:
            raise LeaseLost("this work has ended")
        return duty

    def _commit(self, tx: Tx, worker: Worker, batch: Any) -> Any:
        duty = self._duty_of(worker)
        duty.fence(tx)
        return duty.batch(tx, batch)

    def _fail(self, worker: Worker, error: Exception) -> None:
        duty: Duty | None = worker.assignment
        if duty is not None:
            self._told(lambda tx: duty.failed(tx, error))
        worker.free()

    def _refuse(self, worker: Worker, what: str, error: NightferryError) -> None:
        """A result that can't be committed fails its work; in the middle, the work hears of it."""
        lost = isinstance(error, LeaseLost)
        if lost:
            tell(logging.WARNING, f"{error}; nothing was changed")
        if what in ("ask", "check", "emit"):
            worker.interrupt(error)
        elif what == "done" and not lost:
            self._fail(worker, error)
        else:
            worker.free()

    # --- leases, patience, ends -----------------------------------------------------------------

    def renew(self) -> None:
        """Renews all claims and leases."""
        for duty, worker in self.duties():
            try:
                self.db.run(duty.fence)
            except LeaseLost as error:
                worker.interrupt(error)

    def tell_progress(self) -> None:
        """How far the jobs are, into their rows."""
        for duty, worker in self.duties():
            if worker.of and isinstance(duty, JobDuty):
                told = duty.job, worker.done, worker.of
                self.db.run(lambda tx, t=told: jobs.progress(tx, *t))  # type: ignore[misc]

    def _has_stalled(self, place: str, duty: Duty) -> None:
        silent = f"{place}: no answer for {duty.patience.total_seconds():.0f} s"
        self.db.run(lambda tx: duty.failed(tx, Unavailable(place, silent)))

    def stop(self) -> None:
        """Called again and again once the daemon stops: politely first, then by force."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + STOP_PATIENCE
            for _, worker in self.duties():
                worker.interrupt(Stopping("the daemon is stopping"))
        late = time.monotonic() > self._stop_by
        stopped = Stopping("the daemon stopped in the middle of it")
        for place, worker in list(self.workers.items()):
            duty: Duty | None = worker.assignment
            if duty is None:
                self._remove(place).end()
            elif late:
                self._kill(place)
                try:
                    self.db.run(lambda tx, d=duty: d.failed(tx, stopped))  # type: ignore[misc]
                except DatabaseAway:
                    continue  # its lease ends by itself

    def kill(self) -> None:
        """All of them, at once: that is safe at any moment, and leases end by themselves."""
        for place in list(self.workers):
            self._kill(place)

    def end_idle(self, after: float) -> None:
        """Ends workers that have had nothing to do for ``after`` seconds."""
        for place, worker in list(self.workers.items()):
            if worker.assignment is None and time.monotonic() - worker.idle_since > after:
                self._remove(place).end()
        self._ended = [w for w in self._ended if not w.gone()]

    def close(self) -> None:
        for place in list(self.workers):
            self._remove(place).end()

    def _kill(self, place: str) -> None:
        self._killed[place] = self._remove(place)
        self._killed[place].kill()

    def _remove(self, place: str) -> Worker:
        worker = self.workers.pop(place)
        self._ended.append(worker)
        return worker
