"""A stand-in for bbcp, which Debian does not have: it takes the words that our transport gives to it.

It is not bbcp. It knows only our options, and carries the bytes over the ssh that the far end is
started by, in one stream; the real one has connections of its own. As the real one, it runs a
program at each end, whose words it cuts at each space.
"""

import getopt
import os
import subprocess
import sys
import threading
import time

_CHUNK = 64 * 1024


def sink() -> None:
    """The far end: its program is the first line that comes, and gets all that follows."""
    words = b""
    while not words.endswith(b"\n"):
        words += os.read(0, 1)
    program = words.decode().rstrip("\n").split(" ")
    os.execvp(program[0], program)


def carry(arguments: list[str]) -> int:
    options, (source, there) = getopt.getopt(arguments, "oN:s:x:S:T:")
    said = dict(options)
    assert "-o" in said
    assert said["-N"] == "io"
    assert 1 <= int(said["-s"]) <= 64
    rate = int(said["-x"].removesuffix("k")) * 1000 if "-x" in said else 0
    _, _, program = there.partition(":")
    with (
        subprocess.Popen(source.split(" "), stdout=subprocess.PIPE) as reading,
        subprocess.Popen(said["-T"].split(" "), stdin=subprocess.PIPE) as far,
    ):
        assert reading.stdout is not None
        assert far.stdin is not None
        began, sent = time.monotonic(), 0
        far.stdin.write(f"{program}\n".encode())
        while chunk := reading.stdout.read(_CHUNK):
            far.stdin.write(chunk)
            sent += len(chunk)
            if rate:
                threading.Event().wait(max(0.0, began + sent / rate - time.monotonic()))
        far.stdin.close()
        return far.wait() or reading.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["SNK"]:
        sink()
    sys.exit(carry(sys.argv[1:]))
