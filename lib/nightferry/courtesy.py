"""Reading that gives way: last in the disk's queue, and no faster than a byte rate."""

import ctypes
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

IDLE = 3  # the class that gets the disk when nobody else wants it
_CLASS = 13  # bits below it hold the place within a class
_PROCESS = 1  # who is meant: this thread, and those that it starts
_CALLS = {  # ioprio_set, ioprio_get
    "x86_64": (251, 252),
    "aarch64": (30, 31),
    "ppc64le": (273, 274),
    "riscv64": (30, 31),
    "s390x": (282, 283),
}
_libc = ctypes.CDLL(None, use_errno=True)


def take_last_place() -> None:
    """This thread, and those that it starts from now on, have the disk only when it is idle.

    Politeness only: where the kernel or its scheduler knows no such class, nothing changes.
    """
    set_number, _ = _CALLS.get(platform.machine(), (None, None))
    if set_number is not None:
        _libc.syscall(set_number, _PROCESS, 0, IDLE << _CLASS)


def place_in_queue(thread: int = 0) -> int | None:
    """The class of a thread, of this one if none is named: IDLE or another; None where it can't be
    asked."""
    _, get_number = _CALLS.get(platform.machine(), (None, None))
    value = -1 if get_number is None else _libc.syscall(get_number, _PROCESS, thread)
    return None if value < 0 else value >> _CLASS


@contextmanager
def last_in_the_queue() -> Iterator[None]:
    """As :func:`take_last_place`, until the end of the block."""
    set_number, get_number = _CALLS.get(platform.machine(), (None, None))
    before = -1 if get_number is None else _libc.syscall(get_number, _PROCESS, 0)
    take_last_place()
    try:
        yield
    finally:
        if before >= 0 and set_number is not None:
            _libc.syscall(set_number, _PROCESS, 0, before)


class Pace:
    """Holds a reading to ``rate`` bytes a second (0 = as fast as it goes), from now on.

    ``meanwhile`` is called at least each second of waiting; it may raise.
    """

    def __init__(self, rate: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.rate = rate
        self._meanwhile = meanwhile
        self._began = time.monotonic()

    def reached(self, done: int) -> None:
        """So many bytes are read; returns when it is time for more."""
        while self.rate:
            ahead = done / self.rate - (time.monotonic() - self._began)
            if ahead <= 0:
                return
            time.sleep(min(ahead, 1.0))
            self._meanwhile()
