"""The way to a database that can be unplugged: a forwarder on a port of its own.

It can also lead to another server from some moment on, and lose the answers to commits: the server
has committed, and whoever asked for it never hears.
"""

import selectors
import socket
import threading
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

COMMIT = b"Q\0\0\0\x0bCOMMIT\0"  # as the protocol says it


class Proxy:
    """Forwards to the server of ``dsn`` while it is plugged in; at first it is not."""

    def __init__(self, dsn: str) -> None:
        self.lead_to(dsn)
        self.lose_every = 0  # the answer to every n-th COMMIT is lost, and to each after a COPY
        self.lost = 0
        self._commits = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._listener: socket.socket | None = None
        self._pipes: list[socket.socket] = []
        self._lock = threading.Lock()

    def lead_to(self, dsn: str) -> None:
        """Whoever comes from now on is led to the server of ``dsn``."""
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._host = (query.get("host") or [parts.hostname or "localhost"])[0]
        self._port = int((query.get("port") or [str(parts.port or 5432)])[0])
        self._user, self._database = (
            parts.username or (query.get("user") or ["postgres"])[0],
            parts.path[1:],
        )

    @property
    def dsn(self) -> str:
        return f"postgresql://{self._user}@127.0.0.1:{self.port}/{self._database}"

    def plug_in(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def unplug(self) -> None:
        """No new connection is taken, and every open one is cut."""
        with self._lock:
            for end in [self._listener, *self._pipes]:
                if end is not None:
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass  # cut by its other end
                    end.close()
            self._listener, self._pipes = None, []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = self._reach()
            except OSError:
                near.close()  # no server is there
                continue
            with self._lock:
                self._pipes += [near, far]
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _reach(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return far

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        both = selectors.DefaultSelector()
        both.register(near, selectors.EVENT_READ, far)
        both.register(far, selectors.EVENT_READ, near)
        copies = False  # many rows at once, in this transaction
        try:
            while True:
                for key, _ in both.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    key.data.sendall(data)
                    copies = copies or (key.fileobj is near and b"COPY " in data)
                    if data == COMMIT:
                        if self._loses_this(copies):
                            far.recv(65536)  # it was committed, and nobody will know
                            return
                        copies = False
        except (OSError, ValueError):
            return  # unplugged
        finally:
            for end in (near, far):
                end.close()

    def _loses_this(self, copies: bool) -> bool:
        with self._lock:
            self._commits += 1
            loses = bool(self.lose_every) and (copies or self._commits % self.lose_every == 0)
            self.lost += loses
            return loses

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.unplug()
