"""Synthetic: CC-Link IE Field Basic, the cyclic exchange (0E70) in 3E frames. Asked by broadcast, answered by unicast.

The headers are those of real frames; of the cyclic data there is only one register.
"""

import struct

import slmp

CYCLIC = struct.pack("<HH", 0x0E70, 0)


def request(number, port):
    """Cyclic data of the master, and what each slave has to send back."""
    body = struct.pack("<H", 0) + CYCLIC + struct.pack("<HHH", 1, 0, number & 0xFFFF)
    frame = slmp.REQUEST + slmp.ROUTE + struct.pack("<H", len(body)) + body
    return frame, answer(frame, port)


def answer(frame, port):
    """Cyclic data of a slave, or nothing if the frame is not the master's."""
    if frame[:2] != slmp.REQUEST or frame[11:15] != CYCLIC or len(frame) != 21:
        return None
    body = struct.pack("<HHHH", 0, 1, 0, struct.unpack_from("<H", frame, 19)[0])
    return slmp.ANSWER + frame[2:7] + struct.pack("<H", len(body)) + body
