"""What every command is given: this host's configuration and the database, made when asked for."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from nightferry import config as host_config
from nightferry import migrate
from nightferry.config import HostConfig
from nightferry.connections import OneConnection
from nightferry.db import Database, DatabaseAway
from nightferry.errors import ConfigError
from nightferry.rights import asker

F = TypeVar("F", bound=Callable[..., Any])


class Context:
    """One run of ``nf``. Nothing is read and nobody is asked before a property is used."""

    def __init__(self, config_path: Path | None = None) -> None:
        self.config_path = config_path

    @cached_property
    def config(self) -> HostConfig:
        """This host's configuration.

        Raises:
            ConfigError: there is none, or it is wrong.
        """
        return host_config.load(self.config_path)

    @cached_property
    def dsn(self) -> str:
        """Where the database is.

        Raises:
            ConfigError: the configuration is missing or wrong.
            DatabaseAway: the embedded server is not running.
        """
        config = self.config
        try:
            return config.dsn
        except ConfigError as error:
            raise DatabaseAway(str(error)) from error

    @cached_property
    def db(self) -> Database:
        """The database, whose schema this program understands.

        Raises:
            ConfigError: the configuration is missing or wrong.
            DatabaseAway: the server does not answer.
            SchemaMismatch: migrations are missing, or the database is newer.
        """
        database = Database(
            self.dsn, actor=self.person, site=self.config.site, connections=OneConnection
        )
        database.run(migrate.check)
        click.get_current_context().call_on_close(database.close)
        return database

    @property
    def person(self) -> str:
        """Who types: what the history will say."""
        return f"{asker()}@{self.config.host}"


pass_nf = click.make_pass_decorator(Context)


def json_option(command: F) -> F:
    """``--json``: the command is given ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document instead of text."
    )(command)


class Lists(click.Group):
    """A group of commands whose bare word lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["list"])
