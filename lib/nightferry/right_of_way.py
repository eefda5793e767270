"""Long work that gives way to what is more urgent, and ends when it was cancelled."""

import time

from nightferry.child import Work
from nightferry.errors import Cancelled, GaveWay
from nightferry.jobs import Job

LOOK_EVERY = 1.0  # seconds between two looks at the ledger


class RightOfWay:
    """Whether ``job`` may go on: ``look`` is called often, and asks the ledger once a second.

    ``priority``: what is more urgent than this has the way; ``waits`` says so to a person.
    """

    def __init__(self, job: Job, work: Work, priority: int, waits: str) -> None:
        self._work, self._waits = work, f"{waits} waits at {job.place}"
        self._about = {
            "kind": job.kind, "place": job.place, "priority": priority,
            "id": job.id, "claim": job.claim,
        }  # fmt: skip
        self._looked = time.monotonic()

    def look(self) -> None:
        """Raises Cancelled: it is not this worker's any more; GaveWay: more urgent work waits."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        ours, urgent = self._work.ask("jobs.more_urgent", **self._about)[0]
        if not ours:
            raise Cancelled("it was cancelled, or another worker has it; what it did is kept")
        if urgent:
            raise GaveWay(self._waits)
