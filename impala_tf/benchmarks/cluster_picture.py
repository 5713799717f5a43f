"""Writes the predictions of --suite=cluster as CSV, and as a picture beside the paper's rows."""

import csv
import pathlib
from typing import Any

PANELS = (("frames_per_sec", "frames/s"), ("lag_mean", "policy lag, updates"), ("gbit_out", "weights sent, Gbit/s"))


def write(rows: list[dict[str, Any]], path: pathlib.Path) -> list[pathlib.Path]:
    """Writes a CSV beside `path`, and a picture where matplotlib is installed. Returns the paths of both."""
    table = path.with_suffix(".csv")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
        )
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return [table]
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(5 * len(PANELS), 4.2))
    for kind, learners in curves(rows):
        points = [row for row in rows if (row["kind"], row["learners"]) == (kind, learners)]
        for axis, (column, _) in zip(axes, PANELS, strict=True):
            label = f"{kind}, {learners} learner{'s' * (learners > 1)}"
            axis.plot([row["actors"] for row in points], [row[column] for row in points], ".-", label=label)
    published = [row for row in rows if row["paper_frames_per_sec"]]
    for kind, marker in (("calibrated", "o"), ("predicted", "*")):
        points = [row for row in published if row["kind"] == kind]
        speeds = [row["paper_frames_per_sec"] for row in points]
        label = f"the paper's rows; the model was {'calibrated on them' if kind == 'calibrated' else 'not told'}"
        axes[0].plot([row["actors"] for row in points], speeds, f"k{marker}", label=label, zorder=3)
    for axis, (_, label) in zip(axes, PANELS, strict=True):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("actors")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    picture = path.with_suffix(".png")
    figure.savefig(picture, dpi=100)
    pyplot.close(figure)
    return [table, picture]


def curves(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Returns (kind, number of learners) of each curve, without the paper's rows."""
    return list(dict.fromkeys((row["kind"], row["learners"]) for row in rows if row["kind"].endswith("costs")))
