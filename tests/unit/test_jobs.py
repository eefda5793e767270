"""The job state machine, on a real database: each job is done once, and none is lost.

Over 300 lines: a test for each way through the state machine, leases and breakers included.
"""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from nightferry import jobs
from nightferry.db import Database, Row, Tx
from nightferry.errors import LeaseLost
from nightferry.jobs import Claimer, Job, Wanted
from nightferry.testing.sites import wait_until

SOON = timedelta(seconds=30)


class Queue:
    """The job table of one database, seen by a claimer and by a person."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.db = Database(dsn, actor="test")

    def enqueue(
        self,
        *subjects: str,
        kind: str = "archive",
        place: str = "a",
        needs: str = "a",
        priority: int = 100,
    ) -> int:
        work = [Wanted(s, place, needs, priority) for s in subjects]
        return self.db.run(lambda tx: jobs.enqueue(tx, kind, work))

    def claim(self, n: int = 1, me: str = "me", place: str = "a", needs: str = "a") -> list[Job]:
        return self.db.run(lambda tx: Claimer("archive", me, SOON).claim(tx, place, needs, n))

    def ask(self, text: str, *values: object) -> list[Row]:
        return self.db.run(lambda tx: tx.execute(text, values))

    def jobs(self) -> list[tuple[str, str, int]]:
        return [
            tuple(r)
            for r in self.ask("SELECT subject, state::text, attempts FROM job ORDER BY subject")
        ]

    def end_leases(self) -> None:
        self.ask("UPDATE job SET due = now() - interval '1 s' WHERE state = 'running'")

    def tick(self, lease: timedelta = timedelta(0)) -> int:
        return self.db.run(lambda tx: jobs.tick(tx, lease))


@pytest.fixture
def queue(database: str) -> Iterator[Queue]:
    made = Queue(database)
    yield made
    made.db.close()


def test_the_most_urgent_job_is_claimed_first_and_of_equals_the_oldest(queue: Queue) -> None:
    queue.enqueue("1@a")
    queue.enqueue("2@a", priority=20)
    queue.enqueue("3@a")
    assert [queue.claim()[0].subject for _ in range(3)] == ["2@a", "1@a", "3@a"]


def test_many_claimers_never_claim_the_same_job(queue: Queue) -> None:
    queue.enqueue(*(f"{n:03d}@a" for n in range(120)))
    claimed: list[str] = []

    def claim_all() -> None:
        db, claimer = Database(queue.dsn), Claimer("archive", "x", SOON)
        misses = 0
        while misses < 3:
            got = db.run(lambda tx: claimer.claim(tx, "a", "a", 2))
            claimed.extend(j.subject for j in got)
            misses = 0 if got else misses + 1
        db.close()

    claimers = [threading.Thread(target=claim_all) for _ in range(4)]
    for c in claimers:
        c.start()
    for c in claimers:
        c.join()
    assert len(claimed) == len(set(claimed)) == 120


def test_a_job_that_becomes_more_urgent_below_the_floor_is_claimed_within_a_second_or_two(
    queue: Queue,
) -> None:
    claimer = Claimer("archive", "me", SOON)
    queue.enqueue(*(f"{n}@a" for n in range(1, 9)))
    queue.db.run(lambda tx: claimer.claim(tx, "a", "a"))
    queue.enqueue("0@a", priority=1)
    claimed: list[str] = []

    def urgent_came() -> bool:
        claimed.extend(j.subject for j in queue.db.run(lambda tx: claimer.claim(tx, "a", "a")))
        return "0@a" in claimed

    wait_until(urgent_came, 5, "the urgent job")


def test_a_lane_that_is_dry_makes_way_for_the_others_at_once(queue: Queue) -> None:
    claimer = Claimer("archive", "me", SOON)
    queue.enqueue("1@a")
    queue.enqueue("2@b", needs="b")
    claimed: list[str] = []
    for _ in range(3):
        first = queue.db.singly(lambda tx: claimer.lanes(tx, ["a"]))[0]
        got = queue.db.singly(lambda tx, lane=first: claimer.claim(tx, *lane))  # type: ignore[misc]
        claimed += [j.subject for j in got]
    assert claimed == ["1@a", "2@b"]


def test_an_urgent_lane_overtakes_a_long_one_within_a_second_or_two(queue: Queue) -> None:
    claimer = Claimer("archive", "me", SOON)
    queue.enqueue("1@a", "2@a")
    assert queue.db.singly(lambda tx: claimer.lanes(tx, ["a"])) == [("a", "a")]
    queue.enqueue("3@b", needs="b", priority=1)
    wait_until(
        lambda: queue.db.singly(lambda tx: claimer.lanes(tx, ["a"]))[0] == ("a", "b"),
        5,
        "the urgent lane",
    )


def test_nothing_is_claimed_past_a_breaker_that_opened_in_a_lane_that_is_remembered(
    queue: Queue,
) -> None:
    claimer = Claimer("archive", "me", SOON)
    queue.enqueue("1@a", "2@a")
    lane = queue.db.singly(lambda tx: claimer.lanes(tx, ["a"]))[0]
    for subject in ("1@a", "2@a", "3@a"):
        queue.db.run(partial(jobs.breaker_fails, name="a", subject=subject, reason="away"))
    assert queue.db.singly(lambda tx: claimer.lanes(tx, ["a"])) == [lane]
    assert queue.db.singly(lambda tx: claimer.claim(tx, *lane)) == []
    assert queue.db.singly(lambda tx: claimer.claim(tx, *lane)) == []


def test_a_claim_is_committed_by_itself_though_what_follows_it_fails(queue: Queue) -> None:
    queue.enqueue("1@a")

    def claim_and_fail(tx: Tx) -> None:
        Claimer("archive", "me", SOON).claim(tx, "a", "a")
        tx.execute("SELECT 1 / 0")

    with pytest.raises(Exception, match="division by zero"):
        queue.db.singly(claim_and_fail)
    assert queue.jobs() == [("1@a", "running", 1)]
    with queue.db.begin() as tx:  # and the next transaction is a whole one again
        tx.execute("DELETE FROM job")
        raise psycopg.Rollback
    assert queue.jobs() == [("1@a", "running", 1)]


def test_enqueueing_again_only_makes_a_job_more_urgent(queue: Queue) -> None:
    assert queue.enqueue("1@a") == 1
    for priority in (200, 50, 70):
        queue.enqueue("1@a", priority=priority)
    assert queue.ask("SELECT priority FROM job") == [(50,)]
    queue.claim()
    queue.enqueue("1@a", priority=1)
    assert queue.ask("SELECT state::text, priority FROM job") == [("running", 50)]


def test_blocked_work_is_not_enqueued_until_it_is_released(queue: Queue) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()
    queue.db.run(lambda tx: jobs.block(tx, job, "bad", "the reason in words", "me"))
    assert queue.enqueue("1@a") == 0
    assert queue.db.run(lambda tx: jobs.release(tx, reason="bad")) == ["1@a"]
    assert queue.enqueue("1@a") == 1


def test_two_that_enqueue_the_same_work_in_opposite_orders_do_not_deadlock(queue: Queue) -> None:
    subjects = [f"{n:04d}@a" for n in range(400)]
    errors: list[Exception] = []

    def enqueue(order: list[str], priorities: range) -> None:
        db = Database(queue.dsn)
        try:
            for priority in priorities:
                with db.begin() as tx:
                    jobs.enqueue(tx, "archive", [Wanted(s, "a", "a", priority) for s in order])
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)
        db.close()

    both = [
        threading.Thread(target=enqueue, args=(o, range(90, 50, -1)))
        for o in (subjects, subjects[::-1])
    ]
    for t in both:
        t.start()
    for t in both:
        t.join()
    assert errors == []


def test_two_that_finish_and_enqueue_what_the_other_does_wait_for_nobody(queue: Queue) -> None:
    """As reapers did: each locked its own job, and then the other's."""
    subjects = [f"{n}@a" for n in range(1, 3)]
    queue.enqueue(*subjects)
    mine = queue.claim(n=2)
    both_finished = threading.Barrier(2, timeout=10)
    took: list[float] = []

    def end(job: Job) -> None:
        db = Database(queue.dsn)
        with db.begin() as tx:
            jobs.finish(tx, [job])
            both_finished.wait()
            began = time.monotonic()
            jobs.enqueue(tx, "archive", [Wanted(s, "a", "a", 100) for s in subjects])
            took.append(time.monotonic() - began)
        db.close()

    both = [threading.Thread(target=end, args=(job,)) for job in mine]
    for t in both:
        t.start()
    for t in both:
        t.join()
    assert len(took) == 2, "one was the victim of a deadlock"
    assert max(took) < 0.9, "less than the time after which a deadlock is looked for"


def test_a_worker_that_wakes_after_its_lease_finds_its_job_another_s(queue: Queue) -> None:
    queue.enqueue("1@a")
    (frozen,) = queue.claim(me="frozen")
    queue.end_leases()
    assert queue.tick() == 1
    (other,) = queue.claim(me="other")
    with pytest.raises(LeaseLost):
        queue.db.run(lambda tx: jobs.finish(tx, [frozen]))
    assert queue.db.run(lambda tx: jobs.renew(tx, [frozen], SOON)) == set()
    with pytest.raises(LeaseLost):
        queue.db.run(lambda tx: jobs.retry(tx, frozen, "it failed", "frozen"))
    with pytest.raises(LeaseLost):
        queue.db.run(lambda tx: jobs.block(tx, frozen, "bad", "it failed", "frozen"))
    queue.db.run(lambda tx: jobs.give_back(tx, frozen))
    assert queue.jobs() == [("1@a", "running", 2)]
    assert queue.db.run(lambda tx: jobs.finish(tx, [other]))
    assert queue.jobs() == []


def test_a_finish_whose_answer_was_lost_is_not_done_twice(queue: Queue) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()

    def finish(tx: Tx) -> bool:
        mine = jobs.finish(tx, [job])
        if mine:
            tx.execute("INSERT INTO event (what) VALUES ('done')")
        return mine

    assert queue.db.run(finish) is True
    assert queue.db.run(finish) is False
    assert queue.ask("SELECT count(*) FROM event WHERE what = 'done'") == [(1,)]
    assert queue.ask("SELECT count(*) FROM job_done") == [(1,)]


def test_a_finish_that_is_rolled_back_leaves_the_job_running(queue: Queue) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()

    def finish(tx: Tx) -> None:
        jobs.finish(tx, [job])
        raise RuntimeError("the result could not be recorded")

    with pytest.raises(RuntimeError):
        queue.db.run(finish)
    assert queue.jobs() == [("1@a", "running", 1)]


def test_work_of_a_subject_that_is_enqueued_while_it_is_finished_is_not_dropped(
    queue: Queue,
) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()

    def finish(tx: Tx) -> int:
        jobs.finish(tx, [job])
        return jobs.enqueue(tx, "archive", [Wanted("1@a", "a", "a", 100)])

    assert queue.db.run(finish) == 1
    assert queue.jobs() == [("1@a", "ready", 0)]


def test_work_that_failed_waits_longer_each_time_and_is_blocked_when_its_attempts_are_spent(
    queue: Queue,
) -> None:
    queue.enqueue("1@a")
    delays = []
    for _ in range(8):
        (job,) = queue.claim()
        queue.db.run(partial(jobs.retry, job=job, message="the disk is full", me="me"))
        if waiting := queue.ask("SELECT due - now() FROM job WHERE state = 'waiting'"):
            delays.append(waiting[0][0].total_seconds())
            queue.ask("UPDATE job SET due = now()")
            queue.tick()
    assert len(delays) == 7
    assert 7 < delays[0] < 13
    assert delays[6] > 6 * delays[2] > 0
    blocked = queue.ask("SELECT kind, subject, reason, evidence ->> 'message' FROM blocked")
    assert blocked == [("archive", "1@a", "attempts spent", "the disk is full")]
    assert queue.jobs() == []


def test_a_poison_job_whose_worker_dies_each_time_is_blocked_at_last(queue: Queue) -> None:
    queue.enqueue("1@a")
    for _ in range(8):
        assert queue.claim()
        queue.end_leases()
        queue.tick()
    assert queue.jobs() == []
    assert queue.ask("SELECT reason, evidence ->> 'attempts' FROM blocked") == [
        ("lease ended", "8")
    ]


def test_a_place_that_is_away_costs_no_attempt(queue: Queue) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()
    queue.db.run(lambda tx: jobs.put_off(tx, job, "a is not mounted", "me", timedelta(0)))
    assert queue.jobs() == [("1@a", "waiting", 0)]


def test_work_that_a_stopping_daemon_gives_back_is_ready_at_once_with_its_attempt(
    queue: Queue,
) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()
    queue.db.run(lambda tx: jobs.give_back(tx, job))
    assert queue.jobs() == [("1@a", "ready", 0)]


def test_a_cancelled_job_is_blocked_and_its_worker_hears_of_it_at_the_next_renewal(
    queue: Queue,
) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()
    assert queue.db.run(lambda tx: jobs.cancel(tx, [job.id], "by mistake")) == ["1@a"]
    assert queue.db.run(lambda tx: jobs.renew(tx, [job], SOON)) == set()
    with pytest.raises(LeaseLost):
        queue.db.run(lambda tx: jobs.finish(tx, [job]))
    assert queue.ask("SELECT reason, evidence ->> 'message' FROM blocked") == [
        ("cancelled", "by mistake")
    ]


def test_blocked_work_is_released_singly_and_in_bulk_by_its_reason(queue: Queue) -> None:
    queue.enqueue("1@a", "2@a", "3@a")
    for job in queue.claim(3):
        reason = "full" if job.subject != "3@a" else "other"
        queue.db.run(partial(jobs.block, job=job, reason=reason, message="", me="me"))
    assert queue.db.run(lambda tx: jobs.release(tx, kind="archive", subject="1@a")) == ["1@a"]
    assert queue.db.run(lambda tx: jobs.release(tx, reason="full")) == ["2@a"]
    assert queue.ask("SELECT subject FROM blocked") == [("3@a",)]


def test_no_lease_ends_just_after_the_server_started(queue: Queue) -> None:
    queue.enqueue("1@a")
    queue.claim()
    queue.end_leases()
    assert queue.tick(timedelta(days=1)) == 0  # the server of this test started less than a day ago
    assert queue.tick(timedelta(0)) == 1


def test_a_lease_that_is_renewed_does_not_end(queue: Queue) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()
    queue.end_leases()
    assert queue.db.run(lambda tx: jobs.renew(tx, [job], SOON)) == {job.id}
    assert queue.tick() == 0


def test_a_breaker_opens_after_three_different_subjects_and_closes_on_success(queue: Queue) -> None:
    queue.enqueue("1@a", "2@a")
    queue.enqueue("3@b", place="b", needs="b")

    def fails(subject: str) -> bool:
        return queue.db.run(lambda tx: jobs.breaker_fails(tx, "a", subject, "away"))

    assert [fails(s) for s in ("1@a", "1@a", "2@a", "2@a", "3@a")] == [
        False,
        False,
        False,
        False,
        True,
    ]
    lanes = queue.db.run(lambda tx: Claimer("archive", "me").lanes(tx, ["a", "b"]))
    assert lanes == [("b", "b")]
    assert [b.name for b in queue.db.run(jobs.open_breakers)] == ["a"]
    assert queue.db.run(lambda tx: jobs.breaker_succeeds(tx, "a"))
    assert queue.db.run(lambda tx: Claimer("archive", "me").lanes(tx, ["a", "b"])) == [
        ("a", "a"),
        ("b", "b"),
    ]


def test_work_that_waited_for_a_breaker_is_ready_when_it_closes(queue: Queue) -> None:
    queue.enqueue("1@a")
    (job,) = queue.claim()
    queue.db.run(lambda tx: jobs.put_off(tx, job, "away", "me", timedelta(hours=1)))
    for subject in ("1@a", "2@a", "3@a"):
        queue.db.run(partial(jobs.breaker_fails, name="a", subject=subject, reason="away"))
    queue.db.run(lambda tx: jobs.breaker_succeeds(tx, "a"))
    assert queue.jobs() == [("1@a", "ready", 0)]


def test_a_daemon_claims_only_for_places_that_its_host_has(queue: Queue) -> None:
    queue.enqueue("1@a")
    assert queue.db.run(lambda tx: Claimer("archive", "me").lanes(tx, ["elsewhere"])) == []


def test_work_at_a_place_whose_own_breaker_is_open_is_not_claimed(queue: Queue) -> None:
    queue.enqueue("1@b", place="a", needs="b")  # packed at a, for b
    for subject in ("1@b", "2@b", "3@b"):
        queue.db.run(partial(jobs.breaker_fails, name="a", subject=subject, reason="away"))
    assert queue.db.run(lambda tx: Claimer("archive", "me").lanes(tx, ["a", "b"])) == []


def test_one_daemon_at_a_time_has_the_lease_on_a_place(queue: Queue) -> None:
    lease = queue.db.run(lambda tx: jobs.take_lease(tx, "dome", "ingest", "me", SOON))
    assert lease is not None
    assert queue.db.run(lambda tx: jobs.take_lease(tx, "dome", "ingest", "other", SOON)) is None
    assert queue.db.run(lambda tx: jobs.holder(tx, "dome", "ingest")) == "me"
    queue.ask("UPDATE lease SET until = now() - interval '1 s'")
    taken = queue.db.run(lambda tx: jobs.take_lease(tx, "dome", "ingest", "other", timedelta(0)))
    assert taken is not None
    with pytest.raises(LeaseLost):
        queue.db.run(lambda tx: jobs.hold_lease(tx, lease, SOON))
    queue.db.run(lambda tx: jobs.drop_lease(tx, lease))
    queue.db.run(lambda tx: jobs.hold_lease(tx, taken, SOON))


def test_who_wants_a_lease_that_another_holds_does_not_wait_for_that_ones_work(
    queue: Queue,
) -> None:
    lease = queue.db.run(lambda tx: jobs.take_lease(tx, "", "reap.tick", "me", SOON))
    assert lease is not None

    def impatient(tx: Tx) -> jobs.Lease | None:
        tx.execute("SET LOCAL lock_timeout = '1 s'")
        return jobs.take_lease(tx, "", "reap.tick", "other", SOON)

    with queue.db.begin() as long_work:
        jobs.hold_lease(long_work, lease, SOON)
        assert queue.db.run(impatient) is None


def test_what_a_dead_predecessor_held_is_given_back_with_its_attempts_counted(queue: Queue) -> None:
    queue.enqueue("1@a", "2@a")
    queue.claim(me="dome/archive/:1.1")
    queue.claim(me="dome/archive/:2.2")
    queue.db.run(lambda tx: jobs.take_lease(tx, "dome", "ingest", "dome/archive/:1.1", SOON))
    assert queue.db.run(lambda tx: jobs.succeed_predecessors(tx, ["dome/archive/:1.1"])) == ["1@a"]
    assert queue.jobs() == [("1@a", "ready", 1), ("2@a", "running", 1)]
    assert not queue.ask("SELECT FROM lease")


def test_a_month_that_nobody_made_stops_no_finish(queue: Queue) -> None:
    queue.ask("SELECT make_job_months()")
    for (name,) in queue.ask(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'job_done'::regclass"
    ):
        if name != "job_done_default":
            queue.ask(f"DROP TABLE {name}")
    queue.enqueue("1@a")
    (job,) = queue.claim()
    assert queue.db.run(lambda tx: jobs.finish(tx, [job]))
    assert queue.ask("SELECT count(*) FROM job_done_default") == [(1,)]
    made = queue.ask("SELECT make_job_months() AS n")[0].n
    assert made == 2  # this month's rows stay where they are
    assert queue.ask("SELECT make_job_months() AS n")[0].n == 0
