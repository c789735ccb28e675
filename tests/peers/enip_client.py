"""An EtherNet/IP client (pylogix) that writes a tag and reads it back, explicit messaging on TCP 44818."""

import argparse
import sys
import time

from pylogix import PLC

import report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="address of the server")
    parser.add_argument("--count", type=int, default=1, help="number of exchanges")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for each answer")
    args = parser.parse_args()

    failed = 0
    with PLC(args.server) as plc:
        plc.SocketTimeout = args.timeout
        for number in range(1, args.count + 1):
            started = time.monotonic()
            written = plc.Write("Level", 100 + number)
            read = plc.Read("Level")
            ok = written.Status == read.Status == "Success" and read.Value == 100 + number
            failed += not ok
            outcome = {"ok": ok, "value": read.Value} if ok else {"ok": ok, "error": f"{written}, {read}"}
            report.exchange(number, started, **outcome)
    sys.exit(1 if failed else 0)


main()
