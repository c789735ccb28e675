"""Synthetic: the MELSOFT search. Asked and answered by broadcast to 255.255.255.255; only the headers are real."""

HEADER = bytes.fromhex("0000001111070000ffff030000fe030000")
SEARCH, FOUND = b"\x57", b"\xd7"


def request(number, port):
    """A search, and what a module has to send back."""
    frame = SEARCH + number.to_bytes(1, "big") + HEADER + bytes.fromhex("14001c080a08") + bytes(16)
    return frame, answer(frame, port)


def answer(frame, port):
    """The answer of a module, or nothing if the frame is no search."""
    if frame[:1] != SEARCH or frame[2 : 2 + len(HEADER)] != HEADER:
        return None
    return FOUND + frame[1:2] + HEADER + bytes.fromhex("16001c080a08") + bytes(18)
