"""The command bin/bench: measures the lines that are asked for, and prints them as a table or JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

import click

from tests.bench.ground import Ground
from tests.bench.lines import Result

GROUPS = {
    "jobs": "enqueue to done, next to procrastinate and pgqueuer",
    "backlog": "the job statements on a large backlog, next to bare psycopg",
    "package": "packing 1 GB and proving it, next to a bare loop and to GNU tar",
    "archive": "archiving 1 GB and proving it, next to cp and openssl",
    "crossing": "packages over local and rsync, and into a bucket, next to rsync and boto3",
    "thin": "a link of 20 Mbit/s under five minutes of small observations: how busy it is (root)",
    "ingest": "registering 2,000 frames, next to a bare loop",
    "adopt": "adopting 100,000 loose files, next to a bare loop",
    "sweep": "a sweep of 1,000,000 known files, next to os.scandir",
    "latency": "closed to committed, under 50 frames a second",
    "catalog": "a catalogue loaded next to COPY, a cone next to q3c's",
    "zeropoint": "the zero point of a list of stars, next to stdpipe's",
    "answers": "nf status and nf night on a ledger of 10,000,000 files",
    "imaging": "photometry of an image, next to photutils'; a whole frame in a second of one core",
    "service": "under a real systemd: until all are ready, and what they cost idle",
    "memory": "the most memory of each daemon while 4 GB pass through",
}


def _table(results: list[Result]) -> str:
    lines = [f"{'line':<24} {'ours':>12} {'peer':>12} {'ratio':>7}  {'bound':<15} "]
    for r in results:
        sign = "≥" if r.line.sense == "at least" else "≤"
        lines.append(
            f"{r.line.name:<24} {r.ours:>12,.4g} {r.peer:>12,.4g} {r.ratio:>7.2f}  {sign} {r.line.bound:<5g}"
            f" {'reached' if r.reached else 'not reached':<12} {r.line.unit}"
        )
    missed = [r.line.name for r in results if not r.reached]
    lines.append("")
    lines += [f"{r.line.name}: {r.line.ours_is}; the peer: {r.line.peer_is}" for r in results]
    lines.append("")
    lines.append(
        f"{len(results) - len(missed)} of {len(results)} bounds reached"
        + (f"; not: {', '.join(missed)}" if missed else "")
    )
    return "\n".join(lines)


def _tell(text: str) -> None:
    """Progress, on standard error: one line that is written over where a person looks on."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text[:100]}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@click.command(
    help="Measures Nightferry next to something else that does the same. Ends with 1 where a bound "
    "is not reached, and names it; with 0 where all are.\n\nNAMES: "
    + "; ".join(f"{n} ({t})" for n, t in GROUPS.items())
)
@click.argument("names", nargs=-1, type=click.Choice(list(GROUPS)))
@click.option(
    "--quick", is_flag=True, help="smaller amounts and fewer runs: for a look, not for a claim"
)
@click.option(
    "--runs", type=click.IntRange(1), help="how often each side is measured (5; with --quick 3)"
)
@click.option("--json", "as_json", is_flag=True, help="the results as JSON on standard output")
def bench(names: tuple[str, ...], quick: bool, runs: int | None, as_json: bool) -> None:
    results: list[Result] = []
    with Ground(_tell, quick, runs or (3 if quick else 5)) as ground:
        for name in names or GROUPS:
            measure: Callable[[Ground], Iterator[Result]] = import_module(
                f"tests.bench.{name}"
            ).measure
            for found in measure(ground):
                results.append(found)
                _tell(f"{found.line.name}: {found.ratio:.2f}")
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    click.echo(json.dumps([r.as_json() for r in results], indent=2) if as_json else _table(results))
    sys.exit(0 if all(r.reached for r in results) else 1)


if __name__ == "__main__":
    bench(prog_name="bench")
