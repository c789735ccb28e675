"""An EtherNet/IP server (cpppo) with one tag, Level, on TCP 44818."""

import argparse

from cpppo.server.enip.main import main as enip

import report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="address to listen on")
    args = parser.parse_args()

    told = []

    def idle():
        """Called when the server waits for the next connection."""
        if not told:
            told.append(report.ready(listen=args.listen))

    enip(["--no-udp", "--address", f"{args.listen}:44818", "Level=DINT[10]"], idle_service=idle)


main()
