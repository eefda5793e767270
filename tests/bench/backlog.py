"""The job statements on a large backlog: ours next to a bare psycopg loop that sends the same ones.

The backlog is the one of the table in docs/jobs.md: ready jobs of 5 kinds, 4 places and 3 routes, some
that wait, some that run, and a long history. The last lines are measured while another session holds
an old snapshot, under which every dead row has to be stepped over.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import psycopg
from nightferry import jobs
from nightferry.db import Database
from nightferry.jobs import Wanted
from nightferry.sql import statement

from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, in_turns

BOUND = 1.3
FILL = """
INSERT INTO job (kind, subject, place, needs, priority)
SELECT 'kind' || i %% 5, i || '@p', 'place' || i / 5 %% 4, 'route' || i / 20 %% 3, 100 FROM generate_series(1, %(ready)s) i;
INSERT INTO job (kind, subject, place, needs, state, due)
SELECT 'kind' || i %% 5, 'w' || i || '@p', 'place' || i / 5 %% 4, 'route' || i / 20 %% 3, 'waiting', now() + interval '1 hour'
FROM generate_series(1, %(waiting)s) i;
INSERT INTO job (kind, subject, place, needs, state, due, claim, claimed_by)
SELECT 'kind' || i %% 5, 'r' || i || '@p', 'place' || i / 5 %% 4, 'route' || i / 20 %% 3, 'running', now() + interval '1 hour',
       gen_random_uuid(), 'another' FROM generate_series(1, %(running)s) i;
INSERT INTO job_done (id, claim, kind, subject, attempts, claimed_by, created)
SELECT -i, gen_random_uuid(), 'kind' || i %% 5, 'd' || i || '@p', 1, 'another', now() FROM generate_series(1, %(history)s) i;
"""
KIND = "kind0"
LANE, HELD_LANE = ("place0", "route0"), ("place1", "route1")
LEASE = jobs.LEASE


def measure(ground: Ground) -> Iterator[Result]:
    scale = 3 if ground.quick else 1
    amounts = {"ready": 1_000_000, "waiting": 100_000, "running": 5_000, "history": 5_000_000}
    with ground.ledger() as dsn:
        ground.tell("backlog: filling the job table and its history")
        with psycopg.connect(
            dsn, autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as connection:
            connection.execute(FILL, {name: n // scale for name, n in amounts.items()})
            connection.execute("VACUUM ANALYZE")
        bench = Backlog(dsn, 200 if ground.quick else 500)
        try:
            yield from bench.lines(ground, "", LANE)
            with _old_snapshot(dsn):
                yield from bench.lines(ground, ".held", HELD_LANE, ("singly", "by_100"))
        finally:
            bench.close()


@contextmanager
def _old_snapshot(dsn: str) -> Iterator[None]:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM lease")
        yield


class Backlog:
    """Each line's two sides, in microseconds per job, poll or statement."""

    def __init__(self, dsn: str, count: int) -> None:
        self.count = count
        self.database = Database(dsn)
        self.bare = psycopg.connect(dsn)
        self.claimer = jobs.Claimer(KIND, "ours")
        self.lane = LANE
        self._floors: dict[tuple[str, str], tuple[Any, ...]] = {}

    def close(self) -> None:
        self.database.close()
        self.bare.close()

    def lines(
        self, ground: Ground, suffix: str, lane: tuple[str, str], names: tuple[str, ...] = ()
    ) -> Iterator[Result]:
        self.lane = lane
        sides: dict[str, tuple[str, Callable[[], object], Callable[[], object], int]] = {
            "singly": ("claim one, finish it", self._one, self._one_bare, 1),
            "by_100": ("claim 100, finish them", self._hundred, self._hundred_bare, 50),
            "idle": ("ask for lanes where there are none", self._idle, self._idle_bare, 1),
            "lanes": ("the lanes with ready work", self._lanes, self._lanes_bare, 1),
            "enqueue": ("enqueue one", self._enqueue, self._enqueue_bare, 1),
            "tick": ("a tick with nothing due", self._tick, self._tick_bare, 1),
        }
        for name in names or sides:
            says, ours, peer, fewer = sides[name]
            line = Line(
                f"backlog.{name}{suffix}", f"jobs.py: {says}", "bare psycopg, the same statements", "µs",
                "at most", BOUND,
            )  # fmt: skip
            times = max(5, self.count // fewer)
            yield in_turns(
                line, ground.runs, ground.tell,
                lambda ours=ours, times=times: _each(ours, times),  # type: ignore[misc]
                lambda peer=peer, times=times: _each(peer, times),  # type: ignore[misc]
            )  # fmt: skip

    # --- ours

    def _one(self) -> None:
        claimed = self.database.singly(lambda tx: self.claimer.claim(tx, *self.lane))
        self.database.run(lambda tx: jobs.finish(tx, claimed))

    def _hundred(self) -> None:
        claimed = self.database.singly(lambda tx: self.claimer.claim(tx, *self.lane, n=100))
        self.database.run(lambda tx: jobs.finish(tx, claimed))

    def _idle(self) -> None:
        self.database.singly(lambda tx: self.claimer.lanes(tx, ["nowhere"]))

    def _lanes(self) -> None:
        # a new one each time: a claimer remembers lanes for a second
        claimer = jobs.Claimer(KIND, "ours")
        self.database.singly(lambda tx: claimer.lanes(tx, ["place0", "place1"]))

    def _enqueue(self) -> None:
        work = [Wanted(_fresh(), "place0", "route0", 100)]
        self.database.run(lambda tx: jobs.enqueue(tx, "kind0", work))

    def _tick(self) -> None:
        self.database.singly(lambda tx: jobs.tick(tx))

    # --- bare

    def _send(self, name: str, **values: object) -> list[Any]:
        cursor = self.bare.execute(statement(f"jobs.{name}"), values or None)
        return cursor.fetchall() if cursor.description else []

    def _claim_bare(self, n: int) -> tuple[list[int], list[Any]]:
        now = perf_counter()
        began, *floor = self._floors.get(self.lane, (0.0,))
        lane = {
            "kind": KIND,
            "place": self.lane[0],
            "needs": self.lane[1],
            "n": n,
            "me": "bare",
            "lease": LEASE,
        }
        if floor and now - began < jobs.FLOOR_SECONDS:
            priority, due, id_ = floor
            rows = self._send(
                "claim_above", **lane, floor_priority=priority, floor_due=due, floor_id=id_
            )
        else:
            rows, began = self._send("claim", **lane), now
        self.bare.commit()
        last = max((r[5], r[10], r[0]) for r in rows)
        self._floors[self.lane] = (began, *last)
        return [r[0] for r in rows], [r[8] for r in rows]

    def _one_bare(self, n: int = 1) -> None:
        ids, claims = self._claim_bare(n)
        self._send("finish", ids=ids, claims=claims)
        self.bare.commit()

    def _hundred_bare(self) -> None:
        self._one_bare(100)

    def _idle_bare(self) -> None:
        self._send("lanes", kind="kind0", places=["nowhere"])
        self.bare.commit()

    def _lanes_bare(self) -> None:
        self._send("lanes", kind="kind0", places=["place0", "place1"])
        self.bare.commit()

    def _enqueue_bare(self) -> None:
        self._send(
            "enqueue",
            kind="kind0",
            subjects=[_fresh()],
            places=["place0"],
            needs=["route0"],
            priorities=[100],
        )
        self._send("hint", kind="kind0")
        self.bare.commit()

    def _tick_bare(self) -> None:
        self._send("tick", lease=LEASE)
        self.bare.commit()


_made = iter(range(10**12))


def _fresh() -> str:
    return f"new{next(_made)}@p"


def _each(work: Callable[[], object], times: int) -> float:
    began = perf_counter()
    for _ in range(times):
        work()
    return (perf_counter() - began) / times * 1e6
