"""An IEC 104 controlling station (c104), connected and with its first interrogation answered when it is ready.

interrogate     a general interrogation, and its end
command on      a single command, and its confirmation. Also: off

Each value that arrives is a line: {"received": 21.0, "spontaneous": true}
"""

import argparse
import asyncio
import time

import c104

import commands
import iec104
import report

INTERROGATION_ENDED = 100, 10
COMMAND_CONFIRMED = 45, 7
POLL = 0.01

loop = None
confirmed = asyncio.Queue()


def received(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    report.line(received=point.value, spontaneous=message.cot == c104.Cot.SPONTANEOUS)
    return c104.ResponseState.SUCCESS


def arrived(connection: c104.Connection, data: bytes) -> None:
    """The stack misses a confirmation that is faster than its own bookkeeping: what arrived is the truth."""
    if len(data) > 8 and not data[2] & 1:
        kind, cause = data[6], data[8]  # 0x40 in the cause would be a refusal
        loop.call_soon_threadsafe(confirmed.put_nowait, (kind, cause))


async def confirmation(action, wanted, timeout):
    while not confirmed.empty():
        confirmed.get_nowait()
    # It blocks until it has its own opinion.
    sending = asyncio.create_task(asyncio.to_thread(action))
    try:
        async with asyncio.timeout(timeout):
            while await confirmed.get() != wanted:
                pass
        return True
    except TimeoutError:
        return False
    finally:
        await sending


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="address of the controlled station")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for each answer")
    args = parser.parse_args()

    global loop
    loop = asyncio.get_running_loop()
    client = c104.Client(tick_rate_ms=50, command_timeout_ms=300)
    connection = client.add_connection(ip=args.server, port=iec104.PORT, init=c104.Init.MUTED)
    connection.on_receive_raw(callable=arrived)
    station = connection.add_station(common_address=iec104.STATION)
    measured = station.add_point(io_address=iec104.MEASURED, type=c104.Type.M_ME_NC_1)
    measured.on_receive(callable=received)
    command = station.add_point(io_address=iec104.COMMAND, type=c104.Type.C_SC_NA_1)
    client.start()
    # Step by step: with another `init` the stack now and then stops between these, and so does its announcement.
    while connection.state != c104.ConnectionState.OPEN_MUTED:
        await asyncio.sleep(POLL)
    connection.unmute()
    while connection.state != c104.ConnectionState.OPEN:
        await asyncio.sleep(POLL)

    async def interrogate():
        return await confirmation(lambda: connection.interrogation(iec104.STATION), INTERROGATION_ENDED, args.timeout)

    if not await interrogate():
        raise SystemExit("the interrogation was not answered")
    report.ready(server=args.server)
    number = 0
    async for verb, *arguments in commands.lines():
        number, started = number + 1, time.monotonic()
        if verb == "interrogate":
            done = await interrogate()
        else:
            command.value = arguments == ["on"]
            transmit = lambda: command.transmit(cause=c104.Cot.ACTIVATION)
            done = await confirmation(transmit, COMMAND_CONFIRMED, args.timeout)
        report.exchange(number, started, ok=done)


asyncio.run(main())
