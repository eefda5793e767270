"""Reading that gives way: the disk's idle class, and a byte rate that is kept."""

import os
import threading
import time
from pathlib import Path

import pytest
from nightferry.courtesy import IDLE, Pace, last_in_the_queue, place_in_queue
from nightferry.durable import Root


def test_a_rate_is_kept_within_a_tenth_on_a_real_reading(tmp_path: Path) -> None:
    rate, size = 16_000_000, 32_000_000
    (tmp_path / "frame").write_bytes(os.urandom(size))
    with Root.unmarked(tmp_path) as root:
        began = time.monotonic()
        root.read_back("frame", Pace(rate).reached)
        took = time.monotonic() - began
    assert took == pytest.approx(size / rate, rel=0.1)


def test_without_a_rate_nothing_waits() -> None:
    waited: list[None] = []
    Pace(0, lambda: waited.append(None)).reached(10**15)
    assert waited == []


def test_whoever_waits_looks_up_and_may_leave() -> None:
    def leave() -> None:
        raise InterruptedError

    began = time.monotonic()
    with pytest.raises(InterruptedError):
        Pace(1, leave).reached(1000)
    assert time.monotonic() - began < 5


def test_what_gives_way_has_the_disks_idle_class_with_its_threads_and_gives_it_back() -> None:
    before = place_in_queue()
    if before is None:
        pytest.skip("this kernel tells no place in the disk's queue")
    seen: list[int | None] = []
    with last_in_the_queue():
        assert place_in_queue() == IDLE
        reader = threading.Thread(target=lambda: seen.append(place_in_queue()))
        reader.start()
        reader.join()
    assert seen == [IDLE]
    assert place_in_queue() == before
