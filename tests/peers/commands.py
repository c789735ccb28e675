"""Commands of the test: one a line on standard input, words separated by spaces. The peer ends with its input."""

import asyncio
import sys


async def lines():
    """The words of each command."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        yield line.decode().split()
