"""A simulated camera: replays one past night at a telescope that does not exist.

The demo and the tests point Nightferry at the folder that it writes to. The night is the evening of
2026-03-14, so that no clock of today plays a part; the same seed gives the same bytes. Bias, dark
and flat frames come first, then three fields, one a standard's. Files grow under their final names,
as most cameras write them.

By hand: ``python -m nightferry.testing.camera FOLDER --count 60 --pace 0.5``.
"""

import argparse
import io
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

NIGHT_BEGINS = datetime(2026, 3, 14, 22, 5, tzinfo=UTC)  # dusk of 14 March, 19:05 in Chile
SIDE = 256  # pixels
_SCALE = 1.1 / 3600  # degrees per pixel
_READOUT = timedelta(seconds=21)
_BIAS_LEVEL, _READ_NOISE, _SKY = 1000.0, 5.0, 120.0
_STARS = 40
_OVERHEAD_TO_FIRST_FIELD = timedelta(hours=2)

Image = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Shot:
    """One frame to be taken. Angles in degrees."""

    image_type: str
    object: str
    seconds: float
    filter: str
    ra: float = 0.0
    dec: float = 0.0
    program: str = "CALIB"


_FIELDS = (
    _Shot("OBJECT", "NGC 3115", 120.0, "V", 151.3080, -7.7186, "2026A-017"),
    _Shot("OBJECT", "PG1323-086", 30.0, "V", 201.4146, -8.8192, "CALIB"),
    _Shot("OBJECT", "NGC 5139", 60.0, "R", 201.6968, -47.4795, "2026A-042"),
)


def frames(seed: int = 1, count: int = 60) -> Iterator[tuple[str, bytes]]:
    """Yield ``count`` frames of the night as (file name, bytes), in the order they are taken."""
    random = np.random.default_rng(seed)
    flat = _illumination()
    fields = {shot.object: _star_field(shot.object) for shot in _FIELDS}
    now = NIGHT_BEGINS
    for number, shot in enumerate(_shots(count), start=1):
        if shot.image_type == "OBJECT" and now < NIGHT_BEGINS + _OVERHEAD_TO_FIRST_FIELD:
            now = NIGHT_BEGINS + _OVERHEAD_TO_FIRST_FIELD
        light = np.zeros((SIDE, SIDE))
        if shot.image_type == "FLAT":
            light = 20_000.0 * flat
        elif shot.image_type == "OBJECT":
            light = (_SKY + fields[shot.object]) * (shot.seconds / 60.0) * flat
        yield f"s{number:04d}.fits", _fits(_expose(light, shot.seconds, random), shot, number, now)
        now += timedelta(seconds=shot.seconds) + _READOUT


def play(
    folder: Path,
    pace: float = 0.5,
    count: int = 60,
    seed: int = 1,
    pieces: int = 4,
    stop: threading.Event | None = None,
) -> int:
    """Write the night's frames into ``folder``, one each ``pace`` seconds; return how many.

    Each grows in ``pieces`` writes over the first half of its time. ``stop`` ends it between two
    writes: a frame may stay half written, as with a camera that loses its power.

    Raises:
        FileExistsError: a frame of that name is there; nothing is overwritten.
    """
    return _write(folder, frames(seed, count), pace, pieces, stop)


def replay(
    folder_in: Path,
    folder_out: Path,
    pace: float = 0.5,
    pieces: int = 4,
    stop: threading.Event | None = None,
) -> int:
    """As :func:`play`, with the real files below ``folder_in``, in the order of their names."""
    files = sorted(f for f in folder_in.rglob("*") if f.is_file() and not f.is_symlink())
    real = ((str(f.relative_to(folder_in)), f.read_bytes()) for f in files)
    return _write(folder_out, real, pace, pieces, stop)


def _write(
    folder: Path,
    named: Iterable[tuple[str, bytes]],
    pace: float,
    pieces: int,
    stop: threading.Event | None,
) -> int:
    stop = stop or threading.Event()
    written = 0
    for name, content in named:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        step = max(1, -(-len(content) // pieces))
        with target.open("xb", buffering=0) as file:
            for at in range(0, len(content), step):
                file.write(content[at : at + step])
                if stop.wait(pace / 2 / pieces):
                    return written
        written += 1
        if stop.wait(pace / 2):
            break
    return written


def _shots(count: int) -> Iterator[_Shot]:
    """A fifth bias, a tenth dark, a fifth flat, the rest the fields in turn: three at a time."""
    bias, dark, flat = count // 5, count // 10, count // 5
    for _ in range(bias):
        yield _Shot("BIAS", "bias", 0.0, "V")
    for _ in range(dark):
        yield _Shot("DARK", "dark", 60.0, "V")
    for number in range(flat):
        yield _Shot("FLAT", "sky flat", 4.0 + number % 5, "V" if number % 2 else "R")
    for number in range(count - bias - dark - flat):
        yield _FIELDS[number // 3 % len(_FIELDS)]


def _illumination() -> Image:
    """The response of the detector, 1 in the middle: vignetting."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    return np.asarray(1.0 - 0.3 * (x**2 + y**2))


def _star_field(name: str) -> Image:
    """Counts per minute of the field ``name``: the same stars in each frame of it."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    pixels = np.arange(SIDE)
    field = np.zeros((SIDE, SIDE))
    for flux in 3e5 * 10 ** (-0.4 * random.uniform(0.0, 5.0, _STARS)):
        x, y = random.uniform(8, SIDE - 8, 2)
        across = np.exp(-((pixels - x) ** 2) / (2 * 1.6**2))
        along = np.exp(-((pixels - y) ** 2) / (2 * 1.6**2))
        field += flux / (2 * np.pi * 1.6**2) * np.outer(along, across)
    return field


def _expose(light: Image, seconds: float, random: np.random.Generator) -> npt.NDArray[np.uint16]:
    electrons = light + 0.02 * seconds
    noise = random.standard_normal((SIDE, SIDE), dtype=np.float32)
    counts = _BIAS_LEVEL + electrons + noise * np.sqrt(electrons + _READ_NOISE**2)
    return np.clip(counts, 0, 65535).astype(np.uint16)


def _fits(pixels: npt.NDArray[np.uint16], shot: _Shot, number: int, began: datetime) -> bytes:
    """``pixels`` and a header of some 70 cards, as bytes of a FITS file."""
    image = fits.PrimaryHDU(pixels)  # 16 bits with BZERO = 32768
    image.header.update(_cards(shot, number, began))
    file = io.BytesIO()
    image.writeto(file)
    return file.getvalue()


def _cards(shot: _Shot, number: int, began: datetime) -> fits.Header:
    on_sky = shot.image_type == "OBJECT"
    end = began + timedelta(seconds=shot.seconds)
    drift = (number % 17 - 8) / 10
    cards: list[tuple[str, str | float | int | bool, str]] = [
        ("OBJECT", shot.object, "as typed by the observer"),
        ("IMAGETYP", shot.image_type, "BIAS, DARK, FLAT or OBJECT"),
        ("EXPTIME", shot.seconds, "[s] shutter open"),
        ("OBSNUM", number, "starts again every night"),
        ("DATE-BEG", _iso(began), "start of exposure"),
        ("DATE-END", _iso(end), "end of exposure"),
        ("DATE", _iso(end + _READOUT), "file written"),
        ("TIMESYS", "UTC", ""),
        ("MJD-BEG", round(_mjd(began), 8), "[d] start of exposure"),
        ("FILTER", shot.filter, "filter in the beam"),
        ("FILTPOS", "BVRI".index(shot.filter) + 1, "position of the wheel"),
        ("PROPID", shot.program, "observing programme"),
        ("OBSERVER", "Simulated observer", ""),
        ("INSTRUME", "Nightferry simulated camera", ""),
        ("TELESCOP", "sim", "a telescope that does not exist"),
        ("FOCALLEN", 2800.0, "[mm]"),
        ("APTDIA", 400.0, "[mm]"),
        ("DETECTOR", "SIM256", "detector"),
        ("DETSIZE", f"[1:{SIDE},1:{SIDE}]", ""),
        ("DATASEC", f"[1:{SIDE},1:{SIDE}]", ""),
        ("CCDSUM", "1 1", "binning"),
        ("GAIN", 1.0, "[electron/adu]"),
        ("RDNOISE", _READ_NOISE, "[electron]"),
        ("SATURATE", 65535, "[adu]"),
        ("READMODE", "slow", ""),
        ("CCD-TEMP", -80.0 + drift / 10, "[Celsius] detector"),
        ("SET-TEMP", -80.0, "[Celsius] detector, wanted"),
        ("COOLERPW", 42.0 + drift, "[%] of the cooler"),
        ("SHUTTER", "open" if shot.image_type in ("FLAT", "OBJECT") else "closed", ""),
        ("FOCUSPOS", 11520 + number % 5, "[um] focuser"),
        ("FOCUSTEM", 8.4 + drift / 5, "[Celsius] focuser"),
        ("ROTATOR", 0.0, "[deg]"),
        ("DOMEAZ", 180.0 + drift, "[deg]"),
        ("OUTTEMP", 6.5 + drift / 4, "[Celsius] outside"),
        ("HUMIDITY", 31.0 + drift, "[%] outside"),
        ("PRESSURE", 748.2, "[hPa] outside"),
        ("WINDSPD", 3.1 + abs(drift), "[m/s]"),
        ("WINDDIR", 340.0, "[deg]"),
        ("DEWPOINT", -8.9, "[Celsius] outside"),
        ("SITELAT", -22.9857, "[deg] north"),
        ("SITELONG", -67.7403, "[deg] east"),
        ("SITEELEV", 5612.0, "[m]"),
        ("SWCREATE", "simulated camera 1", "what wrote this file"),
        ("SEQID", f"20260314-{number:04d}", "image of the night"),
        *((f"TEMP{n}", 7.0 + n / 10 + drift / 4, "[Celsius] of the mount") for n in range(1, 9)),
    ]
    if on_sky:
        cards += [
            ("RA", _sexagesimal(shot.ra / 15), "[h] pointing"),
            ("DEC", _sexagesimal(shot.dec), "[deg] pointing"),
            ("EQUINOX", 2000.0, ""),
            ("RADESYS", "ICRS", ""),
            ("AIRMASS", round(1.08 + number % 40 / 100, 3), "start of exposure"),
            ("HA", _sexagesimal(drift), "[h]"),
            ("GUIDING", True, ""),
            ("GUIDERMS", 0.41, "[arcsec]"),
            ("MOONSEP", 97.0 + drift, "[deg]"),
            ("CTYPE1", "RA---TAN", ""),
            ("CTYPE2", "DEC--TAN", ""),
            ("CRVAL1", shot.ra, "[deg]"),
            ("CRVAL2", shot.dec, "[deg]"),
            ("CRPIX1", SIDE / 2 + 0.5, ""),
            ("CRPIX2", SIDE / 2 + 0.5, ""),
            ("CD1_1", -_SCALE, "[deg/pixel]"),
            ("CD1_2", 0.0, "[deg/pixel]"),
            ("CD2_1", 0.0, "[deg/pixel]"),
            ("CD2_2", _SCALE, "[deg/pixel]"),
        ]
    return fits.Header(cards)


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _mjd(moment: datetime) -> float:
    return (moment - datetime(1858, 11, 17, tzinfo=UTC)) / timedelta(days=1)


def _sexagesimal(value: float) -> str:
    tenths = round(abs(value) * 36_000)
    whole, tenths = divmod(tenths, 36_000)
    minutes, tenths = divmod(tenths, 600)
    return f"{'-' if value < 0 else ''}{whole:02d}:{minutes:02d}:{tenths / 10:04.1f}"


def main() -> None:
    """The command line: write frames into a folder until done or interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the frames go")
    parser.add_argument("--count", type=int, default=60, help="how many frames (60)")
    parser.add_argument("--pace", type=float, default=0.5, help="seconds per frame (0.5)")
    parser.add_argument("--seed", type=int, default=1, help="of the noise (1)")
    parser.add_argument("--from", dest="real", type=Path, help="replay the files of this folder")
    given = parser.parse_args()
    if given.real is not None:
        written = replay(given.real, given.folder, given.pace)
    else:
        written = play(given.folder, given.pace, given.count, given.seed)
    print(f"{written} frames written to {given.folder}")


if __name__ == "__main__":
    main()
