"""The one image of a file: found, refused with its reason, and read in blocks of rows.

Plain FITS, gzip, bzip2, fpacked, and files with one image in an extension are the same here. Cubes
and mosaics are refused: which plane, which detector, is for a person to say. A plot can show the
first.
"""

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from nightferry.instruments import Hdu
from nightferry.instruments.keywords import Header
from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.unpacked import unpacked

Pixels = NDArray[np.float32]
MOST_PIXELS = 200_000_000  # of one image
_FEWEST = 16  # rows or columns of one
_BESIDE = re.compile(r"mask|dq|err|var|ivar|weight|wht|wt|unc|sigma|bpm|flag", re.IGNORECASE)
_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


@dataclass(frozen=True)
class Section:
    """Pixels [x0, x1) by [y0, y1), counted from 0."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.y1 - self.y0, self.x1 - self.x0


def section(text: object, shape: tuple[int, int]) -> Section | None:
    """What ``[1:1024,1:512]`` means; None if it is no section of an image of this shape."""
    found = _SECTION.fullmatch(str(text).strip())
    if found is None:
        return None
    x0, x1, y0, y1 = (int(n) for n in found.groups())
    inside = Section(min(x0, x1) - 1, max(x0, x1), min(y0, y1) - 1, max(y0, y1))
    if inside.x0 < 0 or inside.y0 < 0 or inside.x1 > shape[1] or inside.y1 > shape[0]:
        return None
    return inside


def is_image(content: bytes) -> bool:
    """Does this file, unpacked, hold an image? A table beside it says something of it, and is not
    what it is. What can't be read is none."""
    if content[:6] != b"SIMPLE":
        return False
    try:
        with _opened(content) as hdus:
            return any(_has_pixels(h) for h in hdus)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _opened(content: bytes | BinaryIO) -> Any:
    if isinstance(content, bytes):
        content = io.BytesIO(content)
    return fits.open(content, memmap=False, lazy_load_hdus=False, ignore_missing_simple=False)


def _has_pixels(hdu: Any) -> bool:
    if not isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU):
        return False
    shape = hdu.shape
    return len(shape) >= 2 and 0 not in shape


def _why_not(hdu: Any) -> tuple[str, str] | None:
    """Why no plane of this image is worked on, if it is not: a reason, and its text."""
    rows, columns = hdu.shape[-2:]
    if rows * columns > MOST_PIXELS:
        return "too large", f"has more than {MOST_PIXELS} pixels"
    if min(rows, columns) < _FEWEST:
        return "no image", f"has {columns} x {rows} pixels"
    return None


class ImageFile:
    """A file's image, its keywords, and its pixels on demand. A context: it closes the file.

    With ``to_show``, of a cube or mosaic the first plane of the first image stands for it, and of
    an image that was cut the rows that are there: ``refused`` says then why it can't be calibrated,
    and ``shown`` what it is that can be shown.

    Raises:
        NotCalibrated: it holds no image, or not one.
    """

    def __init__(self, content: bytes | BinaryIO, name: str, *, to_show: bool = False) -> None:
        self.name = name
        self.refused: NotCalibrated | None = None
        self.shown: Mapping[str, str] = {}
        self._there: int | None = None  # rows, of an image that was cut
        if isinstance(content, bytes):
            content = unpacked(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._hdus = _opened(content)
                try:
                    self._hdu = self._choose()
                except NotCalibrated as why:
                    if not to_show:
                        raise
                    self._hdu = self._first(why)
                if to_show and isinstance(content, bytes):
                    self._see_where_it_ends(len(content))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NotCalibrated(
                "unreadable", f"{name} can't be read as FITS: {str(error).splitlines()[0]}"
            ) from error

    def __enter__(self) -> "ImageFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._hdus.close()

    def _images(self) -> list[Any]:
        """The images that are of the sky, and no map of what is beside them."""
        images = [h for h in self._hdus if _has_pixels(h)]
        if len(images) > 1:
            science = [h for h in images if not _BESIDE.search(h.name)]
            images = science or images
        if len(images) > 1 and any(h.name == "SCI" for h in images):
            images = [h for h in images if h.name == "SCI"]
        return images

    def _first(self, why: NotCalibrated) -> Any:
        """The image of which a plane can be shown, where there are several."""
        images = [h for h in self._images() if _why_not(h) is None]
        if why.reason not in ("a cube", "a mosaic") or not images:
            raise why
        self.refused = why
        self.shown = {"shown": f"the first of its images, {images[0].name or 'unnamed'}"}
        if why.reason == "a cube":
            self.shown = {"shown": "its first plane"}
        return images[0]

    def _see_where_it_ends(self, length: int) -> None:
        info = self._hdu.fileinfo()
        if info is None or isinstance(self._hdu, fits.CompImageHDU) or self.refused is not None:
            return
        rows, columns = self.shape
        there = max(0, length - info["datLoc"]) // (abs(self._hdu.header["BITPIX"]) // 8 * columns)
        if there < rows:
            why = NotCalibrated(
                "unreadable",
                f"{self.name} ends after {there} of its {rows} rows: it was cut. Copy it again",
            )
            if not there:
                raise why
            self.refused, self._there = why, there
            self.shown = {"shown": f"the {there} rows that are there"}

    def _choose(self) -> Any:
        images = self._images()
        if not images:
            raise NotCalibrated("no image", f"{self.name} holds no image")
        if len(images) > 1:
            raise NotCalibrated(
                "a mosaic",
                f"{self.name} holds {len(images)} images (a mosaic?): give one detector at a time",
            )
        (hdu,) = images
        if len(hdu.shape) > 2 and max(hdu.shape[:-2]) > 1:
            planes = " x ".join(str(n) for n in reversed(hdu.shape))
            raise NotCalibrated(
                "a cube", f"{self.name} is a cube of {planes}: give one plane of it at a time"
            )
        if (wrong := _why_not(hdu)) is not None:
            raise NotCalibrated(wrong[0], f"{self.name} {wrong[1]}")
        return hdu

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self._hdu.shape[-2]), int(self._hdu.shape[-1])

    @property
    def header(self) -> Any:
        """The cards of the image, the primary header's below them."""
        header = self._hdu.header.copy()
        if self._hdu is not self._hdus[0]:
            for card in self._hdus[0].header.cards:
                if card.keyword and card.keyword not in header and card.keyword != "COMMENT":
                    header.append(card)
        return header

    @property
    def hdus(self) -> tuple[Hdu, ...]:
        """The cards of all HDUs, as what they mean is derived from them."""
        return tuple(
            Hdu(i, tuple(str(card).rstrip() for card in h.header.cards))
            for i, h in enumerate(self._hdus)
        )

    @property
    def digital_maximum(self) -> float | None:
        """The largest number that its converter can have written; None where pixels are floats."""
        bits = int(self._hdu.header.get("BITPIX", -32))
        if bits not in (8, 16):
            return None
        return float(self._hdu.header.get("BZERO", 0.0)) + (
            2 ** (bits - 1) - 1 if bits > 8 else 255
        )

    def rows(self, first: int, last: int) -> Pixels:
        """Rows [first, last) as they are stored, scaled; undefined pixels are NaN.

        Raises:
            NotCalibrated: the file ends before them.
        """
        if self._there is not None and last > self._there:
            missing = np.full((last - max(first, self._there), self.shape[1]), np.nan, np.float32)
            return np.vstack((self.rows(first, max(first, self._there)), missing))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                planes = (0,) * (len(self._hdu.shape) - 2)
                block = self._hdu.section[(*planes, slice(first, last), slice(None))]
        except (OSError, ValueError, TypeError, IndexError, RuntimeError) as error:
            told = (str(error).splitlines() or ["?"])[0]
            raise NotCalibrated(
                "unreadable", f"{self.name}: rows {first} to {last} can't be read: {told}"
            ) from error
        if block.dtype.kind == "f":
            return np.ascontiguousarray(block, np.float32)
        found = np.asarray(block).astype(np.float32)
        blank = self._hdu.header.get("BLANK")
        if isinstance(blank, int):
            scaled = blank * self._hdu.header.get("BSCALE", 1) + self._hdu.header.get("BZERO", 0)
            found[found == np.float32(scaled)] = np.nan
        return found


def configuration(
    keywords: Header, shape: tuple[int, int], wanted: tuple[str, ...]
) -> Mapping[str, str]:
    """How a frame was read out: equal for frames that calibrate each other."""
    said = {k: keywords.get(k) for k in wanted}
    found = {k: " ".join(str(v).split()) for k, v in said.items() if v is not None}
    return {"shape": f"{shape[1]}x{shape[0]}", **found}
