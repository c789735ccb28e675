"""Synthetic: Omron FINS over UDP, memory area read (0101) of one word of the DM area. From the published layout."""

import struct

READ, DM_WORD = b"\x01\x01", 0x82
COMMAND, RESPONSE = 0x80, 0xC0
NODES = 1, 5  # destination and source: those that the addresses give do not matter here


def request(number, port):
    """A command, and what the response has to be."""
    header = bytes([COMMAND, 0, 2, 0, NODES[0], 0, 0, NODES[1], 0, number & 0xFF])
    frame = header + READ + struct.pack(">BHBH", DM_WORD, number & 0x7FFF, 0, 1)
    return frame, answer(frame, port)


def answer(frame, port):
    """The response, or nothing if the frame is no such command."""
    if len(frame) != 18 or frame[0] & 0xC0 != COMMAND or frame[10:12] != READ:
        return None
    back = bytes([RESPONSE, 0, 2]) + frame[6:9] + frame[3:6] + frame[9:10]
    return back + READ + b"\0\0" + frame[13:15]
