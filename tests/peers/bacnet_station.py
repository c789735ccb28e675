"""A BACnet/IP station (bacpypes3) on UDP 47808 that answers, and that does on command what a client does.

who-is INSTANCE             by broadcast
read HOST                   ReadProperty of the analog value 1
write HOST VALUE            WriteProperty
list HOST INSTANCE          ReadProperty of the list of all objects: with many, the answer comes in segments
subscribe HOST confirmed    SubscribeCOV; good when the first notification is there. Also: unconfirmed
set VALUE                   the own analog value, of which subscribers are notified

Each notification is a line: {"notified": 22.5, "confirmed": true}
"""

import argparse
import asyncio
import time

from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import ObjectIdentifier, Real

import bacnet
import commands
import report

VALUE = "analog-value,1"


class Station:
    def __init__(self, app, value, timeout):
        self.app, self.value, self.timeout = app, value, timeout
        self.subscriptions = []

    async def who_is(self, instance):
        found = await self.app.who_is(int(instance), int(instance), timeout=self.timeout)
        if not found:
            raise TimeoutError("no I-Am")
        return str(found[0].pduSource)

    async def read(self, host):
        return await self.app.read_property(host, VALUE, "present-value")

    async def list(self, host, instance):
        return len(await self.app.read_property(host, f"device,{instance}", "object-list"))

    async def write(self, host, value):
        refused = await self.app.write_property(host, VALUE, "present-value", Real(float(value)))
        if refused:
            raise refused
        return float(value)

    async def subscribe(self, host, kind):
        first = asyncio.get_running_loop().create_future()
        self.subscriptions.append(asyncio.create_task(self.follow(host, kind == "confirmed", first)))
        return await first

    async def follow(self, host, confirmed, first):
        try:
            async with self.app.change_of_value(Address(host), ObjectIdentifier(VALUE), None, confirmed, 600) as changes:
                while True:
                    name, value = await changes.get_value()
                    if str(name) != "present-value":
                        continue
                    if first.done():
                        report.line(notified=value, confirmed=confirmed)
                    else:
                        first.set_result(value)
        except (ErrorRejectAbortNack, TimeoutError) as error:
            first.set_exception(TimeoutError(str(error)))

    async def set(self, value):
        self.value.presentValue = float(value)
        return float(value)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="own address with prefix, as 10.20.0.21/24")
    parser.add_argument("--instance", type=int, required=True, help="instance of the own device")
    parser.add_argument("--objects", type=int, default=1, help="number of analog values")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds to wait for each answer")
    args = parser.parse_args()

    app = bacnet.application(args.address, args.instance, f"station-{args.instance}")
    value, *others = [bacnet.temperature(number) for number in range(1, args.objects + 1)]
    for one in [value, *others]:
        app.add_object(one)
    await bacnet.listening(app)
    report.ready(address=args.address)
    station, number = Station(app, value, args.timeout), 0
    async for verb, *arguments in commands.lines():
        number, started = number + 1, time.monotonic()
        action = getattr(station, verb.replace("-", "_"))
        try:
            done = await asyncio.wait_for(action(*arguments), args.timeout + 0.5)
            outcome = {"ok": True, "value": done}
        except (ErrorRejectAbortNack, TimeoutError, asyncio.TimeoutError) as error:
            outcome = {"ok": False, "error": repr(error)}
        report.exchange(number, started, **outcome)


asyncio.run(main())
