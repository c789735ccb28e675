"""What the BACnet device and its client share: an application on one UDP port, sending and receiving."""

from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address


def application(address, instance, name):
    """`address` is that of the host with its prefix: 10.20.0.21/24, or 10.20.0.21/24:47809."""
    device = DeviceObject(
        objectIdentifier=("device", instance),
        objectName=name,
        vendorIdentifier=999,
    )
    return NormalApplication(device, IPv4Address(address))
