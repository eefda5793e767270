"""From a frame's close to its committed row: 50 frames a second come in, the quiet period is 0.

The peer is the promise: 250 ms for 99 of 100.
"""

import time
from collections.abc import Iterator

from tests.bench.chain import chain
from tests.bench.frames import frame_of
from tests.bench.ground import Ground, until
from tests.bench.lines import Line, Result, result

PROMISE = 250.0  # ms
PACE = 50  # files a second
COMMITTED = "SELECT path, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at FROM raw_data_file"


def measure(ground: Ground) -> Iterator[Result]:
    count = PACE * (10 if ground.quick else 30)
    line = Line(
        "latency", f"closed to committed, the 99th of 100 of {count} frames at {PACE} a second",
        "what is promised", "ms", "at most", 1.0,
    )  # fmt: skip
    frames = [frame_of(n, 140_000, 130) for n in range(PACE)]
    pairs = []
    for run in range(ground.runs):
        ground.tell(f"latency: run {run + 1} of {ground.runs}")
        with chain(ground) as sites:
            night = sites.source / "night"
            night.mkdir()
            (night / "first.fits").write_bytes(frames[0])
            sites.start("dome", "ingest")
            until(lambda: sites.rows(COMMITTED), "the first frame's row")
            closed: dict[str, float] = {}
            began = time.monotonic()
            for number in range(count):
                time.sleep(max(0.0, began + number / PACE - time.monotonic()))
                path = night / f"f{number:05d}.fits"
                with path.open("wb") as file:
                    file.write(frames[number % PACE])
                closed[f"night/{path.name}"] = time.time()
            until(lambda: len(sites.rows(COMMITTED)) == count + 1, "every frame's row", 60)
            late = sorted(
                (r.at - closed[r.path]) * 1000 for r in sites.rows(COMMITTED) if r.path in closed
            )
            pairs.append((late[int(0.99 * len(late))], PROMISE))
    yield result(line, pairs)
