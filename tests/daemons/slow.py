"""An archive daemon that takes its time: it copies as the real one does, once it may.

Its worker says how far it is, and waits for the file that GATE names.
"""

import os
import threading
from dataclasses import replace
from pathlib import Path

from nightferry.child import Work
from nightferry.daemon import command
from nightferry.jobs import Job
from nightferryd import archive as real


def slowly(job: Job, settings: real.Settings, work: Work) -> real.Archived:
    gate = Path(os.environ["GATE"])
    gate.with_name("begun").touch()
    while not gate.exists():
        work.progress(1, 2)
        threading.Event().wait(0.02)  # it stands for a long copy
    return real.archive(job, settings, work)


daemon = replace(real.daemon, do=slowly)

if __name__ == "__main__":
    from tests.daemons import slow

    command(slow.daemon)()
