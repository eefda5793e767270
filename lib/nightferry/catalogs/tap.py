"""A remote archive that speaks the Table Access Protocol: one question at a time, in full or not at
all, and not again and again.

The answer is a VOTable. One that the archive cut short (OVERFLOW) is no answer.
"""

import io
import warnings
from dataclasses import dataclass, replace

import requests
import tenacity
from astropy.io.votable import parse
from astropy.io.votable.exceptions import VOWarning

import nightferry
from nightferry.catalogs.base import Field, Found
from nightferry.catalogs.definition import Definition
from nightferry.catalogs.files import to_stars
from nightferry.catalogs.sky import tiles_inside
from nightferry.errors import Unavailable

SECONDS = 120.0  # for an answer
TRIES = 4
MOST = 500_000  # stars of one question
_MARGIN = 0.05  # of the radius: so that the tiles at the field's edge are complete
_BUSY = (408, 429, 500, 502, 503, 504)


class _Busy(Exception):
    """It may answer a little later."""


@dataclass(frozen=True)
class Tap:
    """One catalogue at its archive."""

    definition: Definition
    wait: float = 2.0  # seconds, doubled before each further try

    def field(self, field: Field) -> Found:
        """As :class:`nightferry.catalogs.base.Catalog`."""
        wide = replace(field, radius=field.radius * (1 + _MARGIN) + 0.005)
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Busy),
            wait=tenacity.wait_exponential(multiplier=self.wait, max=60),
            stop=tenacity.stop_after_attempt(TRIES),
            reraise=True,
        )
        try:
            answer = retry(self._ask, wide)
        except _Busy as busy:
            raise self._away(f"no answer after {TRIES} tries ({busy})") from busy
        return Found(
            to_stars(self._columns(answer), self.definition),
            tiles_inside(wide.ra, wide.dec, wide.radius),
        )

    def _away(self, why: str) -> Unavailable:
        key, tap = self.definition.key, self.definition.tap
        assert tap is not None
        return Unavailable(f"catalog {key}", f"{key} at {tap.url}: {why}")

    def _ask(self, field: Field) -> bytes:
        tap = self.definition.tap
        assert tap is not None
        query = tap.query.format(most=MOST, ra=field.ra, dec=field.dec, radius=field.radius)
        try:
            answer = requests.post(
                f"{tap.url}/sync",
                data={
                    "REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "QUERY": query,
                    "MAXREC": str(MOST),
                },
                headers={"User-Agent": f"nightferry/{nightferry.__version__}"},
                timeout=SECONDS,
            )  # fmt: skip
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _Busy(type(error).__name__) from error
        if answer.status_code in _BUSY:
            raise _Busy(f"HTTP {answer.status_code}")
        if answer.status_code != 200:
            raise self._away(f"HTTP {answer.status_code}: {answer.text[:200]}")
        return answer.content

    def _columns(self, answer: bytes) -> dict[str, object]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", VOWarning)
                document = parse(io.BytesIO(answer), verify="ignore")
        except (ValueError, OSError, IndexError, TypeError) as error:
            raise self._away(f"its answer is no VOTable: {error}") from error
        status = [i for r in document.resources for i in r.infos if i.name == "QUERY_STATUS"]
        if any(i.value == "ERROR" for i in status):
            raise self._away(f"it refuses: {status[0].content}")
        if any(i.value == "OVERFLOW" for i in status):
            raise self._away("it has more stars than it gives at once: ask for a smaller field")
        if not any(True for _ in document.iter_tables()):
            raise self._away("its answer holds no table")
        table = document.get_first_table().to_table(use_names_over_ids=True)
        return {name: table[name] for name in table.colnames}
