"""``python -m nightferry.cli WORD``: the commands, from a checkout."""

from nightferry.cli import main

main()
