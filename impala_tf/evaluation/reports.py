"""Prints the statistics of an export's episodes and writes them as JSON."""

import json
import pathlib
from typing import Any

import numpy as np

from impala_tf.environments import suites
from impala_tf.evaluation import aggregate
from impala_tf.records.files import write_text


def result_of(description: dict[str, Any], tasks: dict[str, dict]) -> dict[str, Any]:
    """Returns one export's result: statistics by task, and at the top those of its one task, or normalised scores.

    description: description of what was played, and how.
    tasks: statistics of each task's episodes, by its id; see `playing.episode_statistics`.
    """
    for task, statistics in tasks.items():
        normalised = suites.normalised(task, statistics["mean"])
        if not np.isnan(normalised):
            statistics["normalised"] = normalised
    if len(tasks) < 2:  # There is none if the evaluation was stopped before an episode had ended.
        summary = next(iter(tasks.values()), {})
    else:
        scores = suites.summarise({task: statistics["mean"] for task, statistics in tasks.items()})._asdict()
        summary = {f"normalised_{name}": score for name, score in scores.items() if not np.isnan(score)}
    return description | summary | dict(tasks=tasks)


def aggregate_results(results: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Aggregates several exports: their normalised scores, where all tasks have one, or else their returns.

    seed: seed of the bootstrap.
    """
    all_statistics = [statistics for result in results for statistics in result["tasks"].values()]
    score = "normalised" if all("normalised" in statistics for statistics in all_statistics) else "mean"
    return dict(score=score, aggregate=aggregate.aggregate(aggregate.matrix(results, score), seed))


def print_result(result: dict[str, Any]) -> None:
    """Prints three lines for each task, and one for the normalised scores of several."""
    actions = "greedy" if result["greedy"] else "sampled"
    for task, x in result["tasks"].items():
        normalised = f", normalised {x['normalised']:.3f}" if "normalised" in x else ""
        print(
            f"{task}, {actions} actions, protocol {result['protocol']}, {x['num_episodes']} episodes\n"
            f"return: mean {x['mean']:.2f}, standard error {x['standard_error']:.2f}, "
            f"95 % interval [{x['interval_95'][0]:.2f}, {x['interval_95'][1]:.2f}], "
            f"min {x['min']:g}, max {x['max']:g}{normalised}\n"
            f"length: mean {x['length_mean']:.1f}, min {x['length_min']}, max {x['length_max']} steps"
        )
    if "normalised_mean" in result:
        print(
            f"{len(result['tasks'])} tasks, normalised: mean {result['normalised_mean']:.3f}, "
            f"median {result['normalised_median']:.3f}, mean of scores capped at 1 "
            f"{result['normalised_mean_capped']:.3f}"
        )


def print_aggregate(aggregated: dict[str, Any]) -> None:
    """Prints a line for each estimate of `aggregate_results`."""
    what = "normalised scores" if aggregated["score"] == "normalised" else "returns"
    print(f"all exports, of the {what}:")
    for name, x in aggregated["aggregate"].items():
        low_high = x["interval_95"]
        interval = f", 95 % interval [{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else " (one run: no interval)"
        print(f"  {name} {x['estimate']:.3f}{interval}")


def write_json(content: dict[str, Any], path: pathlib.Path) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
    print(f"written to {path}")
