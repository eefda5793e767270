"""A way that takes its time, as over a satellite: forwards a port, each byte so much later.

    python -m tests.sites.delay PORT HOST:PORT SECONDS

As much is on its way at once as the sender likes to send: only the time is the satellite's.
"""

import asyncio
import sys


async def forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Until the reader's end, which is told as late as everything else."""
    loop = asyncio.get_running_loop()
    try:
        while data := await reader.read(65536):
            loop.call_later(seconds, writer.write, data)
    except OSError:
        pass  # reset: the other end hears that it ended
    loop.call_later(seconds, writer.close)


async def serve(port: int, host: str, there: int, seconds: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, there)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            forward(reader, far_writer, seconds), forward(far_reader, writer, seconds)
        )

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    _, near, far, late = sys.argv
    name, _, number = far.partition(":")
    asyncio.run(serve(int(near), name, int(number), float(late)))
