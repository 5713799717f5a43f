"""Aggregates several runs: interquartile mean with stratified bootstrap intervals (Agarwal et al. 2021)."""

import importlib
import pathlib
from typing import Any

import numpy as np

from impala_tf.config import SettingError

NUM_RESAMPLES = 2000


def check_installed(several: bool, picture: bool) -> None:
    """Raises SettingError that names the extra to install.

    several: whether several exports are aggregated. picture: whether a picture is drawn.
    """
    for flag, package, needed, extra in (
        ("saved_model", "scipy", several, "evaluation"),
        ("picture", "matplotlib", picture, "plots"),
    ):
        try:
            if needed:
                importlib.import_module(package)
        except ImportError:
            raise SettingError(f"--{flag}: {package} is not installed: pip install 'impala_tf[{extra}]'") from None


def aggregate(scores: np.ndarray, seed: int) -> dict[str, dict]:
    """Returns the estimate and the 95 % interval of three numbers, by name.

    iqm: mean of the middle half of all scores.
    median, mean: median and mean over tasks of each task's mean over runs, as in the paper's table 4.

    The bootstrap draws runs anew within each task. A single run leaves nothing to draw: the interval is None.

    scores: [num_runs, num_tasks] float, scores of the exports.
    seed: seed of the bootstrap.
    """
    from scipy import stats

    num_runs, num_tasks = scores.shape
    draws = np.random.default_rng(seed).integers(num_runs, size=(NUM_RESAMPLES, num_runs, num_tasks))
    resampled = np.take_along_axis(np.broadcast_to(scores, draws.shape), draws, axis=1)

    def estimates_of(x: np.ndarray) -> dict[str, np.ndarray]:
        """Returns estimates [...] of scores x, [..., num_runs, num_tasks]."""
        task_means = x.mean(axis=-2)
        iqm = stats.trim_mean(x.reshape(*x.shape[:-2], -1), 0.25, axis=-1)
        return dict(iqm=iqm, median=np.median(task_means, axis=-1), mean=task_means.mean(axis=-1))

    intervals = {name: np.percentile(values, [2.5, 97.5]) for name, values in estimates_of(resampled).items()}
    return {
        name: dict(estimate=float(value), interval_95=[float(x) for x in intervals[name]] if num_runs > 1 else None)
        for name, value in estimates_of(scores).items()
    }


def matrix(results: list[dict], score: str) -> np.ndarray:
    """Returns the scores of all exports as [num_runs, num_tasks] float.

    results: results of `reports.result_of`.
    score: "mean" or "normalised", the name of the number of each task.

    Raises SettingError when a task has fewer runs than another.
    """
    by_task: dict[str, list[float]] = {}
    for result in results:
        for task, statistics in result["tasks"].items():
            by_task.setdefault(task, []).append(statistics[score])
    counts = {task: len(scores) for task, scores in by_task.items()}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{count} of {task}" for task, count in counts.items())
        raise SettingError(f"--saved_model: give the same number of runs of each task; given: {text}")
    return np.array(list(by_task.values())).T


def draw(results: list[dict], aggregated: dict[str, Any] | None, path: pathlib.Path) -> None:
    """Draws a dot with its interval for each run and task, and below them the aggregate over all runs if there is one.

    aggregated: result of `reports.aggregate_results`, or None.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [
        (f"{pathlib.Path(result['saved_model']).parent.name}  {task}", statistics["mean"], statistics["interval_95"])
        for result in results
        for task, statistics in result["tasks"].items()
    ]
    panels = 1 if aggregated is None else 2
    figure, axes = plt.subplots(
        panels, 1, figsize=(8, 1.6 + 0.35 * len(rows) + 1.2 * (panels - 1)), squeeze=False,
        gridspec_kw={"height_ratios": [max(2, len(rows)), 2.5][:panels]},
    )  # fmt: skip
    _draw_dots(axes[0, 0], rows, "mean return of an episode, 95 % interval")
    if aggregated is not None:
        what = "normalised score" if aggregated["score"] == "normalised" else "return"
        summary = [(name, x["estimate"], x["interval_95"]) for name, x in aggregated["aggregate"].items()]
        _draw_dots(axes[1, 0], summary, f"{what} over runs and tasks, 95 % interval")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_dots(axis, rows: list[tuple], label: str) -> None:
    """Draws a line of the picture for each row (name, value, interval or None)."""
    for i, (_, value, interval) in enumerate(rows):
        if interval:
            axis.plot(interval, [i, i], color="tab:blue", linewidth=6, alpha=0.35, solid_capstyle="butt")
        axis.plot(value, i, "o", color="tab:blue")
        axis.annotate(f"{value:.4g}", (value, i), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
    axis.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axis.set_ylim(len(rows) - 0.4, -0.8)
    axis.set_xlabel(label)
    axis.grid(axis="x", alpha=0.3)
