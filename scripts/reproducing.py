"""What the reproduce_*.py share: runs that can be resumed, their table, their curves and the picture.

An experiment is trained and evaluated under --runs (default runs/reproduce), a directory for each seed. A directory
with a finished run is not trained again, one with a checkpoint goes on. Then everything found there is collected into
--results (default docs/results), where rows of other runs stay as they are: NAME.csv has a row for each seed,
NAME_curves.csv the learning curves, NAME_info.json the commands and the machine, NAME.png the curves with published
results.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
CURVE_ROWS = 150  # Of a seed.
CURVE_COLUMNS = (
    "environment_frames", "seconds", "episode_return_last_100", "mean_entropy", "policy_lag_mean", "ratio_max",
    "gradient_norm",
)  # fmt: skip


class Experiment(NamedTuple):
    """A run that is repeated with several seeds.

    flags: of impala_tf.experiment. milestones: agent steps at which the return is reported, with what is to be
    reached there. action_repeat: frames of an agent step.
    """

    name: str
    title: str
    flags: tuple[str, ...]
    milestones: dict[int, float]
    action_repeat: int


def read(path: pathlib.Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def write(path: pathlib.Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def append(path: pathlib.Path, rows: list[dict]) -> None:
    """Adds rows to a table, which is made where there is none."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def call(*command: str) -> None:
    """Runs python with these arguments; a Ctrl-C, which the process gets too, lets it end in its own way."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    if code:
        sys.exit(code)


def train(flags: tuple[str, ...], seed: int, logdir: pathlib.Path) -> None:
    """One run in a process of its own. Exits when it was stopped before its budget was used."""
    call("-m", "impala_tf.experiment", *flags, f"--seed={seed}", f"--logdir={logdir}")
    settings = (logdir / "settings.flags").read_text().splitlines()
    (budget,) = (int(line.partition("=")[2]) for line in settings if line.startswith("--total_environment_frames="))
    frames = int(read(logdir / "metrics.csv")[-1]["environment_frames"])
    if frames < budget:
        sys.exit(f"{logdir}: was stopped after {frames:,} of {budget:,} frames; start again to go on")


def evaluate(model: pathlib.Path, name: str, *flags: str) -> dict:
    """An evaluation of an export in a process of its own: its JSON, kept beside the export as evaluation_NAME.json."""
    kept = model.with_name(f"evaluation_{name}.json")
    if not kept.exists():
        output = kept.with_suffix(".tmp")
        call("-m", "impala_tf.evaluate", f"--saved_model={model}", f"--output={output}", *flags)
        output.replace(kept)
    return json.loads(kept.read_text())


def run(experiment: Experiment, seed: int, runs: pathlib.Path, num_episodes: int) -> None:
    """Trains, or goes on with, one seed; evaluates its export over `num_episodes`, sampled and greedy."""
    logdir = runs / experiment.name / f"seed{seed}"
    finished = logdir / "evaluation.json"
    if finished.exists():
        return
    train((*experiment.flags, "--log_every_secs=10"), seed, logdir)
    model = logdir / "saved_model"
    episodes = f"--num_episodes={num_episodes}"
    result = dict(sampled=evaluate(model, "sampled", episodes), greedy=evaluate(model, "greedy", episodes, "--greedy"))
    finished.write_text(json.dumps(result, indent=2) + "\n")


def collect(experiment: Experiment, runs: pathlib.Path) -> tuple[list[dict], list[dict]]:
    """Rows of the table and of the curves of every finished seed."""
    table, curves = [], []
    for logdir in sorted((runs / experiment.name).glob("seed*")):
        if not (logdir / "evaluation.json").exists():
            continue
        seed = int(logdir.name.removeprefix("seed"))
        metrics = read(logdir / "metrics.csv")
        table.append(summarise(experiment, seed, metrics, json.loads((logdir / "evaluation.json").read_text())))
        stride = -(-len(metrics) // CURVE_ROWS)
        tasks = [name for name in metrics[0] if name.startswith(("return/", "normalised_"))]
        for row in [*metrics[:-1:stride], metrics[-1]]:
            chosen = {name: row[name] for name in (*CURVE_COLUMNS, *tasks)}
            curves.append({"experiment": experiment.name, "seed": seed} | chosen)
    return table, curves


def with_earlier(path: pathlib.Path, rows: list[dict], experiments: list[Experiment]) -> list[dict]:
    """Returns the rows in the order of the experiments, with those that the file has of other runs."""

    def run_of(row: dict) -> tuple[str, int]:
        return row["experiment"], int(row["seed"])

    new = {run_of(row) for row in rows}
    names = [experiment.name for experiment in experiments]
    earlier = [row | dict(seed=int(row["seed"])) for row in read(path) if row["experiment"] in names]
    both = [*(row for row in earlier if run_of(row) not in new), *rows]
    return sorted(both, key=lambda row: (names.index(row["experiment"]), row["seed"]))


def summarise(experiment: Experiment, seed: int, metrics: list[dict[str, str]], evaluation: dict) -> dict:
    last = metrics[-1]
    row = {
        "experiment": experiment.name,
        "seed": seed,
        "agent_steps": int(last["environment_frames"]) // experiment.action_repeat,
        "updates": last["updates"],
        "training_secs": f"{float(last['seconds']):.0f}",
        "steps_per_sec": f"{int(last['environment_frames']) / experiment.action_repeat / float(last['seconds']):.0f}",
        "final_mean_return": f"{float(last['episode_return_last_100']):.4g}",
    }
    reached = []
    for steps, bar in experiment.milestones.items():
        rows = [r for r in metrics if int(r["environment_frames"]) <= steps * experiment.action_repeat * 1.001]
        reached.append(f"{float(rows[-1]['episode_return_last_100']):.4g} at {steps / 1e6:g}M (bar {bar:g})")
    row["milestones"] = "; ".join(reached)
    played = next(iter(evaluation["sampled"].get("tasks", {"": evaluation["sampled"]}).values()))
    row["evaluation_episodes"] = played.get("num_episodes", "")
    for name in ("sampled", "greedy"):
        result = evaluation[name]
        if "mean" in result:
            low, high = result["interval_95"]
            row[name] = f"{result['mean']:.4g}"
            row[f"{name}_interval_95"] = f"{low:.4g} to {high:.4g}"
        else:
            row[name], row[f"{name}_interval_95"] = f"normalised {result['normalised_mean']:.2f}", ""
    return row


def draw(experiments: list[Experiment], curves: list[dict], path: pathlib.Path) -> None:
    """A panel for each experiment: every seed, the published points and the bars to reach."""
    shown = [e for e in experiments if any(row["experiment"] == e.name for row in curves)]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5 * columns, 3.8 * rows), squeeze=False)
    published = read(RESULTS / "published.csv")
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, experiment in zip(axes.flat, shown, strict=False):
        own = [row for row in curves if row["experiment"] == experiment.name]
        for seed in sorted({row["seed"] for row in own}):
            of_seed = [row for row in own if row["seed"] == seed]
            tasks = [name for name in of_seed[0] if name.startswith("return/") and of_seed[0][name] not in ("", None)]
            steps = [int(row["environment_frames"]) / experiment.action_repeat / 1e6 for row in of_seed]
            for column in tasks or ["episode_return_last_100"]:
                label = column.rpartition("/")[2] if tasks else f"impala_tf, seed {seed}"
                axis.plot(steps, [float(row[column]) for row in of_seed], label=label, linewidth=1.2)
        for label in dict.fromkeys(row["label"] for row in published if row["experiment"] == experiment.name):
            points = [row for row in published if (row["experiment"], row["label"]) == (experiment.name, label)]
            xs = [float(row["agent_steps"]) / 1e6 for row in points]
            means = [(float(row["low"]) + float(row["high"])) / 2 for row in points]
            spread = [(float(row["high"]) - float(row["low"])) / 2 for row in points]
            axis.errorbar(xs, means, spread, fmt="s:", capsize=3, markersize=4, label=label)
        if experiment.milestones:
            xs = [steps / 1e6 for steps in experiment.milestones]
            axis.plot(xs, list(experiment.milestones.values()), "k_", markersize=12, label="to reach")
        axis.set_title(experiment.title)
        axis.set_xlabel("million agent steps")
        axis.set_ylabel("mean return of the last 100 episodes")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save(figure, path)


def save(figure: plt.Figure, path: pathlib.Path) -> None:
    """Writes a picture and says where it is."""
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(path)


def machine() -> dict:
    sys.path.insert(0, str(ROOT))
    from impala_tf.benchmarks.measure import describe_machine

    return describe_machine()


def main(name: str, doc: str, experiments: list[Experiment]) -> argparse.Namespace:
    """The command line of a reproduce_*.py. name: of the files in docs/results. Returns the arguments."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [experiment.name for experiment in experiments]
    parser.add_argument("--only", default=",".join(known), help=f"with commas between them: {', '.join(known)}")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 to this are run; 0: only collect and draw")
    parser.add_argument("--episodes", type=int, default=100, help="of an evaluation; greedy ones can be long")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="where tables and pictures are written")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs" / "reproduce", help="log directories")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = set(chosen) - set(known)
    if unknown:
        parser.error(f"--only={arguments.only}: unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    for seed in range(1, arguments.seeds + 1):
        for experiment in experiments:
            if experiment.name in chosen:
                run(experiment, seed, arguments.runs.resolve(), arguments.episodes)
    tables, curves = [], []
    for experiment in experiments:
        table, curve = collect(experiment, arguments.runs)
        tables += table
        curves += curve
    if not tables:
        parser.error(f"--runs={arguments.runs}: holds no finished run")
    results = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    tables = with_earlier(results / f"{name}.csv", tables, experiments)
    curves = with_earlier(results / f"{name}_curves.csv", curves, experiments)
    columns = dict.fromkeys(column for row in curves for column in row)
    write(results / f"{name}.csv", tables)
    write(results / f"{name}_curves.csv", [{column: row.get(column, "") for column in columns} for row in curves])
    info = dict(commands={e.name: " ".join(["python -m impala_tf.experiment", *e.flags]) for e in experiments})
    (results / f"{name}_info.json").write_text(json.dumps(info | dict(machine=machine()), indent=2) + "\n")
    draw(experiments, curves, results / f"{name}.png")
    return arguments
