"""A database server that lets nobody in: it asks for a password, and no password is right."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ASKS = b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big")  # a password in clear text
_SAID = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "dome"\0\0'
_REFUSES = b"E" + (4 + len(_SAID)).to_bytes(4, "big") + _SAID
_NO = b"N"  # to the question for TLS, and for GSS


@contextmanager
def doorman() -> Iterator[int]:
    """The port at which it answers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_refuse_all, args=(door,), daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def _refuse_all(door: socket.socket) -> None:
    while True:
        try:
            guest, _ = door.accept()
        except OSError:
            return
        with guest:
            while (said := guest.recv(4096)) and len(said) == 8:
                guest.sendall(_NO)
            guest.sendall(_ASKS)
            if guest.recv(4096):
                guest.sendall(_REFUSES)
