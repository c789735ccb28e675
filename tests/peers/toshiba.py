"""Synthetic: the computer link of Toshiba T series modules, ASCII frames. Asked on a port, answered from the next."""

import re


def request(number, port):
    """A read of one data register, and what the answer has to be."""
    frame = b"(A01DRD%04u,01)\r" % (number % 10000)
    return frame, answer(frame, port)


def answer(frame, port):
    """The answer, or nothing if the frame is no read."""
    read = re.fullmatch(rb"\(A01DRD(\d{4}),01\)\r", frame)
    return read and b"(A01DR%s)\r" % read[1]
