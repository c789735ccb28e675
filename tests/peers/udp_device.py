"""A device that speaks a protocol of its own module (slmp, fins, ...) over UDP, well or as an attacker would.

ask PORT HOST PORT      sends a request from the own port
answer PORT HOST PORT   sends an answer that nobody asked for
notice PORT HOST PORT   sends a notification, if the protocol has any
"""

import argparse
import asyncio
import importlib
import socket
import time

import commands
import report


def opened(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


class Device:
    def __init__(self, args):
        self.protocol, self.args = importlib.import_module(args.protocol), args
        self.listening = {port: opened(args.listen, port) for port in args.ports}
        self.sending = {**self.listening, **{port: opened(args.listen, port) for port in args.answer_from + args.others}}

    def serve(self):
        for number, (port, sock) in enumerate(self.listening.items()):
            answering = self.sending[self.args.answer_from[number]] if self.args.answer_from else sock
            asyncio.get_running_loop().add_reader(sock, self.receive, port, sock, answering)

    def receive(self, port, sock, answering):
        frame, sender = sock.recvfrom(2048)
        answer = self.protocol.answer(frame, port)
        if answer:
            answering.sendto(answer, (self.args.answer_to or sender[0], sender[1]))

    def send(self, kind, port, host, to, number):
        if kind == "notice":
            frame = self.protocol.notice(number, int(port))
        else:
            frame = self.protocol.request(number, int(port))[kind == "answer"]
        self.sending[int(port)].sendto(frame, (host, int(to)))
        return frame.hex()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", required=True, help="module with the frames")
    parser.add_argument("--address", required=True, help="own address")
    parser.add_argument("--listen", help="address to listen on, 0.0.0.0 for broadcasts; else the own")
    parser.add_argument("--ports", type=int, nargs="+", required=True, help="ports to be asked on")
    parser.add_argument("--answer-from", type=int, nargs="+", default=[], help="as many ports, which answers come from")
    parser.add_argument("--others", type=int, nargs="+", default=[], help="ports to send from on command only")
    parser.add_argument("--answer-to", help="address that answers are sent to; else the sender's")
    args = parser.parse_args()
    args.listen = args.listen or args.address

    device = Device(args)
    device.serve()
    report.ready(protocol=args.protocol, ports=args.ports)
    number = 0
    async for kind, port, host, to in commands.lines():
        number, started = number + 1, time.monotonic()
        sent = device.send(kind, port, host, to, number)
        report.exchange(number, started, ok=True, value=sent)


asyncio.run(main())
