"""Absence is concluded slowly, and never from a disk that may be another one."""

import pytest
from nightferry.watch import too_many
from nightferry.watch.vanish import Vanishing

from tests.unit.watch_ground import HandClock


def test_a_name_is_gone_after_two_passes_some_seconds_apart() -> None:
    clock = HandClock()
    vanishing = Vanishing(5.0, clock)
    vanishing.suspect("n", {"a"})
    assert vanishing.passed("n", {"a"}) == frozenset()
    clock.time += 1
    assert vanishing.passed("n", {"a"}) == frozenset()  # too soon: a file may be replaced just now
    clock.time += 5
    assert vanishing.passed("n", {"a"}) == {"a"}
    assert not vanishing


def test_a_name_that_came_back_begins_anew() -> None:
    clock = HandClock()
    vanishing = Vanishing(5.0, clock)
    vanishing.suspect("n", {"a", "b"})
    vanishing.passed("n", {"a", "b"})
    clock.time += 5
    assert vanishing.passed("n", {"b"}) == {"b"}
    clock.time += 5
    assert vanishing.passed("n", {"a"}) == frozenset()


@pytest.mark.parametrize(
    ("vanished", "known", "ours", "believed"),
    [
        (99, 100, 0, True),  # fewer than a hundred
        (100, 1000, 0, True),  # no more than a tenth
        (101, 1000, 0, False),
        (1000, 1000, 0, False),
        (1000, 1000, 950, True),  # we deleted most of them ourselves
    ],
)
def test_many_at_once_are_for_a_person_to_confirm(
    vanished: int, known: int, ours: int, believed: bool
) -> None:
    assert too_many(vanished, known, ours) is not believed
