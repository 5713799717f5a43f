"""Starts runs with random combinations of flags: each trains, or is refused with one line; writes fuzz_flags.json.

  python scripts/fuzz_flags.py --combinations=10000        goes on where it stopped before
  python scripts/fuzz_flags.py --combinations=50 --seed=7 --rows=/tmp/rows.csv --results=/tmp/fuzz.json
  python scripts/fuzz_flags.py --flags="--core=lstm --xla=on"        this one, with what it prints

A run is a fork of one process that has imported everything, and does what `python -m impala_tf.experiment FLAGS` does.
It is wrong when it prints a traceback, ends with a line that is not one of ours or by a signal, or hangs: it is not
through after --limit_secs. The flags of a wrong one are left out one by one as long as it stays wrong.
"""

import argparse
import collections
import csv
import functools
import json
import os
import pathlib
import re
import runpy
import shlex
import shutil
import sys
import tempfile
import time
from typing import NamedTuple

import forks

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 100  # So many combinations have the same seed of Hypothesis.
RIGHT = ("trained", "refused", "not finite")
USAGE_ERROR = 2


class Outcome(NamedTuple):
    """A run ends like this. what: any of RIGHT, else what was wrong. line: its last line. output: all it printed."""

    what: str
    code: int
    secs: float
    line: str
    output: str


def run(flags: tuple[str, ...], limit_secs: float) -> Outcome:
    """Trains with these flags in a fork of this process, and says how that ended."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="impala_tf_fuzz_"))
    arguments = [*flags, f"--logdir={directory / 'run'}"]
    started = time.monotonic()
    child = forks.start(functools.partial(run_main, arguments, directory), directory / "output")
    code = forks.wait(child, limit_secs)
    secs = time.monotonic() - started
    output = (directory / "output").read_text(errors="replace")
    shutil.rmtree(directory, ignore_errors=True)
    return judge(code, secs, output)


def run_main(arguments: list[str], directory: pathlib.Path) -> None:
    os.chdir(directory)
    sys.argv[1:] = arguments
    runpy.run_module("impala_tf.experiment", run_name="__main__", alter_sys=True)


def judge(code: int | None, secs: float, output: str) -> Outcome:
    lines = [line for line in re.split("[\r\n]+", output) if line.strip()]
    last = lines[-1] if lines else ""
    if code is None:
        what = "hang"
    elif "Traceback" in output:
        what = "traceback"
    elif code < 0:
        what = f"signal {-code}"
    elif code == 0:
        what = "trained"
    elif code == USAGE_ERROR and last.startswith("impala_tf: "):
        what = "not finite" if "not finite" in last else "refused"
    else:
        what = f"exit code {code}"
    return Outcome(what, -1 if code is None else code, round(secs, 1), last, output)


def shrunk(flags: tuple[str, ...], what: str, limit_secs: float) -> tuple[str, ...]:
    """Leaves out flags as long as the outcome stays the same."""
    from flag_combinations import SMALL

    for flag in [flag for flag in flags if flag[2:].partition("=")[0] not in SMALL] + list(flags):
        fewer = tuple(other for other in flags if other != flag)
        # Without the small settings a run would be long.
        name = flag[2:].partition("=")[0]
        fewer = (*fewer, f"--{name}={SMALL[name]}") if name in SMALL else fewer
        if fewer != flags and run(fewer, limit_secs).what == what:
            flags = fewer
    return flags


def fuzz(number: int, first_seed: int, limit_secs: float, rows_path: pathlib.Path, results: pathlib.Path) -> int:
    """Runs combinations that the rows have not, writes both files, and returns the number of those that are wrong."""
    import reproducing
    from flag_combinations import draw_combinations

    rows = [row for row in reproducing.read(rows_path) if int(row["number"]) < number]
    done = {int(row["number"]) for row in rows}
    for start in range(0, number, BATCH):
        wanted = [i for i in range(start, min(start + BATCH, number)) if i not in done]
        drawn = draw_combinations(first_seed + start // BATCH, BATCH) if wanted else []
        for i in wanted:
            if i - start >= len(drawn):  # Hypothesis found fewer that differ.
                continue
            rows.append(row_of(i, drawn[i - start], limit_secs))
            reproducing.append(rows_path, rows[-1:])
            write_summary(results, rows, first_seed)
    write_summary(results, rows, first_seed)
    return sum(row["outcome"] not in RIGHT for row in rows)


def row_of(number: int, flags: tuple[str, ...], limit_secs: float) -> dict[str, str]:
    outcome = run(flags, limit_secs)
    is_right = outcome.what in RIGHT
    fewest = flags if is_right else shrunk(flags, outcome.what, limit_secs)
    if not is_right:
        print(f"{number}: {outcome.what}: {shlex.join(fewest)}\n{outcome.output[-3000:]}", flush=True)
    elif number % BATCH == 0:
        print(f"{number}: {outcome.what}", flush=True)
    return dict(
        number=str(number),
        outcome=outcome.what,
        exit_code=str(outcome.code),
        secs=str(outcome.secs),
        line=outcome.line[:300],
        flags=shlex.join(flags),
        fewest_flags="" if is_right else shlex.join(fewest),
        load=f"{os.getloadavg()[0]:.1f}",
    )


def write_summary(path: pathlib.Path, rows: list[dict[str, str]], first_seed: int) -> None:
    import hypothesis

    trained = [float(row["secs"]) for row in rows if row["outcome"] == "trained"]
    refusals = {re.sub(r"-?\d+(\.\d+)?", "N", row["line"]) for row in rows if row["outcome"] == "refused"}
    summary = dict(
        command=f"python scripts/fuzz_flags.py --combinations={len(rows)} --seed={first_seed}",
        combinations=len(rows),
        outcomes=dict(collections.Counter(row["outcome"] for row in rows)),
        different_refusals=len(refusals),
        longest_training_secs=max(trained, default=0.0),
        mean_load=round(sum(float(row["load"]) for row in rows) / max(1, len(rows)), 1),
        hypothesis=hypothesis.__version__,
        wrong=[dict(outcome=r["outcome"], flags=r["fewest_flags"]) for r in rows if r["outcome"] not in RIGHT],
    )
    path.write_text(json.dumps(summary, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--combinations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first hundred")
    parser.add_argument("--limit_secs", type=float, default=120.0, help="longest time of a run")
    parser.add_argument("--rows", type=pathlib.Path, default=ROOT / "runs" / "fuzz_flags.csv")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "docs" / "results" / "fuzz_flags.json")
    parser.add_argument("--flags", help="flags of one run")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    csv.field_size_limit(10**7)
    forks.import_all()
    if arguments.flags is not None:
        from flag_combinations import SMALL

        given = SMALL | dict(flag[2:].split("=", 1) for flag in shlex.split(arguments.flags))
        outcome = run(tuple(f"--{name}={value}" for name, value in given.items()), arguments.limit_secs)
        print(f"{outcome.output}\n{outcome.what}, exit code {outcome.code}, {outcome.secs} s")
        sys.exit(outcome.what not in RIGHT)
    arguments.rows.parent.mkdir(exist_ok=True)
    wrong = fuzz(arguments.combinations, arguments.seed, arguments.limit_secs, arguments.rows, arguments.results)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
