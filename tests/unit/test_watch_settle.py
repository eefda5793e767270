"""A file is handed over when it is finished, not earlier, and never simply forgotten."""

import pytest
from nightferry.watch.settle import DAY, Settled, Settler, SettleRule, Writing, looks_temporary
from nightferry.watch.sweep import Odd, Signature

from tests.unit.watch_ground import HandClock

ONE, TWO = Signature(10, 1, 1, 7), Signature(20, 2, 2, 7)


class Bench:
    """A settler, its clock, and answers that the test sets."""

    def __init__(self, rule: SettleRule | None = None) -> None:
        self.clock = HandClock()
        self.complete: bool | None = None
        self.asked = 0
        self.there: set[str] = set()
        self.settler = Settler(
            rule or SettleRule(), self._complete, self.there.__contains__, self.clock
        )

    def _complete(self, path: str) -> bool | None:
        self.asked += 1
        return self.complete

    def look(
        self,
        signature: Signature = ONE,
        writing: Writing = Writing.UNKNOWN,
        path: str = "n/a.fits",
        device: int = 1,
    ) -> Settled | Odd | None:
        return self.settler.look(path, device, signature, writing)

    def until_told(self, signature: Signature = ONE, limit: float = 3 * DAY) -> float:
        """Look whenever a look is due, until something is told: seconds it took."""
        began = self.clock.time
        while self.clock.time < began + limit:
            due = self.settler.due()
            assert due is not None, "it waits, and nobody will ever look again"
            self.clock.time = max(self.clock.time, due)
            for path in self.settler.take_due():
                self.told = self.look(signature, path=path)
                if self.told is not None:
                    return self.clock.time - began
        raise AssertionError("nothing was told")


def test_a_quiet_file_settles_after_two_looks_and_the_quiet_period() -> None:
    bench = Bench()
    assert bench.look() is None
    assert bench.until_told() == pytest.approx(10)
    assert bench.told == Settled("n/a.fits", ONE, None)
    assert len(bench.settler) == 0


def test_looks_close_together_count_as_one() -> None:
    bench = Bench(SettleRule(looks=3, looks_apart=5, quiet=0))
    for _ in range(10):
        assert bench.look(writing=Writing.CLOSED) is None
    assert bench.until_told() == pytest.approx(10)


def test_a_growing_file_does_not_settle() -> None:
    bench = Bench()
    for size in range(100):
        assert bench.look(Signature(size, size, size, 7)) is None
        bench.clock.time += 9
    assert bench.until_told(Signature(99, 99, 99, 7)) > 0


@pytest.mark.parametrize(
    "other",
    [
        Signature(11, 1, 1, 7),
        Signature(10, 2, 1, 7),
        Signature(10, 1, 2, 7),
        Signature(10, 1, 1, 8),
    ],
)
def test_any_change_of_the_signature_begins_the_quiet_period_again(other: Signature) -> None:
    bench = Bench()
    bench.look()
    bench.clock.time += 9.9
    assert bench.look(other) is None
    assert bench.until_told(other) == pytest.approx(10)


def test_another_device_under_the_same_name_is_another_file() -> None:
    bench = Bench()
    bench.look(device=1)
    bench.clock.time += 20
    assert bench.look(device=2) is None


def test_an_mtime_in_the_future_changes_nothing() -> None:
    bench = Bench()
    future = Signature(10, 9 * 10**18, 9 * 10**18, 7)
    bench.look(future)
    assert bench.until_told(future) == pytest.approx(10)


def test_closed_with_no_quiet_period_and_one_look_settles_at_once() -> None:
    bench = Bench(SettleRule(looks=1, quiet=0))
    assert bench.look(writing=Writing.CLOSED) == Settled("n/a.fits", ONE, None)


def test_one_look_is_not_enough_for_a_file_that_nobody_saw_closed() -> None:
    bench = Bench(SettleRule(looks=1, quiet=0, looks_apart=5))
    assert bench.look() is None
    assert bench.until_told() == pytest.approx(5)


def test_a_file_seen_opened_and_not_closed_waits() -> None:
    bench = Bench()
    bench.look(writing=Writing.OPEN)
    assert bench.until_told() == pytest.approx(3600)


def test_growth_does_not_make_an_open_file_look_closed() -> None:
    bench = Bench()
    bench.look(ONE, Writing.OPEN)
    bench.clock.time += 5
    bench.look(TWO)
    assert bench.until_told(TWO) == pytest.approx(3600)


def test_a_close_ends_the_wait_of_an_open_file() -> None:
    bench = Bench()
    bench.look(writing=Writing.OPEN)
    bench.clock.time += 60
    assert isinstance(bench.look(writing=Writing.CLOSED), Settled)


def test_after_lost_hints_an_open_file_settles_like_any_other() -> None:
    bench = Bench()
    bench.look(writing=Writing.OPEN)
    bench.clock.time += 20
    bench.settler.hints_lost()
    assert bench.until_told() < 10


def test_an_incomplete_file_waits_ten_times_as_long_once_and_is_then_handed_over() -> None:
    bench = Bench()
    bench.complete = False
    bench.look()
    assert bench.until_told() == pytest.approx(100)
    assert bench.told == Settled("n/a.fits", ONE, False)
    assert bench.asked == 2


def test_an_incomplete_file_waits_even_where_no_quiet_period_is_set() -> None:
    bench = Bench(SettleRule(looks=1, quiet=0, looks_apart=5))
    bench.complete = False
    assert bench.look(writing=Writing.CLOSED) is None
    assert bench.until_told() == pytest.approx(50)


def test_a_file_that_becomes_complete_settles_soon_after() -> None:
    bench = Bench()
    bench.complete = False
    bench.look()
    bench.clock.time += 10
    assert bench.look() is None
    bench.complete = True
    assert bench.look(TWO) is None
    assert bench.until_told(TWO) == pytest.approx(10)
    assert bench.told == Settled("n/a.fits", TWO, True)


@pytest.mark.parametrize(
    "path",
    [
        "n/a.fits.part",
        "n/a.TMP",
        "n/a.fits~",
        "n/.a.fits",
        "n/.a.fits.Xy12z4",
        ".rsync-partial/a.fits",
        "n/.~tmp~/a.fits",
    ],
)
def test_a_temporary_name_is_told_to_a_person_after_a_day_and_never_settles(path: str) -> None:
    assert looks_temporary(path)
    bench = Bench()
    bench.look(path=path, writing=Writing.CLOSED)
    assert bench.settler.working == 0
    assert bench.until_told() == pytest.approx(DAY, abs=61)
    assert isinstance(bench.told, Odd)
    assert "temporary name" in bench.told.reason


@pytest.mark.parametrize("path", ["n/a.fits", "n/part/a.fits", "n.tmp/a.fits", "a.partial.fits"])
def test_ordinary_names_are_not_temporary(path: str) -> None:
    assert not looks_temporary(path)


def test_a_file_that_changes_for_a_day_is_told_once_and_still_followed() -> None:
    bench = Bench()
    told = []
    for n in range(30_000):
        verdict = bench.look(Signature(n, n, n, 7))
        if verdict is not None:
            told.append(verdict)
        bench.clock.time += 5
    assert len(told) == 1
    assert isinstance(told[0], Odd)
    assert "still changing" in told[0].reason
    last = Signature(29_999, 29_999, 29_999, 7)
    bench.until_told(last)
    assert bench.told == Settled("n/a.fits", last, None)


def test_a_ready_marker_beats_every_other_sign() -> None:
    bench = Bench(SettleRule(ready_marker="{name}.done"))
    bench.complete = False
    bench.there.add("n/.a.part.done")
    assert isinstance(bench.look(path="n/.a.part", writing=Writing.OPEN), Settled)


def test_without_its_ready_marker_a_file_waits_a_day_and_is_then_not_lost() -> None:
    bench = Bench(SettleRule(ready_marker="{name}.done"))
    bench.look(writing=Writing.CLOSED)
    assert bench.until_told() == pytest.approx(DAY, abs=61)
    assert isinstance(bench.told, Settled)


def test_a_ready_marker_waits_for_no_marker_of_its_own() -> None:
    rule = SettleRule(ready_marker="{name}.done")
    assert rule.marker_of("a.fits") == "a.fits.done"
    assert rule.marked_by("a.fits.done") == "a.fits"
    assert rule.marker_of("a.fits.done") is None
    assert SettleRule().marker_of("a.fits") is None


def test_what_is_gone_is_forgotten() -> None:
    bench = Bench()
    bench.look()
    assert bench.settler.forget("n/a.fits")
    assert bench.settler.due() is None
    assert not bench.settler.forget("n/a.fits")
