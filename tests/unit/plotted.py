"""What is drawn on the plot of a calibration: counted, and not only looked at."""

import io
from typing import Any

import numpy as np
from nightferry.photometry import plots


def _points(axes: Any) -> int:
    """Points with a place, of lines of dots and of clouds; a catalogue's stars are not counted."""
    lines = [line for line in axes.lines if line.get_marker() not in ("", "None")]
    places = [np.column_stack(line.get_data()).astype(float) for line in lines]
    clouds = [c for c in axes.collections if not str(c.get_label()).startswith("catalogue")]
    places += [np.ma.getdata(c.get_offsets()) for c in clouds if len(c.get_offsets())]
    return sum(int(np.isfinite(p).all(axis=1).sum()) for p in places)


def points(content: bytes) -> dict[str, int]:
    """How many stars are drawn on each of the plot's axes."""
    figure, axes = plots.drawn(content, "a test")
    figure.savefig(io.BytesIO(), dpi=20)  # it can be written
    return {name: _points(one) for name, one in axes.items()}


def shows_pixels(content: bytes) -> bool:
    """Is there a picture of a frame, and is it no even gray?"""
    _, axes = plots.drawn(content, "a test")
    images = axes["frame"].images if "frame" in axes else []
    return any(float(np.ptp(image.get_array())) > 0 for image in images)
