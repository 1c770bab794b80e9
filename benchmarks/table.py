"""Tables made of the workloads' JSON lines, with the ratio to the ceiling and to the peers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.catalogue import WORKLOADS, Workload
from benchmarks.peers.catalogue import MEMORY_ONLY

Row = dict[str, Any]

HEAD = (
    "",
    "who",
    "median",
    "least to most",
    "p99 ms",
    "of limit",
    "x best peer",
    "MB",
    "foreign",
    "besides",
)

#: what is shown besides, and how
BESIDES = {
    "relative_cost": "{:.2f} of the small case's time each",
    "relative_bytes": "{:.2f} of the messages' bytes",
    "relative_python": "{:.2f} of its Python",
    "commands_per_step": "{:.1f} commands a step",
    "scripts_per_step": "in {:.2f} scripts",
    "round_trips_per_step": "{:.3f} round trips",
    "python_us_per_step": "{:.0f} us of Python",
    "longest_call_ms": "{:.1f} ms at most in one call",
}


def related(rows: list[Row], ceiling: float) -> list[Row]:
    """
    Give the rows with `ratio_to_limit` and, for stepflow's, `ratio_to_best_peer`; above 1 is better
    than the peer.
    """
    return [row | _ratios(row, rows, ceiling) for row in rows]


def _ratios(row: Row, rows: list[Row], ceiling: float) -> Row:
    workload = WORKLOADS[row["workload"]]
    mine = row[workload.figure]
    peers = [
        other for other in rows if other["workload"] == row["workload"] and _is_durable_peer(other)
    ]
    best = _best(workload, peers) if row["peer"].startswith("stepflow") and peers else None
    found: Row = {"ratio_to_limit": round(mine / ceiling, 3) if workload.bounded else None}
    if best is None:
        return found | {"ratio_to_best_peer": None, "best_peer": None}
    theirs = best[workload.figure]
    ratio = mine / theirs if workload.rises else theirs / mine
    return found | {"ratio_to_best_peer": round(ratio, 2), "best_peer": best["peer"]}


def _is_durable_peer(row: Row) -> bool:
    return not row["peer"].startswith(("stepflow", *MEMORY_ONLY))


def _best(workload: Workload, rows: list[Row]) -> Row:
    return (max if workload.rises else min)(rows, key=lambda row: row[workload.figure])


def lines(rows: list[Row]) -> Iterable[str]:
    """Give the table's lines: by workload, stepflow first, then the peers, the best first."""
    cells = [HEAD, *(_cells(row) for name in WORKLOADS for row in _in_order(name, rows))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    for at, line in enumerate(cells):
        yield (
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            + " |"
        )
        if not at:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def _in_order(name: str, rows: list[Row]) -> list[Row]:
    workload = WORKLOADS[name]
    found = [row for row in rows if row["workload"] == name]
    ours = [row for row in found if row["peer"].startswith("stepflow")]
    peers = [row for row in found if not row["peer"].startswith("stepflow")]
    return ours + sorted(peers, key=lambda row: row[workload.figure], reverse=workload.rises)


def _cells(row: Row) -> tuple[str, ...]:
    workload = WORKLOADS[row["workload"]]
    low, high = _spread(row, workload.figure)
    besides = [
        shown.format(row[name]) for name, shown in BESIDES.items() if row.get(name) is not None
    ]
    memory_only = row["peer"].startswith(MEMORY_ONLY)
    return (
        row["workload"],
        row["peer"] + (" (memory only)" if memory_only else ""),
        f"{_number(row[workload.figure])} {workload.unit}",
        f"{_number(low)} to {_number(high)}",
        _number(row["p99_ms"]),
        _number(row["ratio_to_limit"]),
        _number(row.get("ratio_to_best_peer")),
        "" if row["rss_mb"] is None else f"{row['rss_mb']:.0f}",
        f"{row['foreign_cpu']:.2f}",
        ", ".join(besides),
    )


def _spread(row: Row, figure: str) -> tuple[float, float]:
    if figure == "seconds":
        return row["n"] / row["per_s_max"], row["n"] / row["per_s_min"]
    stem = figure.removesuffix("_ms")
    return row.get(f"{stem}_min", row[figure]), row.get(f"{stem}_max", row[figure])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
