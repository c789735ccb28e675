"""A BACnet/IP device (bacpypes3) with one analog value, 21.5 degrees Celsius, on UDP 47808."""

import argparse
import asyncio

from bacpypes3.local.analog import AnalogValueObject

import bacnet
import report


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="own address with prefix, as 10.20.0.21/24")
    parser.add_argument("--instance", type=int, default=1001)
    args = parser.parse_args()

    app = bacnet.application(args.address, args.instance, "controller")
    temperature = AnalogValueObject(
        objectIdentifier=("analog-value", 1),
        objectName="temperature",
        presentValue=21.5,
        statusFlags=[0, 0, 0, 0],
        eventState="normal",
        outOfService=False,
        units="degreesCelsius",
    )
    app.add_object(temperature)
    # The sockets are opened by tasks that the constructor started.
    await asyncio.gather(*app.normal.server._transport_tasks)
    report.ready(address=args.address, instance=args.instance)
    await asyncio.Event().wait()


asyncio.run(main())
