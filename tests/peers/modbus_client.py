"""A Modbus/TCP client (pymodbus): writes a register, reads it back, and says for each exchange whether that worked."""

import argparse
import sys
import time

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

import report


def exchange(client, number):
    """Alternates between reading what the server was born with and writing a value and reading it back."""
    if number % 2:
        return client.read_holding_registers(number % 50, count=1), 1000 + number % 50
    register, value = 50 + number % 50, number
    written = client.write_register(register, value)
    if written.isError():
        return written, value
    return client.read_holding_registers(register, count=1), value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="address of the server")
    parser.add_argument("--port", type=int, default=502)
    parser.add_argument("--count", type=int, default=1, help="number of exchanges")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for each answer")
    args = parser.parse_args()

    client = ModbusTcpClient(args.server, port=args.port, timeout=args.timeout, retries=0)
    failed = 0
    for number in range(1, args.count + 1):
        started = time.monotonic()
        try:
            # A connection that was cut is opened anew, as a SCADA system would.
            if not client.connected and not client.connect():
                raise ConnectionError("no connection")
            answer, expected = exchange(client, number)
            if answer.isError():
                raise ConnectionError(str(answer))
            value = answer.registers[0]
            outcome = {"ok": value == expected, "value": value}
        except (ModbusException, OSError) as error:
            client.close()
            outcome = {"ok": False, "error": str(error)}
        failed += not outcome["ok"]
        report.exchange(number, started, **outcome)
    client.close()
    sys.exit(1 if failed else 0)


main()
