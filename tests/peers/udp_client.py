"""A client that speaks a protocol of its own module (fins, dnp3, ...) over UDP from a pinned port."""

import argparse
import importlib
import socket
import sys
import time

import report


def answers(sock, args, expected):
    """Takes answers until there are as many as expected or the time is up; returns who sent them."""
    senders, deadline = set(), time.monotonic() + args.timeout
    while len(senders) < args.answers:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        frame, sender = sock.recvfrom(2048)
        if sender[0] == args.address:
            continue  # the own broadcast
        if frame != expected or args.answers_from not in (0, sender[1]):
            raise ValueError(f"{frame.hex()} from {sender}")
        senders.add(sender[0])
    return sorted(senders)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", required=True, help="module with the frames")
    parser.add_argument("--address", required=True, help="own address")
    parser.add_argument("--listen", help="address to listen on, 0.0.0.0 for broadcasts; else the own")
    parser.add_argument("--source-port", type=int, required=True)
    parser.add_argument("--server", required=True, help="address to ask, also a broadcast")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", type=int, default=1, help="devices that answer")
    parser.add_argument("--answers-from", type=int, default=0, help="the port that they answer from")
    parser.add_argument("--count", type=int, default=1, help="number of exchanges")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds to wait for each exchange")
    args = parser.parse_args()

    protocol = importlib.import_module(args.protocol)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind((args.listen or args.address, args.source_port))
    failed = 0
    for number in range(1, args.count + 1):
        started = time.monotonic()
        request, expected = protocol.request(number, args.port)
        try:
            sock.sendto(request, (args.server, args.port))
            outcome = {"ok": True, "value": answers(sock, args, expected)}
        except (OSError, ValueError) as error:
            outcome = {"ok": False, "error": repr(error)}
        failed += not outcome["ok"]
        report.exchange(number, started, **outcome)
    sys.exit(1 if failed else 0)


main()
