"""Changes the core a little, a hundred times, and counts how often its tests notice.

  python scripts/mutate.py --num=100 --seed=1 --jobs=2

Draws mutants (scripts/mutants.py) from the modules of `TESTS`, each module its share, and runs the module's tests with
each of them, in a copy of the checkout. Writes a row for each mutant to --output as it goes; started again with the
same file it goes on where it stopped. Ends with the share that was noticed and the survivors as diffs. A survivor is a
test that is missing, or a mutant that does not change what the code does.

Importing TensorFlow takes longer than most tests. This process imports it once, runs nothing of it, and forks a child
for each mutant. `--fresh` starts a new interpreter instead: the outcomes are the same.
"""

import argparse
import collections
import contextlib
import csv
import fnmatch
import importlib.util
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from typing import NamedTuple

from mutants import Mutant, mutants_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
# These tests are to notice a mistake in a module. The first pattern that fits a module counts.
TESTS: dict[str, tuple[str, ...]] = {
    "impala_tf/algorithms/*.py": ("tests/algorithms",),
    "impala_tf/learning/devices.py": ("tests/learning/test_devices.py",),
    "impala_tf/learning/gradients.py": ("tests/learning/test_gradients.py", "tests/learning/test_learner.py"),
    "impala_tf/learning/state.py": ("tests/learning/test_state.py", "tests/learning/test_learner.py"),
    "impala_tf/learning/learner.py": ("tests/learning/test_learner.py", "tests/learning/test_state.py"),
    "impala_tf/learning/*.py": ("tests/learning",),
    "impala_tf/experience/batch_statistics.py": ("tests/records/test_metrics.py",),
    "impala_tf/experience/*.py": ("tests/experience", "tests/acting"),
    "impala_tf/acting/*.py": ("tests/acting",),
    "impala_tf/environments/joined_environment.py": ("tests/environments/test_joined_environment.py",),
    "impala_tf/environments/rows.py": ("tests/environments/test_rows.py", "tests/environments/test_vectors.py"),
    "impala_tf/environments/single_environment.py": (
        "tests/environments/test_environment_spec.py",
        "tests/test_own_code.py",
    ),
    "impala_tf/environments/*_environment.py": (
        "tests/environments/test_rows.py",
        "tests/environments/test_vectors.py",
    ),
    "impala_tf/spaces/distributions/box.py": ("tests/spaces/test_box_distributions.py",),
    "impala_tf/spaces/distributions/*.py": ("tests/spaces/test_distributions.py", "tests/spaces/test_masks.py"),
    "impala_tf/networks/*.py": ("tests/networks",),
    "impala_tf/running/architectures/*.py": ("tests/running/test_architectures.py", "tests/running/test_order.py"),
    "impala_tf/records/metrics.py": ("tests/records/test_metrics.py",),
    "impala_tf/records/recent_returns.py": ("tests/records/test_metrics.py",),
    "impala_tf/records/rows.py": ("tests/records/test_metrics.py",),
    "impala_tf/evaluation/playing.py": ("tests/evaluation/test_playing.py", "tests/evaluation/test_repeatable.py"),
    "impala_tf/evaluation/export.py": (
        "tests/evaluation/test_export.py",
        "tests/evaluation/test_sampling_in_exports.py",
    ),
    "impala_tf/config.py": ("tests/test_config.py", "tests/settings"),
    "impala_tf/settings/setting.py": ("tests/settings", "tests/test_config.py"),
    "impala_tf/settings/contradictions.py": ("tests/settings", "tests/test_config.py"),
}
IMPORTED_ONCE = ("numpy", "pandas", "gymnasium", "tensorflow", "keras", "tensorflow_probability", "pytest")
NOT_COPIED = shutil.ignore_patterns(".git", "__pycache__", "runs", ".*_cache", "build", "*.egg-info")
COLUMNS = ("digest", "module", "line", "kind", "outcome", "seconds", "diff")
PASSED, WRONG_COPY = 0, 70  # Exit codes.
FREE_SECS = 20.0  # A mutant may take this much longer than three times its tests without one.


class Row(NamedTuple):
    """What became of one mutant, as in the CSV file.

    digest: see Mutant.digest. outcome: "noticed", "timeout" (which is noticed as well) or "survived".
    seconds: how long its tests ran. diff: what was changed.
    """

    digest: str
    module: str
    line: int
    kind: str
    outcome: str
    seconds: float
    diff: str


class Trial(NamedTuple):
    """One run of tests: with a mutant, or without one to see that they pass.

    tests: paths in the repository. limit_secs: after this time the mutant counts as noticed.
    """

    mutant: Mutant | None
    source: str
    tests: tuple[str, ...]
    limit_secs: float


class Worker:
    """A copy of the checkout, in which one child at a time runs tests."""

    def __init__(self, root: pathlib.Path, directory: pathlib.Path, fresh: bool) -> None:
        self.copy = directory / "checkout"
        self.directory = directory
        self.fresh = fresh
        shutil.copytree(root, self.copy, ignore=NOT_COPIED)
        self.trial: Trial | None = None
        self.pid = 0
        self.started = 0.0

    def start(self, trial: Trial) -> None:
        if trial.mutant:
            (self.copy / trial.mutant.module).write_text(trial.mutant.apply(trial.source))
        self.trial = trial
        self.started = time.monotonic()
        command = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={self.directory / 'tmp'}", *trial.tests]
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self.run_tests(command)

    def run_tests(self, command: list[str]) -> None:
        """Does the work of the child and ends it."""
        code = WRONG_COPY
        try:
            os.setsid()
            log = os.open(self.directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(log, descriptor)
            os.chdir(self.copy)
            # Bytecode is told apart by whole seconds and sizes only, which mutants can share.
            os.environ.update(PYTHONPATH=str(self.copy), PYTHONDONTWRITEBYTECODE="1")
            if self.fresh:
                os.execv(sys.executable, [sys.executable, "-m", "pytest", *command])
            sys.dont_write_bytecode = True
            sys.path.insert(0, str(self.copy))
            spec = importlib.util.find_spec("impala_tf")
            if spec is not None and spec.origin is not None and pathlib.Path(spec.origin).is_relative_to(self.copy):
                code = int(importlib.import_module("pytest").main(command))
            sys.stdout.flush()
        finally:
            os._exit(code)

    def outcome(self) -> tuple[str, float] | None:
        """What the tests said, once they have ended, and how long they took; the copy is then as before."""
        assert self.trial is not None
        seconds = time.monotonic() - self.started
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid and seconds < self.trial.limit_secs:
            return None
        # Children of the tests are in the same session and may outlive them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if not pid:
            os.waitpid(self.pid, 0)
        if self.trial.mutant:
            (self.copy / self.trial.mutant.module).write_text(self.trial.source)
        self.trial = None
        if not pid:
            return "timeout", seconds
        code = os.waitstatus_to_exitcode(status)
        if code == WRONG_COPY:
            sys.exit(f"The tests would not have imported the copy of the package:\n{self.log()}")
        return ("survived" if code == PASSED else "noticed"), seconds

    def log(self) -> str:
        return (self.directory / "log.txt").read_text(errors="replace")[-3000:]


def tests_of(module: str) -> tuple[str, ...]:
    """The tests of a module; nothing where the table does not name it."""
    return next((tests for pattern, tests in TESTS.items() if fnmatch.fnmatch(module, pattern)), ())


def sources(root: pathlib.Path, only: str) -> dict[str, str]:
    """The text of each module of the table, by its path."""
    paths = sorted((root / "impala_tf").rglob("*.py"))
    names = [path.relative_to(root).as_posix() for path in paths]
    return {name: (root / name).read_text() for name in names if tests_of(name) and only in name}


def draw(texts: dict[str, str], num: int, seed: int) -> list[Mutant]:
    """Draws mutants: each module a share by its number of mutants, at least one; within a module all kinds alike.

    texts: the source of each module, by its path. A module's draw depends on the seed and its name, so that a change
    elsewhere does not shift it.
    """
    found = {module: mutants_of(module, text) for module, text in texts.items()}
    left = {module: shuffled(mutants, f"{seed} {module}") for module, mutants in found.items() if mutants}
    drawn: dict[str, list[Mutant]] = {module: [] for module in left}
    while left and sum(map(len, drawn.values())) < num:
        neediest = max(left, key=lambda module: len(found[module]) / (len(drawn[module]) + 1e-3))
        mutant = left[neediest].pop()
        if mutant.is_valid(texts[neediest]):
            drawn[neediest].append(mutant)
        if not left[neediest]:
            del left[neediest]
    return [mutant for mutants in drawn.values() for mutant in mutants]


def shuffled(mutants: list[Mutant], seed: str) -> list[Mutant]:
    """The mutants in an order in which every kind is as likely to come next."""
    generator = random.Random(seed)
    by_kind = collections.defaultdict(list)
    for mutant in mutants:
        by_kind[mutant.kind].append(mutant)
    order = []
    while by_kind:
        kind = generator.choice(sorted(by_kind))
        order.append(by_kind[kind].pop(generator.randrange(len(by_kind[kind]))))
        if not by_kind[kind]:
            del by_kind[kind]
    return order[::-1]  # The last is taken first.


def read(path: pathlib.Path) -> dict[str, Row]:
    """The rows of an earlier run, by digest."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = [
            Row(**(row | {"line": int(row["line"]), "seconds": float(row["seconds"])})) for row in csv.DictReader(file)
        ]
    return {row.digest: row for row in rows}


def append(path: pathlib.Path, row: Row) -> None:
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow(row._replace(seconds=round(row.seconds, 1)))


def run_trials(trials: list[Trial], workers: list[Worker]):
    """Runs the trials, as many at a time as there are workers; yields each with its outcome and seconds as it ends."""
    waiting = collections.deque(trials)
    try:
        while waiting or any(worker.trial for worker in workers):
            for worker in workers:
                trial = worker.trial
                if trial and (ended := worker.outcome()):
                    yield worker, trial, *ended
                if worker.trial is None and waiting:
                    worker.start(waiting.popleft())
            time.sleep(0.02)
    finally:
        for worker in workers:
            if worker.trial:
                os.killpg(worker.pid, signal.SIGKILL)


def time_tests(modules: list[str], workers: list[Worker]) -> dict[tuple[str, ...], float]:
    """Runs each module's tests without a mutant: the seconds they take. Exits where they fail."""
    seconds_of = {}
    groups = sorted({tests_of(module) for module in modules})
    for worker, trial, outcome, seconds in run_trials([Trial(None, "", tests, 600) for tests in groups], workers):
        if outcome != "survived":
            sys.exit(f"{' '.join(trial.tests)}: fails without any mutant ({outcome}):\n{worker.log()}")
        print(f"{seconds:6.1f} s without a mutant: {' '.join(trial.tests)}", flush=True)
        seconds_of[trial.tests] = seconds
    return seconds_of


def test_mutants(root: pathlib.Path, mutants: list[Mutant], texts: dict[str, str], args: argparse.Namespace) -> None:
    """Runs the tests of each mutant and appends a row for it."""
    if not args.fresh:
        for name in IMPORTED_ONCE:
            importlib.import_module(name)
    with tempfile.TemporaryDirectory() as directory:
        paths = [pathlib.Path(directory) / str(job) for job in range(args.jobs)]
        workers = [Worker(root, path, args.fresh) for path in paths]
        seconds_of = time_tests([mutant.module for mutant in mutants], workers)
        trials = []
        for mutant in mutants:
            tests = tests_of(mutant.module)
            trials.append(Trial(mutant, texts[mutant.module], tests, FREE_SECS + 3 * seconds_of[tests]))
        for count, (_, trial, outcome, seconds) in enumerate(run_trials(trials, workers), start=1):
            mutant, source = trial.mutant, trial.source
            row = Row(
                mutant.digest(source), mutant.module, mutant.line, mutant.kind, outcome, seconds, mutant.diff(source)
            )
            append(args.output, row)
            print(f"{count}/{len(trials)} {outcome:8} {seconds:5.1f} s {row.module}:{row.line} {row.kind}", flush=True)


def report(rows: list[Row]) -> None:
    """Prints the survivors and the share of the rows that was noticed, in all and by module."""
    survivors = [row for row in rows if row.outcome == "survived"]
    for row in survivors:
        print(f"\n{row.module}:{row.line} {row.kind}, survived\n{row.diff}")
    print()
    for module in sorted({row.module for row in rows}):
        outcomes = [row.outcome for row in rows if row.module == module]
        print(f"{len(outcomes) - outcomes.count('survived'):3} of {len(outcomes):3} {module}")
    noticed = len(rows) - len(survivors)
    print(f"{noticed} of {len(rows)} mutants noticed ({noticed / len(rows):.0%}).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=100, help="mutants that are drawn")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tested at a time")
    parser.add_argument("--only", default="", help="only modules whose path contains this")
    parser.add_argument("--output", type=pathlib.Path, help="CSV file; runs/mutants_SEED.csv by default")
    parser.add_argument("--survivors_again", action="store_true", help="test the survivors of --output anew")
    parser.add_argument("--fresh", action="store_true", help="an interpreter for each mutant instead of a fork")
    parser.add_argument("--list", action="store_true", help="only print the mutants that would be tested")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the checkout; this one by default")
    args = parser.parse_args()
    args.output = args.output or args.root / "runs" / f"mutants_{args.seed}.csv"
    texts = sources(args.root, args.only)
    mutants = draw(texts, args.num, args.seed)
    digests = [mutant.digest(texts[mutant.module]) for mutant in mutants]
    if args.list:
        for mutant in mutants:
            print(f"{mutant.module}:{mutant.line} {mutant.kind}\n{mutant.diff(texts[mutant.module])}\n")
        return
    known = read(args.output)
    left = [
        mutant
        for mutant, digest in zip(mutants, digests, strict=True)
        if digest not in known or (args.survivors_again and known[digest].outcome == "survived")
    ]
    if left:
        test_mutants(args.root, left, texts, args)
    known = read(args.output)
    report([known[digest] for digest in digests])


if __name__ == "__main__":
    main()
