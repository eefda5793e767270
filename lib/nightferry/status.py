"""What a daemon says of itself, in a person's words: ``packing 3 of 41, oldest 4 min``."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from nightferry.duty import Duty, JobDuty
from nightferry.wording import age, size
from nightferry.workers import Worker

_RATE_AFTER = 0.5  # seconds; a shorter copy has no rate worth telling
_MOST = 10_000  # jobs that are counted


def working(
    doing: str, duties: Sequence[tuple[Duty, Worker]], open: int, oldest: datetime | None
) -> str:
    """What is done of what there is to do; '' while no job is done."""
    jobs = [(duty, worker) for duty, worker in duties if isinstance(duty, JobDuty)]
    if not jobs:
        return ""
    many = f"{open:,}+" if open >= _MOST else f"{max(open, len(jobs)):,}"
    said = f"{doing} {len(jobs)} of {many}"
    if oldest is not None:
        said += f", oldest {age(oldest)}"
    if rate := sum(_rate(worker) for _, worker in jobs):
        said += f", {size(round(rate))}/s"
        left = sum(worker.of - worker.done for _, worker in jobs if worker.of)
        said += f", {age(timedelta(seconds=left / rate))} left"
    places = ", ".join(sorted(duty.told(worker.done, worker.of) for duty, worker in jobs))
    return f"{said} ({places})"


def _rate(worker: Worker) -> float:
    took = time.monotonic() - worker.began
    return worker.done / took if worker.of and took > _RATE_AFTER else 0.0


def others(duties: Sequence[tuple[Duty, Worker]]) -> list[str]:
    """What is done but for jobs: places that are watched."""
    told = [d.told(w.done, w.of) for d, w in duties if not isinstance(d, JobDuty)]
    return sorted(filter(None, told))


def away(places: Mapping[str, str]) -> list[str]:
    return [f"{name} is away ({trouble})" for name, trouble in sorted(places.items())]
