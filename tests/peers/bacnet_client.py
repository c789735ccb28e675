"""A BACnet/IP client (bacpypes3), which sends from UDP 47808 as well: a unicast Who-Is, then ReadProperty."""

import argparse
import asyncio
import sys
import time

from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.pdu import Address

import bacnet
import report


async def exchange(app, device, instance, timeout):
    found = await app.who_is(instance, instance, Address(device), timeout=timeout)
    if not found:
        return {"ok": False, "error": "no I-Am"}
    value = await asyncio.wait_for(app.read_property(device, "analog-value,1", "present-value"), timeout)
    return {"ok": value == 21.5, "value": value}


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="own address with prefix, as 10.10.1.5/16, or 10.10.1.5/16:40808")
    parser.add_argument("--device", required=True, help="address of the device")
    parser.add_argument("--instance", type=int, default=1001, help="instance of the device")
    parser.add_argument("--count", type=int, default=1, help="number of exchanges")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for each answer")
    args = parser.parse_args()

    app = bacnet.application(args.address, 2001, "client")
    failed = 0
    for number in range(1, args.count + 1):
        started = time.monotonic()
        try:
            outcome = await exchange(app, args.device, args.instance, args.timeout)
        except (ErrorRejectAbortNack, TimeoutError, asyncio.TimeoutError) as error:
            outcome = {"ok": False, "error": repr(error)}
        failed += not outcome["ok"]
        report.exchange(number, started, **outcome)
    app.close()
    sys.exit(1 if failed else 0)


asyncio.run(main())
