"""The zero point of one exposure, from matched stars.

    m_cat - m_inst = ZP + c (colour - colour_0) [+ a polynomial over the field]

**Convention.** ZP is the magnitude, in the named system (AB or Vega), of a star of the reference
colour that gives 1 ADU/s (1 e-/s where the gain is known) in total flux, at the frame's own
airmass: extinction is not removed. ``at_colour_0`` is the same for a star of colour 0.

Its error is that of the fit and the transformation's published scatter in quadrature: the second is
what the standard system itself is known to, and no number of stars makes it smaller.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry import few
from nightferry.photometry.choices import STARS
from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.mixture import Mixture, fit

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STARS_FOR_COLOUR = 6  # below, the colour term is the instrument's
STARS_A_TERM = 15  # of a polynomial over the field
_ORDERS = (0, 1, 2)
_LEAST_SPREAD = 0.05  # mag of colour: below, a slope means nothing
_LEAST_ERROR = 0.001  # mag: no star is measured better than that


@dataclass(frozen=True)
class ColourTerm:
    """A slope that is known beforehand."""

    value: float
    error: float


@dataclass(frozen=True)
class ZeroPoint:
    """What was fitted. Errors are one sigma; ``fit_error`` is without the transformation's."""

    value: float
    error: float
    fit_error: float
    colour_term: float
    colour_term_error: float
    colour_reference: float
    at_colour_0: float
    at_colour_0_error: float
    scatter: float  # mag of the good stars, beyond their errors
    residuals: Array  # (n,) mag
    good: Array  # (n,) probability of each star to be a good one
    order: int  # of the polynomial over the field
    field: Array  # its coefficients, by x, y, xx, xy, yy of the normalised field
    flags: tuple[str, ...]

    @property
    def used(self) -> int:
        return int((self.good > 0.5).sum())


def zero_point(
    difference: Array,
    errors: Array,
    colour: Array,
    *,
    x: Array | None = None,
    y: Array | None = None,
    colour_reference: float = 0.0,
    scatter_of_transformation: float = 0.0,
    known_term: ColourTerm | None = None,
    fewest: int = STARS,
) -> ZeroPoint:
    """Fits m_cat - m_inst (n,) with its errors (n,) by colour (n,); ``x`` and ``y`` in -1..1.

    Raises:
        NotCalibrated: there are fewer stars than ``fewest``.
    """  # fmt: skip
    n = len(difference)
    if n < fewest:
        fewer = f": ask for it with --min-stars {n}" if n else ""
        raise NotCalibrated(
            "too few stars", f"{n or 'no'} usable star(s), and {fewest} are needed{fewer}"
        )
    errors = np.maximum(errors, _LEAST_ERROR)
    relative = colour - colour_reference
    flags: list[str] = []
    term = _term_beforehand(n, colour, known_term, flags)
    y0 = difference if term is None else difference - term.value * relative
    best, order, field = _fit_best(y0, errors, relative if term is None else None, x, y)
    slope = float(best.theta[1]) if term is None else term.value
    covariance = best.covariance[:2, :2] if term is None else _fixed(best, term, relative)
    fit_error = float(np.sqrt(covariance[0, 0]))
    at_0 = covariance[0, 0] + colour_reference**2 * covariance[1, 1]
    at_0 -= 2 * colour_reference * covariance[0, 1]
    if best.share < 0.85 and n > few.MOST:
        flags.append(f"{100 * (1 - best.share):.0f} % outliers")
    return ZeroPoint(
        value=float(best.theta[0]),
        error=float(np.hypot(fit_error, scatter_of_transformation)),
        fit_error=fit_error,
        colour_term=slope,
        colour_term_error=float(np.sqrt(covariance[1, 1])),
        colour_reference=colour_reference,
        at_colour_0=float(best.theta[0]) - slope * colour_reference,
        at_colour_0_error=float(np.hypot(np.sqrt(max(at_0, 0.0)), scatter_of_transformation)),
        scatter=best.scatter,
        residuals=difference - float(best.theta[0]) - slope * relative - surface(field, x, y, n),
        good=best.good,
        order=order,
        field=field,
        flags=tuple(flags),
    )


def _term_beforehand(
    n: int, colour: Array, known: ColourTerm | None, flags: list[str]
) -> ColourTerm | None:
    """The colour term that is not fitted, with the reason among the flags."""
    if n < STARS_FOR_COLOUR:
        why = f"{n} stars"
    elif float(np.std(colour)) < _LEAST_SPREAD:
        why = "stars of one colour"
    else:
        return None
    if known is not None:
        flags.append(f"{why}: colour term of the instrument's file")
        return known
    flags.append(f"{why}: no colour term, and the instrument's file has none")
    return ColourTerm(0.0, 0.1)


def _fixed(best: Mixture, term: ColourTerm, relative: Array) -> Array:
    """The covariance of zero point and a slope that was not fitted: its error moves the stars."""
    mean = float(np.average(relative, weights=best.good))
    variance = term.error**2
    zero = float(best.covariance[0, 0]) + mean**2 * variance
    return np.array([[zero, -mean * variance], [-mean * variance, variance]])


def _fit_best(
    y0: Array, errors: Array, relative: Array | None, x: Array | None, y: Array | None
) -> tuple[Mixture, int, Array]:
    """The fit with the field's polynomial that the information criterion prefers."""
    linear = [np.ones(len(y0))] if relative is None else [np.ones(len(y0)), relative]
    if len(y0) <= few.MOST:
        return few.mean(y0, errors), 0, np.zeros(0)
    best, order = _try(y0, errors, linear), 0
    if x is not None and y is not None:
        for k in _ORDERS[1:]:
            terms = _terms(x, y, k)
            if len(y0) < STARS_A_TERM * (len(linear) + len(terms)):
                break
            tried = _try(y0, errors, [*linear, *terms])
            if tried.criterion < best.criterion:
                best, order = tried, k
    return best, order, best.theta[len(linear) :]


def _try(y0: Array, errors: Array, columns: list[Array]) -> Mixture:
    try:
        return fit(y0, errors, np.column_stack(columns))
    except np.linalg.LinAlgError as error:
        raise NotCalibrated(
            "not determined",
            "the stars do not determine a zero point: all have one colour and place",
        ) from error


def _terms(x: Array, y: Array, order: int) -> list[Array]:
    return [x, y] if order == 1 else [x, y, x * x, x * y, y * y]


def surface(field: Array, x: Array | None, y: Array | None, n: int) -> Array:
    """What the polynomial over the field adds at ``x``, ``y`` (-1..1)."""
    if not len(field) or x is None or y is None:
        return np.zeros(n)
    terms = _terms(x, y, 1 if len(field) == 2 else 2)
    return np.asarray(sum(c * t for c, t in zip(field, terms, strict=True)))
