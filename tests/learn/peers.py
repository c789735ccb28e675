#!/usr/bin/env python3
"""Other tools on the flows of golden.tsv: how many have client and server the right way round?

Usage: peers.py FOLDER_OF_CAPTURES. Needs ndpiReader (libndpi-bin), argus (argus-server), ra (argus-client), tshark.
Each tool lists tuples; a flow is right if all of its tuples have the client first, flipped if any has it second, and
missing if there is none. tshark's conversations do not claim that the first of the two ends is the client.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", **options).stdout


def ndpi(path):
    # Its CSV leaves out what it does not recognise, and its text does not.
    text = run("ndpiReader", "-i", path, "-v", "2")
    line = r"^\s*\d+\s+(TCP|UDP) \[?([0-9a-fA-F.:]+?)\]?:(\d+) (?:<->|->) \[?([0-9a-fA-F.:]+?)\]?:(\d+) "
    for proto, src, sport, dst, dport in re.findall(line, text, re.M):
        yield proto.lower(), src, sport, dst, dport


def argus(path):
    with tempfile.NamedTemporaryFile(suffix=".argus") as records:
        run("argus", "-r", path, "-w", records.name)
        fields = "proto saddr sport daddr dport"
        text = run("ra", "-r", records.name, "-n", "-c", ",", "-s", *fields.split())
        for line in text.splitlines():
            cells = line.split(",")
            if len(cells) == 5 and cells[0] in ("tcp", "udp"):
                yield tuple(cells)


def conversations(path):
    for proto in ("tcp", "udp"):
        text = run("tshark", "-n", "-q", "-r", path, "-z", f"conv,{proto}")
        for a, b in re.findall(r"^(\S+:\d+)\s+<->\s+(\S+:\d+)", text, re.M):
            (one, port), (other, its) = a.rsplit(":", 1), b.rsplit(":", 1)
            yield proto, one, port, other, its


def fits(ports, port):
    return ports == "any" or port in ports.split(",") or ports == f"linked:{port}"


def main(folder):
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.tsv")
    rows = [line.rstrip("\n").split("\t") for line in open(golden) if not line.startswith("#")]
    rows = [row for row in rows if row[5] in ("tcp", "udp") and row[6] not in ("peer", "undecided")]
    rows = [row for row in rows if row[1] != row[3]]
    print(f"{len(rows)} flows between two addresses, with a direction")
    for name, tool in (("ndpiReader", ndpi), ("argus", argus), ("tshark conversations", conversations)):
        score, tuples = collections.Counter(), 0
        by_idiom = collections.defaultdict(collections.Counter)
        for file in sorted({row[0] for row in rows}):
            seen = list(tool(os.path.join(folder, file)))
            tuples += len(seen)
            for _, client, its, server, port, proto, idiom in (row for row in rows if row[0] == file):
                way = set()
                for kind, src, sport, dst, dport in seen:
                    if kind != proto:
                        continue
                    if (src, dst) == (client, server) and fits(its, sport) and fits(port, dport):
                        way.add("right")
                    elif (src, dst) == (server, client) and fits(its, dport) and fits(port, sport):
                        way.add("flipped")
                result = "missing" if not way else "flipped" if "flipped" in way else "right"
                score[result] += 1
                by_idiom[idiom][result] += 1
        print(f"{name}: {dict(score)}; {tuples} tuples listed")
        for idiom, counts in sorted(by_idiom.items()):
            print(f"    {idiom}: {dict(counts)}")


main(sys.argv[1])
