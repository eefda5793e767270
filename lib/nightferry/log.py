"""What the daemons say: lines with fields for the journal, plain lines on a terminal."""

import logging
import os
import socket
import sys

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
    """Logs ``message`` with the journal fields ``NIGHTFERRY_<NAME>=``."""
    log.log(level, message, extra={"fields": fields})


def printable(text: str) -> str:
    """``text`` on one line, without anything that a terminal or a log reader would obey."""
    return to_text(text.encode("utf-8", "surrogateescape"))


class _Journal(logging.Handler):
    """systemd's native protocol: one datagram a message, every field kept apart."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.identifier = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.connect(_JOURNAL)

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {
            "MESSAGE": record.getMessage(),
            "PRIORITY": _PRIORITY.get(record.levelno, 6),
            "SYSLOG_IDENTIFIER": self.identifier,
        }
        for name, value in getattr(record, "fields", {}).items():
            fields[f"NIGHTFERRY_{name.upper()}"] = value
        parts = []
        for name, value in fields.items():
            data = str(value).encode("utf-8", "replace")
            parts.append(name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n")
        try:
            self.socket.send(b"".join(parts))
        except OSError:  # too long for a datagram, or the journal restarts: stderr goes there too
            sys.stderr.write(record.getMessage() + "\n")


def start(name: str, level: int = logging.INFO) -> None:
    """Sets up logging for the program ``name``: the journal under systemd, else stderr."""
    log.setLevel(level)
    log.propagate = False
    handler: logging.Handler
    if os.environ.get("JOURNAL_STREAM") and os.path.exists(_JOURNAL):
        handler = _Journal(name)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(f"%(asctime)s {name}: %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
