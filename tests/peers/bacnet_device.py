"""A BACnet/IP device (bacpypes3) with one analog value, 21.5 degrees Celsius, on UDP 47808."""

import argparse
import asyncio

import bacnet
import report


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="own address with prefix, as 10.20.0.21/24")
    parser.add_argument("--instance", type=int, default=1001)
    args = parser.parse_args()

    app = bacnet.application(args.address, args.instance, "controller")
    app.add_object(bacnet.temperature())
    await bacnet.listening(app)
    report.ready(address=args.address, instance=args.instance)
    await asyncio.Event().wait()


asyncio.run(main())
