"""Writes man/: section 1 from the commands' own help, section 8 from the daemons' first lines.

``python -m tests.manpages`` after a change of either; tests/unit/test_manpages.py holds them equal.
"""

import ast
import inspect
import re
from collections.abc import Iterator

import click
from nightferry.cli import nf

from tests.tree import ROOT

FOLDER = ROOT / "man"


def pages() -> dict[str, str]:
    """Every page, by its path below man/."""
    found = {f"man1/{name}.1": text for name, text in _commands(nf, "nf")}
    for path in sorted((ROOT / "daemons/nightferryd").glob("[a-z]*.py")):
        found[f"man8/nightferry-{path.stem}.8"] = _daemon(path.read_text())
    postgres = (ROOT / "lib/nightferry/embedded/__main__.py").read_text()
    found["man8/nightferry-postgres.8"] = _daemon(postgres, "--state DIR", "--user NAME")
    return found


def _daemon(source: str, *options: str) -> str:
    told = ast.get_docstring(ast.parse(source)) or ""
    head, _, body = told.partition("\n\n")
    name, _, what = head.partition(" -- ")
    return _page(
        name,
        8,
        what,
        f".B {name}\n" + " ".join(f"[{_roff(o)}]" for o in options or ("--config FILE", "--once")),
        f".nf\n{_roff(body)}\n.fi",
        [
            ("FILES", ".I /etc/nightferry/nightferry.yaml\nwhat this host has and runs"),
            (
                "EXIT STATUS",
                "0: stopped, or done with \\fB--once\\fR. 78: a setting or the password is wrong; "
                "the unit\ndoes not start it again.",
            ),
            ("SEE ALSO", ".BR nf (1),\n.BR nf-status (1),\n.BR nf-check (1)"),
        ],
    )


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    yield name.replace(" ", "-"), _command(command, name)
    if isinstance(command, click.Group) and command is nf:
        context = click.Context(command, info_name=name)
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from _commands(below, f"{name} {word}")


def _command(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name)
    text = command.get_help(context) if command is nf else inspect.cleandoc(command.help or "")
    summary = text.split("\n\n")[0].replace("\n", " ")
    first = re.split(r"(?<=[.?!:]) ", summary)[0].rstrip(".:")
    pieces = " ".join(command.collect_usage_pieces(context))
    body = f".nf\n{_roff(text)}\n.fi" if command is nf else _paragraphs(text)
    sections = []
    if options := _options(command, context):
        sections.append(("OPTIONS", options))
    if isinstance(command, click.Group) and command is not nf:
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            inner = click.Context(below, info_name=word, parent=context)
            usage = " ".join(below.collect_usage_pieces(inner))
            said = f".B {name} {word}\n{_roff(usage)}\n.PP\n{_paragraphs(inspect.cleandoc(below.help or ''))}"
            options = _options(below, inner)
            sections.append((f"{word.upper()}", said + (f"\n{options}" if options else "")))
    if command.epilog:
        sections.append(("EXIT STATUS", _roff(command.epilog.removeprefix("Exit codes: "))))
    return _page(name.replace(" ", "-"), 1, first, f".B {name}\n{_roff(pieces)}", body, sections)


def _options(command: click.Command, context: click.Context) -> str:
    records = [p.get_help_record(context) for p in command.params]
    return "\n".join(
        f".TP\n\\fB{_roff(names)}\\fR\n{_roff(text)}" for names, text in filter(None, records)
    )


def _paragraphs(text: str) -> str:
    return "\n.PP\n".join(_roff(part.replace("\n", " ")) for part in text.split("\n\n"))


def _page(
    name: str, section: int, what: str, synopsis: str, body: str, more: list[tuple[str, str]]
) -> str:
    parts = [
        f'.TH "{name.upper()}" "{section}" "" "nightferry" "Nightferry"',
        f".SH NAME\n{_roff(name)} \\- {_roff(what)}",
        f".SH SYNOPSIS\n{synopsis}",
        f".SH DESCRIPTION\n{body}",
        *(f".SH {title}\n{text}" for title, text in more),
    ]
    return "\n".join(parts) + "\n"


def _roff(text: str) -> str:
    """Text that stands for itself."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("\b", "")
    return "\n".join(
        "\\&" + line if line.startswith((".", "'")) else line for line in escaped.split("\n")
    )


def main() -> None:
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in FOLDER.rglob("*.[18]"):
        if str(path.relative_to(FOLDER)) not in pages():
            path.unlink()


if __name__ == "__main__":
    main()
