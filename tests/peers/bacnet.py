"""What the BACnet peers share: an application on one UDP port, sending and receiving, and a value for it."""

import asyncio

from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogValueObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address


def application(address, instance, name):
    """`address` is that of the host with its prefix: 10.20.0.21/24, or 10.20.0.21/24:47809."""
    device = DeviceObject(
        objectIdentifier=("device", instance),
        objectName=name,
        vendorIdentifier=999,
        # A question that was stopped is not asked again: the tests count.
        numberOfApduRetries=0,
    )
    return NormalApplication(device, IPv4Address(address))


def temperature(number=1):
    """An analog value: 21.5 degrees Celsius."""
    return AnalogValueObject(
        objectIdentifier=("analog-value", number),
        objectName=f"temperature-{number}",
        presentValue=21.5,
        statusFlags=[0, 0, 0, 0],
        eventState="normal",
        outOfService=False,
        units="degreesCelsius",
        covIncrement=0.5,
    )


async def listening(app):
    """Waits for the sockets, which are opened by tasks that the constructor started."""
    await asyncio.gather(*app.normal.server._transport_tasks)
