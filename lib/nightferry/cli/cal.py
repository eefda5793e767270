"""nf cal -- calibrate images and files of photometry, and see what came of it."""

import click

from nightferry.cli import show
from nightferry.cli.calibrations.listing import list_calibrations
from nightferry.cli.calibrations.night import night
from nightferry.cli.calibrations.run import run
from nightferry.cli.calibrations.showing import show_one
from nightferry.cli.context import Lists


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Zero points and standard magnitudes from images and tables of measured stars."""


for each in (run, list_calibrations, show_one, night):
    command.add_command(each)
