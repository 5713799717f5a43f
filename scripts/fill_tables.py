"""Writes the tables of README.md and docs/*.md from docs/results/*.csv and *.json, between their markers.

python scripts/fill_tables.py            writes the tables
python scripts/fill_tables.py --check    only looks whether they are up to date
"""

import argparse
import csv
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = (
    "seed", "environment_frames", "training_secs", "wall_secs", "frames_per_sec", "frames_to_threshold",
    "secs_to_threshold", "final_mean_return", "greedy_mean_return",
)  # fmt: skip


def read(name: str) -> list[dict[str, str]]:
    with (ROOT / "docs" / "results" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seeds(name: str) -> str:
    """Gives each seed a row."""
    header = tuple(column.replace("_", " ") for column in COLUMNS)
    return table(header, [[row[column] or "-" for column in COLUMNS] for row in read(name)])


def spread(rows: list[dict[str, str]], column: str, form: str) -> str:
    """Writes the median over seeds, and the range behind it."""
    values = [float(row[column]) for row in rows if row[column]]
    if len(values) < len(rows):
        return f"reached by {len(values)} of {len(rows)}"
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def summary() -> str:
    """Gives each experiment on CartPole a row."""
    rows = []
    for title, name, flagfile in (
        ("CartPole-v1, the default", "cartpole", "cartpole.flags"),
        ("CartPole-v1, batched A2C, sync step", "cartpole_a2c_sync_step", "cartpole_a2c_sync_step.flags"),
        (
            "CartPole-v1, batched A2C, sync trajectory",
            "cartpole_a2c_sync_trajectory",
            "cartpole_a2c_sync_trajectory.flags",
        ),
        ("CartPole-v1, A3C", "cartpole_a3c", "cartpole_a3c.flags"),
        ("CartPole-v1, IMPACT", "cartpole_impact", "cartpole_impact.flags"),
        ("CartPole without velocities, LSTM", "cartpole_lstm", "cartpole_lstm.flags"),
        ("CartPole-v1, the report's 4 x 1 environments", "cartpole_woo", "cartpole_woo.flags"),
    ):
        runs = read(name)
        rows.append(
            [
                title,
                f"`flags/{flagfile}`",
                str(len(runs)),
                spread(runs, "final_mean_return", ".0f"),
                spread(runs, "greedy_mean_return", ".0f"),
                spread(runs, "environment_frames", ",.0f").split(" (")[0],
                spread(runs, "training_secs", ".1f"),
                spread(runs, "frames_per_sec", ",.0f"),
            ]
        )
    header = ("task", "settings", "seeds", "mean return", "greedy return", "frames", "training secs", "frames/s")
    return table(header, rows)


def games() -> str:
    """Gives each experiment of the reproduce_*.py a row, with medians over its seeds."""
    rows = []
    for name in ("atari", "minatar", "gymnasium", "reuse"):
        by_experiment: dict[str, list[dict[str, str]]] = {}
        for row in read(name):
            by_experiment.setdefault(row["experiment"], []).append(row)
        for experiment, runs in by_experiment.items():
            steps, secs = (
                statistics.median(float(run[column]) for run in runs) for column in ("agent_steps", "training_secs")
            )
            rows.append(
                [experiment.replace("_", " "), str(len(runs)), f"{steps / 1e6:.2g}M", f"{secs / 60:.1f}"]
                # The mean over several games says little; their exports have normalised scores.
                + (
                    [runs[0]["sampled"], runs[0]["greedy"]]
                    if "norm" in runs[0]["sampled"]
                    else [spread(runs, column, ".4g") for column in ("final_mean_return", "greedy")]
                )
            )
    return table(("task", "seeds", "agent steps", "minutes", "mean return, sampled", "greedy"), rows)


def load(name: str) -> dict:
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


def ceilings(names: dict[str, str]) -> str:
    """Gives each result a column; each part has a row with its steps/s and its CPU microseconds a step."""
    results = {title: load(name) for name, title in names.items()}
    parts: dict[str, None] = {}
    for result in results.values():
        parts |= dict.fromkeys(row["name"] for row in result["rows"])
    # The policy's row at the run's own batch stands before those at other batches.
    rows = []
    for part in sorted(parts, key=lambda part: (part == "whole", part.startswith("policy"))):
        line = [f"**{part}**" if part == "whole" else part]
        for result in results.values():
            found = [row for row in result["rows"] if row["name"] == part]
            line.append(f"{found[0]['steps_per_sec']:,.0f} / {found[0]['cpu_us_per_step']:.3g}" if found else "")
        rows.append(line)
    wholes = [result["rows"][-1] for result in results.values()]
    rows.append(["ceiling of the cores", *(f"{row['ceiling_steps_per_sec']:,.0f}" for row in wholes)])
    rows.append(["**efficiency**", *(f"**{row['efficiency']:.2f}**" for row in wholes)])
    for part in ("environment", "learner"):
        rows.append([f"whole to {part} alone", *(f"{row['to_parts'][part]:.2f}" for row in wholes)])
    header = ("steps/s / CPU us a step", *results)
    return table(header, rows) + "\n\n" + origin(next(iter(results.values())))


def origin(result: dict) -> str:
    """Says what the figures are and where they come from."""
    machine = result["machine"]
    return (
        f"Medians of {result['repeats']} of {result['secs']:g} s each; {machine['cpu']}, {machine['cores']} cores, "
        f"TensorFlow {machine['versions']['tensorflow']}, commit {machine['commit']}, {machine['date'][:10]}."
    )


def speed() -> str:
    """Gives each recorded run a row."""
    rows = []
    for title, name in (
        ("CartPole-v1, the default, 4 actors x 64 environments", "ceilings_cartpole"),
        ("CartPole-v1, 2 x 256", "ceilings_cartpole_2x256"),
        ("Pong, shallow network, 2 x 32, `flags/atari_shallow.flags`", "ceilings_pong"),
    ):
        whole = load(name)["rows"][-1]
        rows.append([title, f"{whole['steps_per_sec']:,.0f}", f"{whole['efficiency']:.2f}"])
    return table(("two cores, no GPU", "agent steps/s", "efficiency"), rows)


def architectures() -> str:
    """Gives each architecture a row, with the two tasks beside each other and the paper's figures behind."""
    result = load("architectures")
    found: dict[str, dict[str, dict]] = {}
    for row in result["rows"]:
        name, task = row["name"].split(", ")
        found.setdefault(name, {})["even" if "Even" in task and "Uneven" not in task else "uneven"] = row
    rows = []
    for name, tasks in found.items():
        ours = [f"{tasks[task]['frames_per_sec']:,.0f}" for task in ("even", "uneven")]
        ratio = f"{tasks['uneven']['frames_per_sec'] / tasks['even']['frames_per_sec']:.2f}"
        paper = [tasks[task]["paper_frames_per_sec"] for task in ("even", "uneven")]
        theirs = [*(f"{figure:,.0f}" for figure in paper), f"{paper[1] / paper[0]:.2f}"]
        rows.append([name, *ours, ratio, *theirs, f"{tasks['uneven']['lag_mean']:.1f}"])
    header = (
        "architecture", "even", "uneven", "uneven / even", "paper, task 1", "paper, task 2", "task 2 / task 1", "lag",
    )  # fmt: skip
    return table(header, rows) + "\n\nFrames/s. " + origin(result)


def single() -> str:
    result = load("single")
    rows = [
        [row["name"], f"{row['steps_per_sec']:,.0f}", f"{row['cpu_us_per_step']:.0f}", f"{row['lag_mean']:.1f}"]
        for row in result["rows"]
    ]
    return table(("actors x environments", "steps/s", "CPU us a step", "lag"), rows) + "\n\n" + origin(result)


def memory() -> str:
    rows = read("memory_cartpole")
    shown = [row for row in rows if int(row["minute"]) % 5 == 0 or row["minute"] in ("1", "2")]
    return table(
        ("minute", "resident MiB", "threads", "frames"),
        [[r["minute"], r["resident_mib"], r["threads"], f"{int(r['environment_frames']):,}"] for r in shown],
    )


def learned(name: str, titles: dict[str, str]) -> str:
    """Gives each seed of a reproduce_*.py a row."""
    rows = []
    for row in read(name):
        interval = "greedy_interval_95"
        rows.append(
            [
                titles.get(row["experiment"], row["experiment"]),
                row["seed"],
                f"{int(row['agent_steps']):,}",
                f"{float(row['training_secs']) / 60:.1f}",
                f"{float(row['steps_per_sec']):,.0f}",
                row["milestones"] or "-",
                row["final_mean_return"],
                row["evaluation_episodes"],
                f"{row['sampled']} ({row['sampled_interval_95']})" if row["sampled_interval_95"] else row["sampled"],
                f"{row['greedy']} ({row[interval]})" if row[interval] else row["greedy"],
            ]
        )
    header = (
        "task", "seed", "agent steps", "minutes", "steps/s", "mean return of 100 episodes at", "at the end",
        "episodes", "export, sampled", "export, greedy",
    )  # fmt: skip
    return table(header, rows) + "\n\n" + where(name)


def one_agent() -> str:
    """Shows how each game's mean return of 100 episodes grows while minatar5 learns."""
    rows = [row for row in read("minatar_curves") if (row["experiment"], row["seed"]) == ("minatar5", "1")]
    columns = [name for name in rows[0] if name.startswith("return/") and rows[-1][name]]
    total = int(rows[-1]["environment_frames"])
    shown = []
    for part in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0):
        row = next(row for row in rows if int(row["environment_frames"]) >= part * total)
        figures = [float(row[name]) for name in (*columns, "normalised_mean")]
        shown.append([f"{int(row['environment_frames']) / 1e6:.2f}M", *(f"{figure:.3g}" for figure in figures)])
    names = [name.removeprefix("return/MinAtar/").removesuffix("-v0") for name in columns]
    return table(("agent steps of all games", *names, "normalised mean"), shown)


def where(name: str) -> str:
    machine = load(f"{name}_info")["machine"]
    return (
        "Intervals: 95 %, bootstrap of the mean over the episodes of an evaluation. "
        f"{machine['cpu']}, {machine['cores']} cores, TensorFlow {machine['versions']['tensorflow']}, "
        f"{machine['date'][:10]}."
    )


def commands(name: str) -> str:
    lines = [f"    {command}" for command in load(f"{name}_info")["commands"].values()]
    return "\n".join(["", *lines, ""])


def time_limits() -> str:
    rows = [
        ["yes" if row["bootstrap"] == "True" else "no", row["seed"], row["value"], row["error"]]
        for row in read("time_limits")
    ]
    return table(("bootstraps at the time limit", "seed", "learned value", "error"), rows)


CORRECTIONS = ("vtrace", "one_step", "epsilon", "none")


def by_correction(cell: Callable[[list[dict[str, str]]], str]) -> str:
    """Gives each game, part of replay and lag of scripts/study_corrections.py a row, and each correction a column."""
    found: dict[tuple[str, ...], dict[str, list[dict[str, str]]]] = {}
    for row in read("corrections"):
        place = (row["game"], f"{float(row['replay']):g}", row["lag"])
        found.setdefault(place, {}).setdefault(row["correction"], []).append(row)
    rows = [
        [*place, *(cell(runs[name]) if name in runs else "" for name in CORRECTIONS)]
        for place, runs in sorted(found.items(), key=lambda item: (item[0][0], item[0][1], int(item[0][2])))
    ]
    return table(("game", "replay", "lag", *CORRECTIONS), rows)


def corrected(runs: list[dict[str, str]]) -> str:
    """Says what a cell of the study returned; a cell that lacks seeds says so."""
    return spread(runs, "final_return", ".2f") + (f", {len(runs)} of 3 seeds" if len(runs) != 3 else "")


def ratios(runs: list[dict[str, str]]) -> str:
    """Says how far the policies of a cell of the study were apart, and what was left of the entropy."""
    columns = (("ratio_max", ".3g"), ("ratio_clipped_fraction", ".2f"), ("final_entropy", ".2f"))
    return " / ".join(f"{statistics.median(float(run[column]) for run in runs):{form}}" for column, form in columns)


def tried() -> str:
    """Gives each environment of scripts/try_environments.py a row."""
    result = load("environments")
    rows = []
    for row in result["rows"]:
        outcome = "works" if row["works"] else "refuses" if "FAILED" not in row["line"] else "**fails**"
        line = "" if row["works"] else f"`{row['line']}`"
        spaces = [f"`{row[name]}`" if row.get(name) else "" for name in ("observation", "action")]
        rows.append([row["group"], f"`{row['env_id']}`", outcome, *spaces, line])
    count = sum(row["works"] for row in result["rows"])
    header = ("group", "id", "", "observation", "action", "the line it prints")
    return f"{count} of {len(rows)} work.\n\n" + table(header, [[x.replace("|", "/") for x in r] for r in rows])


def all_tables() -> Iterator[tuple[str, str, str]]:
    """Each table with the document that holds it: (path, name of its markers, content)."""
    yield "README.md", "results", summary()
    yield "README.md", "speed", speed()
    yield "README.md", "games", games()
    yield "docs/cartpole.md", "cartpole", seeds("cartpole")
    names = ("a2c_sync_step", "a2c_sync_trajectory", "a3c")
    others = [f"`--flagfile=flags/cartpole_{name}.flags`:\n\n{seeds(f'cartpole_{name}')}" for name in names]
    yield "docs/cartpole.md", "architectures", "\n\n".join(others)
    lstm = f"With the LSTM:\n\n{seeds('cartpole_lstm')}\n\nWithout it:\n\n{seeds('cartpole_no_lstm')}"
    yield "docs/cartpole.md", "lstm", lstm
    cartpole = {"ceilings_cartpole": "4 x 64 (default)", "ceilings_cartpole_2x256": "2 x 256"}
    pong = {
        "ceilings_pong": "ALE's vector (default)",
        "ceilings_pong_parts": "16 of 32 at a time",
        "ceilings_pong_envpool": "EnvPool",
    }
    yield "docs/algorithms.md", "cartpole_impact", seeds("cartpole_impact")
    yield "docs/performance.md", "ceilings_cartpole", ceilings(cartpole)
    yield "docs/performance.md", "ceilings_pong", ceilings(pong)
    yield "docs/performance.md", "single", single()
    yield "docs/performance.md", "architectures", architectures()
    yield "docs/performance.md", "memory", memory()
    for name, path in (
        ("atari", "atari.md"),
        ("minatar", "atari.md"),
        ("gymnasium", "environments.md"),
        ("reuse", "algorithms.md"),
    ):
        yield f"docs/{path}", name, learned(name, {})
        yield f"docs/{path}", f"{name}_commands", commands(name)
    yield "docs/atari.md", "minatar5", one_agent()
    yield "docs/corrections.md", "returns", by_correction(corrected)
    yield "docs/corrections.md", "ratios", by_correction(ratios)
    yield "docs/corrections.md", "command", commands("corrections")
    yield "docs/environments.md", "tried", tried()
    yield "docs/environments.md", "time_limits", time_limits()


def filled(text: str, path: pathlib.Path, name: str, content: str) -> str:
    """The text of a document with one table filled in."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if begin not in text or end not in text:
        sys.exit(f"{path}: has no markers {begin} and {end}")
    return text[: text.index(begin)] + f"{begin}\n{content}\n" + text[text.index(end) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table would change")
    parser.add_argument("--into", type=pathlib.Path, default=ROOT, help="the directory of README.md and docs/")
    arguments = parser.parse_args()
    stale = []
    for document, name, content in all_tables():
        path = arguments.into / document
        before = path.read_text()
        after = filled(before, path, name, content)
        if after != before:
            stale.append(f"{document}: the table `{name}` is not what docs/results holds")
            if not arguments.check:
                path.write_text(after)
    if arguments.check and stale:
        sys.exit("\n".join([*stale, "run python scripts/fill_tables.py"]))


if __name__ == "__main__":
    main()
