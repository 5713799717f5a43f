"""Writes the tables of README.md and docs/cartpole.md from docs/results/*.csv, between their markers.

python scripts/fill_tables.py
"""

import csv
import pathlib
import re
import statistics

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
    """A row a seed."""
    header = tuple(column.replace("_", " ") for column in COLUMNS)
    return table(header, [[row[column] or "-" for column in COLUMNS] for row in read(name)])


def spread(rows: list[dict[str, str]], column: str, form: str) -> str:
    """Median and range over seeds."""
    values = [float(row[column]) for row in rows if row[column]]
    if len(values) < len(rows):
        return f"reached by {len(values)} of {len(rows)}"
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def summary() -> str:
    """A row an experiment."""
    rows = []
    for title, name, flagfile in (
        ("CartPole-v1, the default", "cartpole", "cartpole.flags"),
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


def fill(path: pathlib.Path, tables: dict[str, str]) -> None:
    text = path.read_text()
    for name, content in tables.items():
        pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        assert pattern.search(text), f"{path} has no marker {name}"
        text = pattern.sub(f"<!-- {name} -->\n{content}\n<!-- /{name} -->", text)
    path.write_text(text)


def main() -> None:
    fill(ROOT / "README.md", {"results": summary()})
    lstm = f"With the LSTM:\n\n{seeds('cartpole_lstm')}\n\nWithout it:\n\n{seeds('cartpole_no_lstm')}"
    fill(ROOT / "docs" / "cartpole.md", {"cartpole": seeds("cartpole"), "lstm": lstm})


if __name__ == "__main__":
    main()
