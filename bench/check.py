"""Whether the file that `cargo xtask bench --quick --json FILE` has written holds what it should: every figure that is
expected, and each of them more than zero. No figure is held against a bar."""

import json
import math
import sys

# Part, subject, case.
EXPECTED = {
    ("program", "empty", "floor"),
    ("program", "lookup", "udp-same-port"),
    ("program", "xdp-filter", "udp-same-port"),
    *(("program", "unspecialised", case) for case in ("udp-same-port", "udp-bacnet", "tcp-segment", "udp-ephemeral")),
    *(
        ("program", subject, case)
        for subject in ("banchi", "generation")
        for case in (
            "udp-same-port udp-answer udp-bacnet tcp-segment tcp-first udp-ephemeral udp-first udp-vlan udp-ipv6 "
            "unknown-source unknown-destination unlisted-pair unlisted-service source-port-deviation "
            "address-port-mismatch reversed-direction unsolicited-reply wrong-zone mac-mismatch arp-spoof "
            "unlisted-ethertype unlisted-protocol orphan-fragment malformed unlisted-vlan unrelated-icmp-error"
        ).split()
    ),
    *(("control", "banchi", case) for case in "read compile load prove swap memory memory-per-tuple".split()),
    ("control", "compile-only", "longest-gap"),
    ("control", "banchi", "longest-gap"),
    ("control", "banchi-apart", "longest-gap"),
    ("events", "banchi", "every-packet"),
    ("events", "banchi", "suppressed"),
    ("forward", "generator", "floor"),
    *(
        ("forward", subject, case)
        for subject in ("kernel", "redirect", "lookup-redirect", "nft-set", "nft-rules", "iptables-ipset", "iptables-rules", "banchi")
        for case in ("allowed", "flood")
    ),
    *(
        ("latency", subject, f"{load}-{part}")
        for subject in ("kernel", "banchi")
        for load in ("idle", "flood")
        for part in ("p50", "p99", "p99.9", "max")
    ),
}


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        results = json.load(file)["results"]
    found = {(row["bench"], row["subject"], row["case"]) for row in results}
    missing = sorted(EXPECTED - found)
    assert not missing, f"no figure for {missing}"
    for row in results:
        assert math.isfinite(row["value"]) and row["value"] > 0, f"no value: {row}"
        assert row["baseline"] is None or row["ratio"] > 0, f"no ratio: {row}"
    for mode in ("alert", "enforce"):
        modes = [row for row in results if (row["bench"], row["mode"]) == ("forward", mode)]
        assert modes, f"nothing is forwarded in mode {mode}"
    print(f"{len(results)} figures, all of them there and more than zero")


main(sys.argv[1])
