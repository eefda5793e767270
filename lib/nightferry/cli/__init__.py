"""``nf WORD``: the dispatcher. A word is a file of this folder that defines ``command``.

No error of a person's making ends in a stack trace: one sentence on stderr, and an exit code.
"""

import difflib
import importlib
import pkgutil
import sys
from keyword import iskeyword
from pathlib import Path

import click

from nightferry.cli import show
from nightferry.cli.context import Context
from nightferry.db import REFUSED, DatabaseAway, SchemaMismatch, first_line
from nightferry.errors import ConfigError, NightferryError

# What the words share.
_NO_WORDS = {
    "__main__",
    "calibrations",
    "capabilities",
    "context",
    "named",
    "show",
}


class Words(click.Group):
    """The commands, each imported only when it is meant: ``nf help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = {m.name for m in pkgutil.iter_modules(__path__)} - _NO_WORDS
        return sorted(name.rstrip("_").replace("_", "-") for name in names)

    def get_command(self, ctx: click.Context, word: str) -> click.Command | None:
        if word not in self.list_commands(ctx):
            return None
        module = word.replace("-", "_") + ("_" if iskeyword(word) else "")  # nf return: return_.py
        command = importlib.import_module(f"{__name__}.{module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            ctx.fail(f"there is no nf {args[0]}" + (f": nf {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        from nightferry.cli.help import PAGE

        return PAGE.rstrip()


@click.group(
    cls=Words,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": show.WIDTH},
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="This host's nightferry.yaml; else $NIGHTFERRY_CONFIG, else /etc/nightferry.",
)
@click.pass_context
def nf(ctx: click.Context, config: Path | None) -> None:
    ctx.obj = Context(config)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: list[str] | None = None) -> None:
    """The program ``nf``.

    Raises:
        SystemExit: always, with one of the published exit codes.
    """
    try:
        code = nf.main(arguments, prog_name="nf", standalone_mode=False)
    except click.ClickException as error:
        _fail_usage(error)
    except click.exceptions.Abort:
        sys.exit(130)
    except DatabaseAway as error:
        show.fail(str(error), show.AWAY)
    except (ConfigError, SchemaMismatch) as error:
        show.fail(str(error), show.USAGE)
    except NightferryError as error:
        show.fail(str(error), show.CANNOT_TELL)
    except REFUSED as error:
        show.fail(f"the database refuses: {first_line(error)}", show.CANNOT_TELL)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _fail_usage(error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # its message is the help itself
        click.echo(error.format_message(), err=True)
        sys.exit(show.USAGE)
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f" (see {error.ctx.command_path} --help)"
    show.fail(error.format_message() + hint, show.USAGE)
