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
import contextlib
import csv
import faulthandler
import importlib
import json
import os
import pathlib
import re
import runpy
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 100  # So many combinations have the same seed of Hypothesis.
IMPORTED_ONCE = (
    *("tensorflow", "keras", "tensorflow_probability", "gymnasium", "absl.app", "tqdm", "psutil"),
    *("impala_tf.running.training", "impala_tf.running.launcher", "impala_tf.evaluation.evaluate_exports"),
    *("impala_tf.evaluation.export", "impala_tf.records.logdir", "impala_tf.support.command_line"),
)
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
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(run_here([*flags, f"--logdir={directory / 'run'}"], directory / "output"))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(child, child)
    code = wait(child, limit_secs)
    secs = time.monotonic() - started
    with contextlib.suppress(ProcessLookupError):  # Environments and actors in processes of their own.
        os.killpg(child, signal.SIGKILL)
    output = (directory / "output").read_text(errors="replace") if (directory / "output").exists() else ""
    shutil.rmtree(directory, ignore_errors=True)
    return judge(code, secs, output)


def wait(child: int, limit_secs: float) -> int | None:
    """Waits for the fork. Returns its exit code; None when it hangs, in which case it has said where."""
    deadline = time.monotonic() + limit_secs
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGUSR2)
    time.sleep(1.0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def run_here(arguments: list[str], output: pathlib.Path) -> int:
    """Runs the main in this process, a fork. Returns its exit code."""
    os.setpgid(0, 0)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    os.chdir(output.parent)
    sys.argv[1:] = arguments
    try:
        runpy.run_module("impala_tf.experiment", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    csv.field_size_limit(10**7)
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
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
