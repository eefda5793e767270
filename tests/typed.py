"""What a person types, and what comes back: the program ``nf`` in this process."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightferry.cli import main

WIDTH = 100


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The verdict, as one line, without the next command."""
        paragraph = self.out.rstrip().rpartition("\n\n")[2]
        return " ".join(paragraph.partition("\nNext: ")[0].split())

    @property
    def next(self) -> str:
        return self.out.rstrip().rpartition("\nNext: ")[2]

    @property
    def words(self) -> str:
        """All of it on one line: where lines break is not what a test is about."""
        return " ".join(self.out.split())


class Nf:
    """``nf`` on a host whose configuration names the database ``dsn``."""

    def __init__(self, dsn: str, folder: Path, locations: str = "{}") -> None:
        self.config = folder / "nightferry.yaml"
        self.config.write_text(f"site: dome\ndatabase: '{dsn}'\nlocations: {locations}\n")

    def __call__(self, *words: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(["--config", str(self.config), *words])
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
        answer = Answer(code, out.getvalue(), err.getvalue())
        if not {"--json", "--nagios"} & set(words):
            lines = answer.out.split("\n")  # but a command is never broken into two
            too_wide = [s for s in lines if len(s) > WIDTH and not s.startswith("Next: ")]
            assert not too_wide, f"wider than {WIDTH} columns: {too_wide[0]}"
        return answer

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").out)
