"""A controlled station of IEC 104 by hand (no stack would do this) that commands its master in the open connection.

It starts the transfer and answers an interrogation, so that a real master holds the connection open.

command     sends a single command (C_SC_NA_1, activation) to the master
"""

import argparse
import asyncio
import struct
import time

import commands
import iec104
import report

START, START_CON, TEST, TEST_CON = 0x07, 0x0B, 0x43, 0x83
INTERROGATION, SINGLE_COMMAND = 100, 45
ACTIVATION, CONFIRMED, ENDED = 6, 7, 10


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.sent = self.received = 0

    async def serve(self):
        while True:
            _, length = await self.reader.readexactly(2)
            apdu = await self.reader.readexactly(length)
            if apdu[0] in (START, TEST):
                self.writer.write(bytes([0x68, 4, START_CON if apdu[0] == START else TEST_CON, 0, 0, 0]))
            elif not apdu[0] & 1:
                self.received += 1
                if apdu[4] == INTERROGATION and apdu[6] == ACTIVATION:
                    self.send(INTERROGATION, CONFIRMED, apdu[8:])
                    self.send(INTERROGATION, ENDED, apdu[8:])

    def send(self, kind, cause, rest):
        """`rest` is the common address, the information object's address and its value."""
        asdu = bytes([kind, 1, cause, 0]) + rest
        self.writer.write(struct.pack("<BBHH", 0x68, 4 + len(asdu), self.sent << 1, self.received << 1) + asdu)
        self.sent += 1


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="address to listen on")
    args = parser.parse_args()

    opened = asyncio.get_running_loop().create_future()

    async def accepted(reader, writer):
        connection = Connection(reader, writer)
        if not opened.done():
            opened.set_result(connection)
        try:
            await connection.serve()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(accepted, args.listen, iec104.PORT)
    report.ready(listen=args.listen)
    number = 0
    async with server:
        async for _ in commands.lines():
            number, started = number + 1, time.monotonic()
            connection = await opened
            target = struct.pack("<H", iec104.STATION) + iec104.COMMAND.to_bytes(3, "little")
            connection.send(SINGLE_COMMAND, ACTIVATION, target + b"\x01")
            report.exchange(number, started, ok=True)


asyncio.run(main())
