"""What the daemons say: lines with fields for the journal, plain lines on a terminal.

``NIGHTFERRY_LOG=json`` makes each line one JSON document on stderr, for another store of logs.
"""

import array
import json
import logging
import os
import socket
import sys
from datetime import UTC, datetime

from nightferry.names import to_text

_JOURNAL = "/run/systemd/journal/socket"
_PRIORITY = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}

log = logging.getLogger("nightferry")


def tell(level: int, message: str, **fields: object) -> None:
    """Logs ``message`` with the journal fields ``NIGHTFERRY_<NAME>=``; a list is a field for each.

    Whatever a header or a name brings into the message is harmless to a terminal and to a reader
    of lines: control characters are escaped, and what goes on in a second line is set in.
    """
    log.log(level, "%s", harmless(message), extra={"fields": fields})


def printable(text: str) -> str:
    """``text`` on one line, without anything that a terminal or a log reader would obey."""
    return to_text(text.encode("utf-8", "surrogateescape"))


def harmless(text: str) -> str:
    """A message whose own words may stand as they are: only what is no character is escaped."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else "\n    " if c == "\n" else _escaped(c) for c in text.rstrip("\n")
    )


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _fields(record: logging.LogRecord) -> dict[str, list[str]]:
    given: dict[str, object] = getattr(record, "fields", {})
    return {
        f"NIGHTFERRY_{name.upper()}": [harmless(str(v)) for v in value]
        if isinstance(value, list | tuple)
        else [harmless(str(value))]
        for name, value in given.items()
    }


class _Journal(logging.Handler):
    """systemd's native protocol: one datagram a message, every field kept apart."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.identifier = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.connect(_JOURNAL)

    def emit(self, record: logging.LogRecord) -> None:
        fields = {
            "MESSAGE": [record.getMessage()],
            "PRIORITY": [str(_PRIORITY.get(record.levelno, 6))],
            "SYSLOG_IDENTIFIER": [self.identifier],
            **_fields(record),
        }
        parts = []
        for name, values in fields.items():
            for value in values:
                data = value.encode("utf-8", "replace")
                parts.append(name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n")
        try:
            self._send(b"".join(parts))
        except OSError:  # the journal restarts: stderr goes there too
            sys.stderr.write(record.getMessage() + "\n")

    def _send(self, datagram: bytes) -> None:
        """What is too long for a datagram goes as a sealed file in memory."""
        try:
            self.socket.send(datagram)
        except OSError:
            file = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                os.write(file, datagram)
                _seal(file)
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
                self.socket.sendmsg([], rights)
            finally:
                os.close(file)


def _seal(file: int) -> None:
    import fcntl

    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)


class _Json(logging.Formatter):
    """One document a line, with the journal's names."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            name: values if len(values) > 1 else values[0]
            for name, values in _fields(record).items()
            if values
        }
        document = {
            "TIME": at,
            "SYSLOG_IDENTIFIER": self.name,
            "PRIORITY": _PRIORITY.get(record.levelno, 6),
            "MESSAGE": record.getMessage(),
            **fields,
        }
        return json.dumps(document, ensure_ascii=False)


def start(name: str, level: int = logging.INFO) -> None:
    """Sets up logging for the program ``name``: the journal under systemd, else stderr."""
    log.setLevel(level)
    log.propagate = False
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("NIGHTFERRY_LOG") == "json":
        handler.setFormatter(_Json(name))
    elif os.environ.get("JOURNAL_STREAM") and os.path.exists(_JOURNAL):
        handler = _Journal(name)
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {name}: %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
