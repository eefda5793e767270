"""From headers to meaning: what one file says of the exposure that it holds. Knows no file.

The same headers, definitions and corrections give the same exposure, always: columns can be
derived again without reading the archive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from nightferry.instruments import sky, times
from nightferry.instruments.base import NO_CORRECTIONS, Exposure, FrameType, Hdu, Value
from nightferry.instruments.definition import Definition, Source
from nightferry.instruments.definitions import Instruments, safe_name
from nightferry.instruments.keywords import Header

__all__ = ["derive"]

UNKNOWN = "unknown"
_NOWHERE = Source(())
_LONGEST_EXPOSURE = 1e7  # seconds: four months
_AIRMASSES = (0.9, 100.0)  # pressed to the horizon it is 40; some telescopes write 0.99 at zenith
_COUNTERS = 1 << 63  # what the database holds


def derive(
    hdus: Sequence[Hdu],
    path: str,
    instruments: Instruments,
    corrections: Mapping[str, Value | None] = NO_CORRECTIONS,
) -> Exposure:
    """What the headers ``hdus`` of the file ``path`` say.

    ``corrections`` stand over the headers: keyword → value; None takes a keyword away. Never
    raises for what is in a header: what can't be believed is None, with a sentence in ``defects``.
    """
    header = Header(hdus, corrections)
    return _Derivation(header, path, instruments.recognise(header, path)).exposure()


class _Derivation:
    """One file under one definition. What the definition does not map, it leaves empty."""

    def __init__(self, header: Header, path: str, definition: Definition) -> None:
        self.header = header
        self.path = path
        self.definition = definition
        self.defects: list[str] = []
        self._found: dict[str, Value | None] = {}  # the rules ask for the same fields again

    def exposure(self) -> Exposure:
        began, source, defects = times.start(self.header, self.definition.start)
        self.defects.extend(defects)
        if began is None and not defects and self.header.has("SIMPLE"):
            self.defects.append("No keyword says when the exposure began.")
        instrument, module = self._instrument(), self._module()
        ra, dec = self._position(began)
        exposure = Exposure(
            instrument=instrument,
            telescope=self.definition.telescope,
            module=module,
            frame_type=self._frame_type(),
            object=self._text("object"),
            program=self._text("program"),
            start=began,
            start_source=source,
            seconds=self._number("seconds", 0.0, _LONGEST_EXPOSURE),
            filter=self._text("filter"),
            ra=ra,
            dec=dec,
            airmass=self._number("airmass", *_AIRMASSES),
            counter=self._counter(),
            exposure_key=self._key(instrument, module, began),
            observer=self._text("observer"),
            attributes=self._attributes(),
            defects=(),
        )
        if self.definition.arithmetic is not None:
            exposure = self._mended(exposure)
        for keyword in dict.fromkeys(self.header.unreadable):
            self.defects.append(f"The value of {keyword} can't be read.")
        return replace(exposure, defects=(*exposure.defects, *self.defects))

    def _mended(self, exposure: Exposure) -> Exposure:
        assert self.definition.arithmetic is not None
        try:
            return self.definition.arithmetic(exposure, self.header, self.path)
        except Exception as problem:  # noqa: BLE001 - another's code; its failure is told, bytes go on
            self.defects.append(
                f"The arithmetic of {self.definition.instrument} failed: {problem!r}."
            )
            return exposure

    def _find(self, field: str) -> Value | None:
        if field not in self._found:
            source = self.definition.keywords.get(field, _NOWHERE)
            self._found[field] = source.find(self.header)
        return self._found[field]

    def _mapped(self, name: str) -> Value | None:
        """What a rule's condition in small letters means."""
        if name == "path":
            return self.path
        value = self._find(name)
        if name in ("seconds", "airmass", "counter") and isinstance(value, str):
            return _float(value)
        return value

    def _instrument(self) -> str:
        if self.definition.instrument:
            return self.definition.instrument
        return safe_name(str(self._find("instrument") or "")) or UNKNOWN

    def _module(self) -> str:
        module = self.definition.module
        if isinstance(module, str):
            return module
        return safe_name(str(module.find(self.header) or "")) or "main"

    def _frame_type(self) -> FrameType:
        for rule in self.definition.frame_types:
            if all(c.holds(self.header, self._mapped) for c in rule.conditions):
                return rule.frame_type
        return FrameType.UNKNOWN

    def _text(self, field: str) -> str | None:
        value = self._find(field)
        return None if value is None else str(value).strip() or None

    def _number(self, field: str, low: float, high: float) -> float | None:
        value = self._find(field)
        if value is None:
            return None
        number = _float(value)
        if number is None or not low <= number <= high:
            self.defects.append(f"{value!r} is no {field}.")
            return None
        return number

    def _counter(self) -> int | None:
        value = self._find("counter")
        number = _float(value) if value is not None else None
        if number is None or not number.is_integer() or abs(number) >= _COUNTERS:
            return None
        return int(value) if isinstance(value, int | str) and str(value).isdigit() else int(number)

    def _position(self, began: datetime | None) -> tuple[float | None, float | None]:
        ra, dec = self._find("ra"), self._find("dec")
        if ra is None or dec is None:
            return None, None
        unit = self.definition.keywords["ra"].unit
        try:
            return sky.icrs(
                sky.degrees(ra, None if unit is None else unit == "hours"),
                sky.degrees(dec, False),
                self._equinox(began),
                str(self.header.get("RADESYS") or self.header.get("RADECSYS")).startswith("FK4"),
            )
        except ValueError as problem:
            self.defects.append(f"RA {ra!r}, Dec {dec!r} are not used: {problem}.")
            return None, None

    def _equinox(self, began: datetime | None) -> float:
        """The Julian year of the coordinates."""
        stated = self.definition.equinox
        if isinstance(stated, float):
            return stated
        if stated == "date":
            if began is None:
                raise ValueError("they are of the exposure's date, which is not known")
            return round(began.year + (began.timetuple().tm_yday - 1) / 365.25, 3)
        system = str(self.header.get("RADESYS") or self.header.get("RADECSYS") or "")
        equinox = _float(self.header.get("EQUINOX") or self.header.get("EPOCH") or 2000.0)
        if system == "ICRS" or equinox is None or not 1800.0 <= equinox <= 2100.0:
            return 1950.0 if system.startswith("FK4") else 2000.0
        return equinox

    def _key(self, instrument: str, module: str, began: datetime | None) -> str | None:
        if began is None:
            return None
        names = [self.header.get(k) for k in self.definition.exposure_key]
        moment = began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return "/".join([instrument, module, moment, *(str(n) for n in names if n is not None)])

    def _attributes(self) -> dict[str, Value]:
        found = {k: source.find(self.header) for k, source in self.definition.attributes.items()}
        return {k: value for k, value in found.items() if value is not None}


def _float(value: Value) -> float | None:
    """``value`` as a finite number, or None."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
