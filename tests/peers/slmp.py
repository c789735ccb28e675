"""SLMP (MC protocol) 3E frames in binary, as a module sees them: batch read (0401) of the data registers D.

Written from the published frame layout, independently of the stack that the client uses.
"""

import struct

REQUEST, ANSWER = b"\x50\x00", b"\xd0\x00"
ROUTE = bytes([0x00, 0xFF, 0xFF, 0x03, 0x00])  # this network, this station, its own CPU
BATCH_READ, WORDS = 0x0401, 0x0000
DATA_REGISTER = 0xA8
REGISTERS = 100
WRONG_COMMAND, OUT_OF_RANGE = 0xC059, 0xC056


def register(port, number):
    """What register `number` of the module on `port` holds: no two modules have the same."""
    return (port + number) & 0xFFFF


def request(number, port):
    """A batch read of one register, and what the answer has to be."""
    number %= REGISTERS
    device = number.to_bytes(3, "little") + bytes([DATA_REGISTER])
    body = struct.pack("<HHH", 4, BATCH_READ, WORDS) + device + struct.pack("<H", 1)
    frame = REQUEST + ROUTE + struct.pack("<H", len(body)) + body
    return frame, answer(frame, port)


def answer(frame, port):
    """The answer of the module on `port`, or nothing if the frame is no request."""
    if frame[:2] != REQUEST or len(frame) < 15 or struct.unpack_from("<H", frame, 7)[0] != len(frame) - 9:
        return None
    code, words = 0, b""
    if struct.unpack_from("<HH", frame, 11) != (BATCH_READ, WORDS) or len(frame) != 21 or frame[18] != DATA_REGISTER:
        code = WRONG_COMMAND
    else:
        first, count = int.from_bytes(frame[15:18], "little"), struct.unpack_from("<H", frame, 19)[0]
        if first + count > REGISTERS:
            code = OUT_OF_RANGE
        else:
            words = b"".join(struct.pack("<H", register(port, first + n)) for n in range(count))
    if code:  # An error repeats whom it is from and what was asked.
        words = frame[2:7] + frame[11:15]
    return ANSWER + frame[2:7] + struct.pack("<HH", 2 + len(words), code) + words
