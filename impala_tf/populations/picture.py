"""Draws the history of a population: score and hyperparameters against frames, and where the best one comes from."""

import math
import pathlib
from collections.abc import Sequence

from impala_tf.populations.exchange import best_row
from impala_tf.populations.history import Row, ancestry

COLUMNS = 2


def draw(rows: Sequence[Row], path: pathlib.Path) -> bool:
    """Draws the rows of population.csv. Returns False without doing so where matplotlib is not installed.

    A thin line is a member. An arrow leads from the member that was copied to the one that copied it. The thick line
    is the best member's ancestry: the pieces of training that made its weights.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    names = list(rows[0].hyperparameters)
    panels = ["score", *names]
    num_rows = math.ceil(len(panels) / COLUMNS)
    figure, axes = pyplot.subplots(num_rows, COLUMNS, figsize=(6.5 * COLUMNS, 3.8 * num_rows), squeeze=False)
    members = sorted({row.member for row in rows})
    best = best_row({row.member: row for row in rows})
    line = ancestry(rows, best.member) if best else []
    for axis, panel in zip(axes.flat, panels, strict=False):
        for member in members:
            own = [row for row in rows if row.member == member]
            frames, values = [row.environment_frames for row in own], [_value(row, panel) for row in own]
            axis.plot(frames, values, linewidth=1, alpha=0.7, color=f"C{member % 10}", label=f"member {member}")
        for source, target in _copies(rows):
            axis.annotate(
                "",
                (target.environment_frames, _value(target, panel)),
                (source.environment_frames, _value(source, panel)),
                arrowprops=dict(arrowstyle="->", color="0.4", linewidth=0.6, shrinkA=0, shrinkB=0),
            )
        axis.plot(
            [row.environment_frames for row in line],
            [_value(row, panel) for row in line],
            color="black",
            linewidth=2.5,
            alpha=0.55,
            label=f"ancestry of the best, member {best.member}" if best else None,
        )
        axis.set_xlabel("environment frames of a member")
        axis.set_ylabel(panel)
        if panel != "score":
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    if len(members) <= 10:
        axes.flat[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def _value(row: Row, panel: str) -> float:
    """Returns the value of a row in a panel; nan, which is not drawn, for a member without a score."""
    value = row.score if panel == "score" else row.hyperparameters[panel]
    return value if math.isfinite(value) else math.nan


def _copies(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Returns for each copy the piece that was copied, and the piece after which the other member copied it."""
    found = []
    latest: dict[int, Row] = {}
    for row in rows:
        latest[row.member] = row
        if row.copied_from is not None and row.copied_from in latest:
            found.append((latest[row.copied_from], row))
    return found
