"""Jobs from enqueue to done, next to two queues that others wrote for PostgreSQL.

Singly: as many processes for each side, each job with a commit of its own that also writes one row.
By hundreds: claimed and finished a hundred at a time, by the libraries' own calls.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
from nightferry import jobs
from nightferry.db import Database, Tx
from nightferry.jobs import Wanted

from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, in_turns

PROCESSES = 2
SINGLY = Line(
    "jobs.singly", "jobs.py: lanes, claim, finish with a row", "procrastinate's worker, a row in each task",
    "jobs/s", "at least", 3.0,
)  # fmt: skip
BATCHED = Line(
    "jobs.by_100", "jobs.py: claim and finish 100 at a time", "pgqueuer: dequeue and log_jobs, 100 at a time",
    "jobs/s", "at least", 1.0,
)  # fmt: skip
ROW = "CREATE TABLE bench_row (id bigint GENERATED ALWAYS AS IDENTITY, job text)"


def measure(ground: Ground) -> Iterator[Result]:
    few = 1000 if ground.quick else 3000
    many = 20_000 if ground.quick else 50_000
    with ground.ledger() as ours, ground.empty_database() as peer:
        for dsn in (ours, peer):
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(ROW)
        asyncio.run(_install_procrastinate(peer))
        asyncio.run(_install_pgqueuer(peer))
        yield in_turns(
            SINGLY, ground.runs, ground.tell,
            lambda: _rate(few, lambda: _enqueue(ours, few), _ours_singly, ours),
            lambda: _rate(few, lambda: _defer(peer, few), _procrastinate, peer),
        )  # fmt: skip
        yield in_turns(
            BATCHED, ground.runs, ground.tell,
            lambda: _rate(many, lambda: _enqueue(ours, many), _ours_by_100, ours),
            lambda: _rate(many, lambda: _push(peer, many), _pgqueuer, peer),
        )  # fmt: skip


def _rate(
    count: int, enqueue: Callable[[], None], work: Callable[[str, Any], None], dsn: str
) -> float:
    """Jobs a second from the first enqueue to the last done. The workers are up and connected first."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(PROCESSES + 1)
    workers = [context.Process(target=work, args=(dsn, gate)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    gate.wait(60)
    began = time.perf_counter()
    enqueue()
    gate.wait(300)
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError(f"a worker of the benchmark exited with {worker.exitcode}")
    return count / (time.perf_counter() - began)


# --- ours -------------------------------------------------------------------------------------


def _enqueue(dsn: str, count: int) -> None:
    work = [Wanted(f"{uuid4()}@here", "here", "here", 100) for _ in range(count)]
    database = Database(dsn)
    database.run(lambda tx: jobs.enqueue(tx, "bench", work))
    database.close()


def _ours_singly(dsn: str, gate: Any) -> None:
    database, claimer = _ready(dsn, gate)

    def claim(tx: Tx) -> list[jobs.Job]:
        lanes = claimer.lanes(tx, ["here"])
        return claimer.claim(tx, *lanes[0]) if lanes else []

    while claimed := database.singly(claim):
        for job in claimed:
            database.run(lambda tx, job=job: _finish(tx, job))  # type: ignore[misc]


def _finish(tx: Tx, job: jobs.Job) -> None:
    jobs.finish(tx, [job])
    tx.execute("INSERT INTO bench_row (job) VALUES (%s)", (job.subject,))


def _ours_by_100(dsn: str, gate: Any) -> None:
    database, claimer = _ready(dsn, gate)
    while claimed := database.singly(lambda tx: claimer.claim(tx, "here", "here", 100)):
        database.singly(lambda tx, claimed=claimed: jobs.finish(tx, claimed))  # type: ignore[misc]


def _ready(dsn: str, gate: Any) -> tuple[Database, jobs.Claimer]:
    database = Database(dsn)
    claimer = jobs.Claimer("bench", str(uuid4()))
    database.run(lambda tx: claimer.lanes(tx, ["here"]))
    gate.wait(60)
    gate.wait(60)
    return database, claimer


# --- procrastinate ----------------------------------------------------------------------------


def _app(dsn: str) -> Any:
    import procrastinate

    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))

    @app.task(name="bench")
    async def bench(job: str) -> None:
        await app.connector.execute_query_async(
            "INSERT INTO bench_row (job) VALUES (%(job)s)", job=job
        )

    return app


async def _install_procrastinate(dsn: str) -> None:
    async with _app(dsn).open_async() as app:
        await app.schema_manager.apply_schema_async()


def _defer(dsn: str, count: int) -> None:
    async def defer() -> None:
        async with _app(dsn).open_async() as app:
            await app.tasks["bench"].batch_defer_async(
                *({"job": str(uuid4())} for _ in range(count))
            )

    asyncio.run(defer())


def _procrastinate(dsn: str, gate: Any) -> None:
    async def work() -> None:
        async with _app(dsn).open_async() as app:
            gate.wait(60)
            gate.wait(60)
            await app.run_worker_async(
                wait=False, concurrency=1, install_signal_handlers=False, listen_notify=False,
                delete_jobs="never",
            )  # fmt: skip

    asyncio.run(work())


# --- pgqueuer ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _queries(dsn: str) -> Any:
    import asyncpg
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(dsn)
    try:
        yield Queries.from_asyncpg_connection(connection)
    finally:
        await connection.close()


async def _install_pgqueuer(dsn: str) -> None:
    async with _queries(dsn) as queries:
        await queries.install()


def _push(dsn: str, count: int) -> None:
    async def push() -> None:
        async with _queries(dsn) as queries:
            for start in range(0, count, 10_000):
                n = min(10_000, count - start)
                await queries.enqueue(["bench"] * n, [b"x"] * n, [0] * n)

    asyncio.run(push())


def _pgqueuer(dsn: str, gate: Any) -> None:
    from pgqueuer.ports.repository import EntrypointExecutionParameter

    async def work() -> None:
        async with _queries(dsn) as queries:
            gate.wait(60)
            gate.wait(60)
            me = uuid4()
            while claimed := await queries.dequeue(
                100,
                {"bench": EntrypointExecutionParameter(concurrency_limit=0)},
                me,
                None,
                timedelta(seconds=60),
            ):
                await queries.log_jobs([(job, "successful", None) for job in claimed])

    asyncio.run(work())
