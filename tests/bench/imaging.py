"""Images: photometry of 1.5 megapixels next to photutils', and what a frame of 4 costs as a whole.

The second is seconds of one core, and memory, of a process of its own: from the file's bytes to the
rows in the database. What cosmic rays and the plot cost beside it is told.
"""

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nightferry import calibrating, images
from nightferry.calibrating import Source
from nightferry.catalogs import Found, definitions
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import Coverage, cone
from nightferry.db import Database
from nightferry.imaging import cosmics, reduction, stars
from nightferry.imaging.files import ImageFile
from nightferry.imaging.frame import Frame, detector, load
from nightferry.instruments import Instruments
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.photometry import plots
from nightferry.photometry.measured import Reading
from nightferry.photometry.result import Request
from nightferry.testing.sky import Camera, Moffat

from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, result
from tests.unit.imaging_sky import EVANS, Shot, shoot
from tests.unit.photometry_sky import DEC, RA

SMALL, LARGE = (1224, 1226), (2048, 2048)
SECONDS, MEGABYTES = 1.0, 600.0
RADII = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)


def measure(ground: Ground) -> Iterator[Result]:
    yield from _photometry(ground)
    yield from _whole(ground)


def _shot(shape: tuple[int, int], count: int) -> Shot:
    camera = Camera(shape=shape, scale=0.5, psf=Moffat(4.0, 3.2), sky=250.0)
    return shoot(1, stars=count, camera=camera, apart_by=6.0)


def _reduced(content: bytes) -> Frame:
    file = ImageFile(content, "frame.fits")
    frame = load(file, detector(file, Header(file.hdus), Imaging()))
    return reduction.reduce(frame, reduction.NONE, 60.0)


def _photometry(ground: Ground) -> Iterator[Result]:
    try:
        import photutils
    except ImportError:
        ground.tell("imaging: photutils is not installed (pip install photutils): left out")
        return
    del photutils
    line = Line(
        "photometry", f"stars of {SMALL[0] * SMALL[1] / 1e6:.1f} megapixels, found and measured",
        "photutils: Background2D, DAOStarFinder, apertures, curve of growth", "s of a core",
        "at most", 0.2,
    )  # fmt: skip
    ground.tell(f"imaging: photometry, {ground.runs} runs")
    told = _alone("photometry", str(ground.runs))
    yield result(line, list(zip(told["ours"], told["peer"], strict=True)))


def _both(runs: int) -> dict[str, list[float]]:
    """In this process: the same frame by turns, after one that warms up."""
    content = _shot(SMALL, 400).content
    told: dict[str, list[float]] = {"ours": [], "peer": []}
    warnings.simplefilter("ignore")
    for _ in range(runs + 1):
        for name, do in (("ours", stars.find), ("peer", _aperture_by_aperture)):
            frame = _reduced(content)
            began = time.process_time()
            do(frame)
            told[name].append(time.process_time() - began)
    return {name: seconds[1:] for name, seconds in told.items()}


def _aperture_by_aperture(frame: Frame) -> Any:
    """As its own pages do it: sky, stars, apertures, and a curve of growth of the brightest."""
    from photutils.aperture import CircularAperture, aperture_photometry
    from photutils.background import Background2D, MedianBackground
    from photutils.detection import DAOStarFinder
    from photutils.profiles import CurveOfGrowth

    sky = Background2D(frame.pixels, 64, filter_size=3, bkg_estimator=MedianBackground())
    clean = frame.pixels - sky.background
    error = np.sqrt(frame.variance)
    found = DAOStarFinder(threshold=4 * sky.background_rms_median, fwhm=4.0)(clean)
    names = (
        ("x_centroid", "y_centroid")
        if "x_centroid" in found.colnames
        else ("xcentroid", "ycentroid")
    )
    places = np.column_stack([np.asarray(found[n]) for n in names])
    apertures = [CircularAperture(places, r) for r in (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0)]
    table = aperture_photometry(clean, apertures, error=error)
    bright = np.argsort(-np.asarray(table["aperture_sum_4"]))[:80]
    radii = 4.0 * np.array(RADII)
    return [CurveOfGrowth(clean, place, radii, error=error).profile for place in places[bright]]


def _whole(ground: Ground) -> Iterator[Result]:
    with ground.ledger() as dsn, ground.place("frame") as folder:
        ground.tell("imaging: a frame of 4 megapixels")
        shot = _shot(LARGE, 700)
        (folder / "frame.fits").write_bytes(shot.content)
        database = Database(dsn, actor="bench", site="bench", host="bench")
        coverage: Coverage = cone(RA, DEC, 0.5)
        known = definitions()["gaia-dr2"]
        database.run(lambda tx: store(tx, known, Found(shot.sky.stars, coverage), "a bench"))
        database.close()
        told = []
        for run in range(ground.runs):
            ground.tell(f"imaging: run {run + 1} of {ground.runs}")
            told.append(_alone("frame", str(folder / "frame.fits"), dsn))
    beside = {k: float(np.median([t[k] for t in told])) for k in ("cosmic rays", "plot")}
    words = ", ".join(f"{name} {seconds:.2f} s beside it" for name, seconds in beside.items())
    for name, key, most, unit in (
        ("frame.time", "seconds", SECONDS, "s of a core"), ("frame.memory", "memory", MEGABYTES, "MB")
    ):  # fmt: skip
        line = Line(
            name, f"detect, measure, match, fit, store 4 megapixels ({words})",
            "what is promised", unit, "at most", 1.0,
        )  # fmt: skip
        yield result(line, [(t[key], most) for t in told])


def _alone(*what: str) -> Any:
    """In a process of its own, with one thread, as a worker's is."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.imaging", *what],
        check=True, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return json.loads(done.stdout)


def _frame(path: Path, dsn: str) -> dict[str, float]:
    """One frame in this process: twice, the second counts, as with a daemon's worker."""
    database = Database(dsn, actor="bench", site="bench", host="bench")

    def ask(statement: str, **values: object) -> list[Any]:
        return [tuple(row) for row in database.run(lambda tx: tx.run(statement, **values))]

    darkroom = images.Darkroom(Instruments.load(), open, lambda new: None, cosmic_rays=False)  # type: ignore[arg-type]
    request = Request(transformations=EVANS, catalogs=("gaia-dr2",))
    available = calibrating.catalogs(definitions(), ask)
    for _ in range(2):
        began = time.process_time()
        content = path.read_bytes()
        (found,) = images.run(
            content, Source("frame.fits", "a bench"), Reading(), request, available, ask, darkroom
        )
        database.run(lambda tx, found=found: calibrating.record(tx, found))  # type: ignore[misc]
        seconds = time.process_time() - began
    assert found.columns["state"] == "good", found.columns["advice"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    database.close()
    frame = _reduced(content)
    began = time.process_time()
    cosmics.mask(frame)
    rays = time.process_time() - began
    assert found.table is not None
    plots.calibration(found.table, "a frame")
    began = time.process_time()
    plots.calibration(found.table, "a frame")
    drawn = time.process_time() - began
    return {"seconds": seconds, "memory": memory, "cosmic rays": rays, "plot": drawn}


if __name__ == "__main__":
    if sys.argv[1] == "photometry":
        print(json.dumps(_both(int(sys.argv[2]))))
    else:
        print(json.dumps(_frame(Path(sys.argv[2]), sys.argv[3])))
