"""Synthetic: DNP3 over UDP, a read of class 1 and its response with one analog input. From the published layout."""

import struct

MASTER, OUTSTATION = 1, 10
FROM_MASTER, FROM_OUTSTATION = 0xC4, 0x44  # unconfirmed user data; DIR is set in what a master sends
READ, RESPONSE, UNSOLICITED = 0x01, 0x81, 0x82
CLASS_1 = b"\x3c\x02\x06"


def crc(data):
    """CRC-16/DNP, as it stands in the frame."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA6BC if value & 1 else 0)
    return struct.pack("<H", value ^ 0xFFFF)


def frame(control, application):
    """A link frame with one transport segment that holds the whole application fragment."""
    ends = (OUTSTATION, MASTER) if control == FROM_MASTER else (MASTER, OUTSTATION)
    data = bytes([0xC0]) + application
    header = struct.pack("<BBBBHH", 0x05, 0x64, 5 + len(data), control, *ends)
    blocks = [data[n : n + 16] for n in range(0, len(data), 16)]
    return b"".join(block + crc(block) for block in [header, *blocks])


def analog_input(value):
    return b"\x1e\x02\x00\x00\x00\x01" + struct.pack("<h", value)


def request(number, port):
    """A read, and what the response has to be."""
    asked = frame(FROM_MASTER, bytes([0xC0 | number & 0x0F, READ]) + CLASS_1)
    return asked, answer(asked, port)


def answer(asked, port):
    """The response, or nothing if the frame is no such read."""
    if len(asked) < 13 or asked[:2] != b"\x05\x64" or not asked[3] & 0x80 or asked[12] != READ:
        return None
    return frame(FROM_OUTSTATION, asked[11:12] + bytes([RESPONSE, 0, 0]) + analog_input(asked[11] & 0x0F))


def notice(number, port):
    """An unsolicited response, which needs no request."""
    return frame(FROM_OUTSTATION, bytes([0xF0 | number & 0x0F, UNSOLICITED, 0, 0]) + analog_input(number))
