"""Where a transaction has its connection from: a pool, or the one of a command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

Driver = psycopg.Connection[Any]


class Lent(Protocol):
    """A connection until it is given back."""

    @property
    def driver_connection(self) -> Any: ...
    def close(self) -> None:
        """Gives it back."""

    def invalidate(self) -> None:
        """Gives it back, broken."""


class Connections(Protocol):
    """Where a transaction has its connection from."""

    def connect(self) -> Lent: ...
    def dispose(self) -> None:
        """Closes those that nobody has."""


class OneConnection:
    """For a command, which is over before a pool would be worth its import."""

    def __init__(self, connect: Callable[[], Driver]) -> None:
        self._connect = connect
        self.idle: list[Driver] = []

    def connect(self) -> Lent:
        return _Kept(self, self.idle.pop() if self.idle else self._connect())

    def dispose(self) -> None:
        while self.idle:
            self.idle.pop().close()


@dataclass(frozen=True)
class _Kept:
    owner: OneConnection
    driver_connection: Driver

    def close(self) -> None:
        self.owner.idle.append(self.driver_connection)

    def invalidate(self) -> None:
        self.driver_connection.close()


def pool(connect: Callable[[], Driver]) -> Connections:
    """For what runs on and on, and for threads."""
    from sqlalchemy.pool import QueuePool

    return QueuePool(connect, pool_size=2)  # type: ignore[arg-type]
