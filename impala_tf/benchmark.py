"""Measures how fast a flag file's settings run, and where the time goes.

  python -m impala_tf.benchmark --suite=ceilings
  python -m impala_tf.benchmark --suite=architectures --num_actors=8 --num_envs_per_actor=4
  python -m impala_tf.benchmark --suite=scaling --flagfile=flags/cartpole.flags
  python -m impala_tf.benchmark --suite=cluster --cluster_actors=100,1000 --cluster_learners=1,4
  python -m impala_tf.benchmark --suite=ceilings --compare=runs/benchmark-ceilings-OLD.json

ceilings: each component alone, a training run, and the share of the ceiling that the run reaches.
architectures: the single-machine rows of the paper's table 1, on two tasks (environments/small/episode_lengths.py).
backends: threads, processes and Ray on CartPole, Pong and a slow Python environment, and what their transport costs.
single: one environment per actor, 4 and 16 actors, with and without dynamic batching.
scaling: frames/s and policy lag against actors, environments, unroll length and batch size; CSV and a picture.
cluster: what many actors and learners would do, by a model, beside the paper's rows; CSV and a picture.

Each figure is the median of --repeats measurements of --secs seconds. They are written as JSON after every row, with a
description of the machine, so that Ctrl-C loses nothing.
"""

import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterable
from typing import Any

import tqdm
from absl import flags

from impala_tf import config as config_lib
from impala_tf.config import SettingError
from impala_tf.settings.cluster_model import ClusterModelSettings
from impala_tf.support import command_line, signals
from impala_tf.support.startup import import_tensorflow

# Rows are compared by the first of these columns that they have.
FIGURES = ("steps_per_sec", "frames_per_sec")
HIDDEN = ("bottleneck", "to_parts", "setting", "value")  # These are in JSON only, or printed otherwise.


def table(rows: list[dict[str, Any]]) -> str:
    """Formats the rows as a table; its columns stand in the order in which the names appear."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in HIDDEN and not name.endswith("run")))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def comparison(rows: list[dict[str, Any]], old: dict[str, Any]) -> str:
    """Compares rows with those of an earlier result that have the same names: new / old."""
    before = {row["name"]: row for row in old["rows"]}
    lines = []
    for row in rows:
        for figure in FIGURES:
            if figure in row and figure in before.get(row["name"], {}):
                ratio = row[figure] / before[row["name"]][figure]
                lines.append(f"{row['name']}: {ratio:.2f} times {before[row['name']][figure]:,.0f} {figure}")
                break
    return "\n".join(lines) or "no row in common"


def read_old(path: str, suite: str) -> dict[str, Any]:
    """Reads an earlier result. Raises SettingError where there is no such file, or it is of another suite."""
    try:
        old = json.loads(pathlib.Path(path).read_text())
        if old["suite"] != suite:
            raise SettingError(f"--compare={path}: is of --suite={old['suite']}, not {suite}")
        for row in old["rows"]:
            float(row[next(figure for figure in FIGURES if figure in row)])
            str(row["name"])
    except SettingError:
        raise
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise SettingError(f"--compare={path}: is not a result of this command ({error})") from None
    return old


def output_path(given: str, suite: str) -> pathlib.Path:
    """Returns the path of the result, by default of a new file. Raises SettingError where it cannot be written."""
    path = pathlib.Path(given or f"runs/benchmark-{suite}-{time.strftime('%Y%m%d-%H%M%S')}.json")
    if path.suffix != ".json" or path.is_dir():
        raise SettingError(f"--output={path}: must be a .json file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"--output={path}: cannot be written ({error.strerror})") from None
    if not os.access(path.parent, os.W_OK):
        raise SettingError(f"--output={path}: its directory cannot be written")
    return path


def collect(rows: Iterable[dict[str, Any]], result: dict[str, Any], path: pathlib.Path) -> None:
    """Appends the rows one by one to result["rows"], prints each, and writes all so far. Ends early on a signal."""
    started = time.perf_counter()
    with (
        signals.requests("finishing the row in hand; what was measured is kept") as request,
        tqdm.tqdm(unit="rows", disable=None) as bar,
    ):
        for row in rows:
            result["rows"].append(row)
            result["secs_in_all"] = round(time.perf_counter() - started, 1)
            path.write_text(json.dumps(result, indent=2) + "\n")
            bar.update()
            tqdm.tqdm.write(table([row]).splitlines()[-1], file=sys.stderr)
            if request.made:
                break


def main() -> None:
    values = flags.FLAGS
    config = command_line.config_from_flags()
    cluster_settings = command_line.from_flags(ClusterModelSettings)
    old = read_old(values.compare, values.suite) if values.compare else None

    from impala_tf import environments

    environments.spec_of(config)
    path = output_path(values.output, values.suite)
    import_tensorflow()
    from impala_tf.benchmarks import PICTURES, SUITES, cluster, measure

    suites = SUITES | {"cluster": functools.partial(cluster.rows, settings=cluster_settings)}
    machine = measure.describe_machine()
    result: dict[str, Any] = dict(
        suite=values.suite,
        machine=machine,
        secs=values.secs,
        repeats=values.repeats,
        settings=config_lib.to_flag_lines(config),
        rows=[],
    )
    collect(suites[values.suite](config, values.secs, values.repeats), result, path)
    rows = result["rows"]
    print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, GPU: {machine['gpu'] or 'none'}, "
        f"TensorFlow {machine['versions']['tensorflow']}, commit {machine['commit']}, {machine['date']}\n"
        f"{table(rows)}"
    )
    for row in rows:
        if "efficiency" in row:
            parts = ", ".join(f"{ratio:.2f} of the {name}" for name, ratio in row["to_parts"].items())
            print(f"efficiency {row['efficiency']:.2f}; the whole is {parts}\n{row['bottleneck']}")
    if values.suite == "cluster":
        print(cluster.advice(rows))
    written = [path, *(PICTURES[values.suite](rows, path) if values.suite in PICTURES and rows else [])]
    if old:
        print(comparison(rows, old))
    print(f"written to {', '.join(map(str, written))}")


if __name__ == "__main__":
    command_line.define_config_flags()
    flags.DEFINE_enum(
        "suite",
        "ceilings",
        ["ceilings", "architectures", "backends", "single", "scaling", "cluster"],
        "What is measured, see above.",
    )
    flags.DEFINE_integer("repeats", 3, "How many measurements the median is taken of.", lower_bound=1)
    flags.DEFINE_float("secs", 3.0, "Seconds of one measurement.", lower_bound=0.1)
    flags.DEFINE_string("output", "", "JSON file. Empty: a new one in runs/.")
    flags.DEFINE_string("compare", "", "JSON file of an earlier run; prints the ratios to it.")
    command_line.define_flags(ClusterModelSettings)
    command_line.run_main(main, usage=__doc__, groups=(*config_lib.GROUPS, ClusterModelSettings))
