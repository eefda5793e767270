"""How the database is reached: is it an address at all, and does the way lead over the network?"""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from nightferry import yamlfile
from nightferry.config import HostConfig
from nightferry.errors import ConfigError

PASSWORDS = "/etc/nightferry/pgpass"  # libpq's format; the units hand it to the daemons


def check(host: HostConfig) -> None:
    """Returns if ``database:`` can be understood.

    Raises:
        ConfigError: it can't; the text names file and line, and repeats no password.
    """
    if host.database != "embedded":
        _parts(host)


def is_elsewhere(host: HostConfig) -> bool:
    """Is the database reached over the network?"""
    if host.database == "embedded":
        return False
    parts = _parts(host)
    hosts = f"{parts.get('host') or ''},{parts.get('hostaddr') or ''}".split(",")
    return any(name and not name.startswith("/") for name in hosts)


def refused(host: HostConfig, said: object) -> ConfigError:
    """The server refuses our password, or asks for one that we don't have: a wrong setting."""
    return ConfigError(
        f"{yamlfile.place_of(host.path, 'database')}: {said}. A password belongs into {PASSWORDS}, "
        "as HOST:PORT:DATABASE:USER:PASSWORD, owned by root with mode 0600; then: "
        "systemctl restart nightferry.target"
    )


def _parts(host: HostConfig) -> dict[str, object]:
    try:
        return dict(conninfo_to_dict(host.database))
    except psycopg.ProgrammingError:  # its text repeats the address, and may show a password
        raise ConfigError(
            f"{yamlfile.place_of(host.path, 'database')}: database: is no address of a PostgreSQL: "
            "write 'embedded', or one such as postgresql://nightferry-dome@db.example.org/nightferry"
        ) from None
