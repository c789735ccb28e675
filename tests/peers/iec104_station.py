"""An IEC 104 controlled station (c104): one measured value, which it reports on its own, and one command.

report VALUE    sends the measured value spontaneously
"""

import argparse
import asyncio
import time

import c104

import commands
import iec104
import report


def switch(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    return c104.ResponseState.SUCCESS


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="address to listen on")
    parser.add_argument("--keep-alive", type=int, default=1, help="seconds of silence after which it sends a test frame")
    args = parser.parse_args()

    server = c104.Server(ip=args.listen, port=iec104.PORT, tick_rate_ms=50)
    server.protocol_parameters.keep_alive_interval = args.keep_alive
    station = server.add_station(common_address=iec104.STATION)
    measured = station.add_point(io_address=iec104.MEASURED, type=c104.Type.M_ME_NC_1)
    measured.value = 20.0
    command = station.add_point(io_address=iec104.COMMAND, type=c104.Type.C_SC_NA_1)
    command.on_receive(callable=switch)
    server.start()
    report.ready(listen=args.listen)
    number = 0
    async for _, value in commands.lines():
        number, started = number + 1, time.monotonic()
        measured.value = float(value)
        sent = measured.transmit(cause=c104.Cot.SPONTANEOUS)
        report.exchange(number, started, ok=sent, value=float(value))


asyncio.run(main())
