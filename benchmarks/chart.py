"""The picture of the benchmarks: time for each megapixel against size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from benchmarks import probe
from benchmarks.common import OURS

LEAST_SIZES = 2
COLUMNS = 3
# One colour for each kind of peer, whatever else stands in its name; from Okabe and Ito's palette.
COLOURS = {
    OURS: "#d55e00",
    "torch": "#0072b2",
    "scipy": "#009e73",
    "FFTW": "#cc79a7",
    "scikit-image": "#e69f00",
    "OpenCV": "#56b4e9",
}
FLOOR = "#888888"


def draw(results: dict[str, Any], path: Path) -> Path | None:
    """Draw one field for each group that was measured in several sizes; None where there is none, or no matplotlib."""
    groups = {name: rows for name in _groups(results) if len(rows := _squares(results, name)) >= LEAST_SIZES}
    try:
        import matplotlib
    except ImportError:
        return None
    if not groups:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {"svg.hashsalt": "imgrestore", "svg.fonttype": "path", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    columns = min(COLUMNS, len(groups))
    lines = math.ceil(len(groups) / columns)
    with pyplot.rc_context(style):
        figure, fields = pyplot.subplots(
            lines, columns, figsize=(0.4 + 3.6 * columns, 0.4 + 3.6 * lines), squeeze=False, layout="constrained"
        )
        for field in fields.flat[len(groups) :]:
            field.axis("off")
        for field, (name, rows) in zip(fields.flat, groups.items(), strict=False):
            _field(field, name, rows, results.get("roofline"))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)
    return path


def _groups(results: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["group"] for row in results["comparisons"]))


def _squares(results: dict[str, Any], group: str) -> list[dict[str, Any]]:
    rows = [row for row in results["comparisons"] if row["group"] == group and _side(row)]
    return sorted(rows, key=_side)


def _side(row: dict[str, Any]) -> int:
    """Of a gray square; 0 of anything else."""
    height, *rest = (int(n) for n in row["size"].split(" × "))
    return height if rest == [height] else 0


def _field(field: Any, group: str, rows: list[dict[str, Any]], roofline: dict[str, Any] | None) -> None:
    sides = [_side(row) for row in rows]
    seen: list[str] = []
    for name in dict.fromkeys(name for row in rows for name in row["calls"]):
        points = [(_side(row), _scaled(row, row["calls"][name]["median"])) for row in rows if name in row["calls"]]
        ours, colour = name == OURS, _colour(name)
        style = {"color": colour, "linewidth": 2.4 if ours else 1.2, "zorder": 3 if ours else 2}
        dashes = "--" if colour in seen else "-"
        field.plot(*zip(*points, strict=True), dashes, marker="o", markersize=4 if ours else 3, label=name, **style)
        seen.append(colour)
    if roofline and all(row["work"] for row in rows):
        floor = [_scaled(row, probe.floor_seconds(roofline, **row["work"])[0]) for row in rows]
        field.plot(sides, floor, ":", color=FLOOR, linewidth=1.2, label="floor of this machine")
    field.set(xscale="log", yscale="log", title=group, xlabel="side, pixels")
    field.set_ylabel("ms a megapixel and step" if rows[0]["steps"] > 1 else "ms a megapixel")
    field.set_xticks(sides, [str(side) for side in sides])
    field.minorticks_off()
    field.yaxis.set_major_formatter("{x:g}")
    under = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)}
    field.legend(**under, fontsize=7.5, ncols=2, frameon=False, columnspacing=1, handlelength=1.8)


def _scaled(row: dict[str, Any], seconds: float) -> float:
    return 1e3 * seconds / row["steps"] / (row["pixels"] / 1e6)


def _colour(name: str) -> str:
    return next((colour for part, colour in COLOURS.items() if part.lower() in name.lower()), "#000000")
