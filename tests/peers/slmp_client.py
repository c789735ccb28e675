"""An SLMP client (pymcprotocol) over UDP that asks one module after the other, all from one pinned source port."""

import argparse
import socket
import sys
import time

from pymcprotocol import Type3E
from pymcprotocol.mcprotocolerror import MCProtocolError

import report
import slmp

FIRST, COUNT = 10, 3


class PinnedUdp(Type3E):
    """pymcprotocol over a UDP socket that keeps its port; the stack itself knows TCP from any port alone."""

    def __init__(self, sock):
        super().__init__("Q")
        self._sock = sock

    def connect(self, ip, port):
        self._sock.connect((ip, port))
        self._is_connected = True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="own address")
    parser.add_argument("--source-port", type=int, required=True)
    parser.add_argument("--server", required=True, help="address of the modules")
    parser.add_argument("--ports", type=int, nargs="+", required=True, help="the ports of the modules")
    parser.add_argument("--count", type=int, default=1, help="number of exchanges with each module")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds to wait for each answer")
    args = parser.parse_args()

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((args.source, args.source_port))
    sock.settimeout(args.timeout)
    stack = PinnedUdp(sock)
    failed = 0
    for number, port in enumerate(args.ports * args.count, 1):
        started = time.monotonic()
        try:
            stack.connect(args.server, port)
            value = stack.batchread_wordunits(f"D{FIRST}", COUNT)
            outcome = {"ok": value == [slmp.register(port, FIRST + n) for n in range(COUNT)], "value": value}
        except (MCProtocolError, OSError) as error:
            outcome = {"ok": False, "error": repr(error)}
        failed += not outcome["ok"]
        report.exchange(number, started, **outcome)
    sys.exit(1 if failed else 0)


main()
