"""A Modbus/TCP server (pymodbus) whose holding register n holds 1000 + n."""

import argparse
import asyncio

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

import report

REGISTERS = 100


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="address to listen on")
    parser.add_argument("--port", type=int, default=502)
    args = parser.parse_args()

    values = [1000 + n for n in range(REGISTERS)]
    device = SimDevice(0, simdata=[SimData(0, values=values, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=(args.listen, args.port))
    await server.serve_forever(background=True)
    report.ready(listen=args.listen, port=args.port)
    await asyncio.Event().wait()


asyncio.run(main())
