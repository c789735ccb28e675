"""Writes the tables of docs/benchmarks.md from docs/benchmarks.json; with `--check`, says whether they are that."""

import json
import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
SHORT = {10: "10", 100: "100", 1000: "1k", 10000: "10k", 65536: "64k", 100000: "100k", 1000000: "1M"}


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def who(row: dict) -> str:
    way = "/".join(word for word in (row["forwarding"], row["mode"]) if word)
    return f"{row['subject']} {way}".strip()


def cell(row: dict) -> str:
    ratio = f" ({row['ratio']:.2f})" if row["ratio"] is not None else ""
    lost = f", {row['loss']:.2%} lost" if row.get("loss") else ""
    return f"{number(row['value'])}{ratio}{lost}"


def table(rows: list[dict], line, column, head: str) -> str:
    """One line for each value of `line`, one column for each of `column`, in the order of the results."""
    lines, columns, cells = [], [], {}
    for row in rows:
        at = line(row), column(row)
        lines += [at[0]] if at[0] not in lines else []
        columns += [at[1]] if at[1] not in columns else []
        cells[at] = cell(row)
    text = f"| {head} | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}\n"
    for name in lines:
        text += f"| {name} | {' | '.join(cells.get((name, other), '') for other in columns)} |\n"
    return text


def size(row: dict) -> str:
    count = SHORT.get(row["tuples"], str(row["tuples"] or ""))
    return f"{count}, all" if row["bench"] == "program" and row["distribution"] == "uniform" else count


def spread(rows: list[dict]) -> str:
    spreads = sorted(row["spread"] for row in rows if row["spread"] is not None)
    return f"\nSpread: {spreads[len(spreads) // 2]:.0%} in the middle, {spreads[-1]:.0%} at most.\n"


def tables(report: dict) -> dict[str, str]:
    def of(bench: str) -> list[dict]:
        return [row for row in report["results"] if row["bench"] == bench]

    machine = report["machine"]
    program, forward, latency, control = of("program"), of("forward"), of("latency"), of("control")
    peers = [row for row in program if row["subject"] in ("empty", "xdp-filter")][:2]
    sized = [row for row in program if row["subject"] not in ("empty", "xdp-filter") and row["mode"] != "alert"]
    cases = [row for row in sized if row["tuples"] == 1000 and row["distribution"] == "hot"]
    first = {(row["case"], who(row)): row for row in reversed(cases)}
    by_size = [row for row in sized if (row["case"], "banchi") != ("floor", row["subject"])]
    deviations = {row["case"] for row in program} - {row["case"] for row in program if row["tuples"] == 65536}
    by_size = [row for row in by_size if row["case"] not in deviations and row["subject"] in ("lookup", "banchi")]
    fixed = " and ".join(f"{row['subject']} {number(row['value'])} ns" for row in peers)
    return {
        "machine": f"{machine['processor']}, {machine['processors']} CPUs, Linux {machine['kernel']}; "
        f"load {machine['load']} when it began.\n",
        "program": f"In nanoseconds, in brackets the ratio to xdp-filter. In the same run: {fixed}.\n\n"
        + table([first[key] for key in {(row["case"], who(row)): 0 for row in cases}], lambda row: row["case"], who, "case")
        + spread(program),
        "sizes": table(by_size, lambda row: f"{row['case']}, {who(row)}", size, "tuples"),
        "control": table(control, lambda row: f"{row['case']}, {who(row)} ({row['unit']})", size, "tuples")
        + spread(control),
        "events": table(of("events"), lambda row: row["case"], lambda row: f"{who(row)}, a second", "case"),
        "forward": "In nanoseconds, in brackets the ratio to the kernel alone.\n\n"
        + table(forward, lambda row: f"{who(row)} {size(row)}".strip(), lambda row: row["case"], "gateway")
        + spread(forward),
        "latency": "In microseconds, in brackets the ratio to the kernel alone.\n\n"
        + table(latency, who, lambda row: row["case"], "gateway")
        + spread(latency),
    }


def main() -> None:
    page = DOCS / "benchmarks.md"
    text = old = page.read_text(encoding="utf-8")
    for name, body in tables(json.loads((DOCS / "benchmarks.json").read_text(encoding="utf-8"))).items():
        start, end = f"<!-- {name}: written by bench/page.py -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(start)
        _, tail = rest.split(end)
        text = f"{head}{start}\n{body}\n{end}{tail}"
    if "--check" in sys.argv:
        assert text == old, "docs/benchmarks.md is stale: python3 bench/page.py"
    page.write_text(text, encoding="utf-8")


main()
