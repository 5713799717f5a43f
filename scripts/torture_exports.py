"""Damages an export at random, five hundred times, and looks what `python -m impala_tf.evaluate` makes of it.

  python scripts/torture_exports.py --num=500 --seed=1

Bits are flipped, files are cut, overwritten, removed or exchanged with another run's, values of impala_tf.json get
another type or another name, and fields that name code are added; some of these changes are sealed with a right
checksum, as a stranger would. Files that would run if they were imported lie beside the export, inside it, and in the
working directory. An outcome is one of

  refused      one line and exit code 2
  equal        the numbers of the sound export
  said         other numbers, and a line that says that damage could not be seen
  told         other numbers, because a rightly sealed file names another environment, which has no code of its own
  RAN, WRONG, TRACEBACK, CRASH, HANG      these are what must not be: code of a planted file ran, other numbers
               without a word, more than one line or another exit code, death by a signal, no end

Writes docs/results/torture_exports.csv with a row for each corruption, and torture_exports.json with the counts. Ends
with 1 if anything was what must not be. Every trial is a fork of this process, which has imported TensorFlow.
"""

import argparse
import collections
import contextlib
import hashlib
import importlib
import json
import os
import pathlib
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
INFO = "impala_tf.json"
LIMIT_SECS = 180.0  # This only bounds a hang.
EPISODES = 4
# The settings of the environment are not the defaults, so that one which is lost changes the numbers.
TRAINING = (
    "--total_environment_frames=20000", "--num_actors=1", "--num_envs_per_actor=8", "--batch_size=8",
    "--num_action_repeats=2", "--max_episode_frames=120", "--vectorization=sync", "--log_every_secs=1",
)  # fmt: skip
PLANTED = ("evil", "envpool", "minatar", "deepmind_lab", "numpy", "tensorflow", "keras", "absl", "json")
CODE = "names code"
BAD = ("RAN", "WRONG", "TRACEBACK", "CRASH", "HANG")
IMPORTED_ONCE = ("tensorflow", "tensorflow_probability", "scipy.stats", "impala_tf.evaluation.export")


class Corruption(NamedTuple):
    """What was done to the export, for the table."""

    kind: str
    what: str


class Trial(NamedTuple):
    """A corruption and its outcome."""

    number: int
    kind: str
    what: str
    outcome: str
    seconds: float
    message: str


def files_of(export: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in export.rglob("*") if path.is_file() and path.suffix != ".py")


def name_in(export: pathlib.Path, path: pathlib.Path) -> str:
    return path.relative_to(export).as_posix()


def flip_bits(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    path = draw.choice(files_of(export))
    data = bytearray(path.read_bytes())
    places = [draw.randrange(8 * len(data)) for _ in range(draw.choice([1, 1, 1, 2, 8]))] if data else []
    for place in places:
        data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)
    return Corruption("bits", f"{name_in(export, path)}: bits {places}")


def truncate(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    path = draw.choice(files_of(export))
    length = draw.choice([0, draw.randrange(max(1, path.stat().st_size))])
    os.truncate(path, length)
    return Corruption("cut", f"{name_in(export, path)}: to {length} bytes")


def overwrite(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    path = draw.choice(files_of(export))
    data = bytearray(path.read_bytes())
    start = draw.randrange(max(1, len(data)))
    length = min(draw.choice([1, 16, 512, 4096]), len(data) - start)
    data[start : start + length] = bytes(length) if draw.random() < 0.5 else draw.randbytes(length)
    path.write_bytes(data)
    return Corruption("overwritten", f"{name_in(export, path)}: {length} bytes from {start}")


def remove(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    path = draw.choice(files_of(export))
    path.unlink()
    return Corruption("removed", name_in(export, path))


def take_anothers(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    path = draw.choice(files_of(export))
    shutil.copyfile(other / name_in(export, path), path)
    return Corruption("another run's", name_in(export, path))


def exchange(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    first, second = draw.sample(files_of(export), 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return Corruption("exchanged", f"{name_in(export, first)} and {name_in(export, second)}")


def add_file(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    name = draw.choice(["saved_model.cpb", "saved_model.pbtxt", "variables/variables.index.tmp", "assets/a.txt"])
    (export / name).parent.mkdir(exist_ok=True)
    shutil.copyfile(other / "saved_model.pb", export / name)
    return Corruption("added", name)


def change_type(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    """Gives a value anywhere in impala_tf.json another type; half of the changes are sealed."""
    content = json.loads((export / INFO).read_text())
    places = list(places_of(content))
    holder, key = draw.choice([place for place in places if place[1] != "sha256"])
    old = holder[key]
    others = [None, True, 7, 2.5, "text", "evil:X-v0", [], ["evil:X-v0"], {}, {"evil": 1}, 10**400, [[[]]], "\x1b[2J"]
    holder[key] = draw.choice([value for value in others if type(value) is not type(old)])
    return Corruption("type", f"{key}: {holder[key]!r:.60}{save(export, content, draw)}")


def change_names(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    """Adds, renames or removes a key. Only what was added is sealed: an export may lack settings of later versions."""
    content = json.loads((export / INFO).read_text())
    holder, key = draw.choice([place for place in places_of(content) if isinstance(place[0], dict)])
    what = draw.choice(["added", "renamed", "removed"])
    if what == "added":
        new = draw.choice(["network", "torso", "module", "evil", "logdir", "teacher", "__class__", "algorithm"])
        holder[new] = draw.choice(["evil:X", "evil", ["evil:X"], {"module": "evil"}, 1])
        return Corruption("added a name", f"{new}: {holder[new]!r}{save(export, content, draw)}")
    value = holder.pop(key)
    if what == "renamed":
        holder[key[:-1] + chr(ord(key[-1]) ^ 1)] = value
    save(export, content, None)
    return Corruption(f"{what} a name", key)


def name_code(export: pathlib.Path, other: pathlib.Path, draw: random.Random) -> Corruption:
    """Lets a setting name a module of a planted file, sealed as a stranger would."""
    content = json.loads((export / INFO).read_text())
    ids = (
        *("evil:X-v0", "CartPole-v1,evil:X-v0", "saved_model.evil:X-v0", "evil.evil:X-v0", "json:X"),
        *("DMLab/rooms_watermaze-v0", "MinAtar/Breakout-v0"),
    )
    changes = draw.choice(
        [
            dict(env_id=draw.choice(ids)),
            dict(vectorization="envpool"),
            dict(env_id="Pong-v5", vectorization="envpool"),
            dict(dmlab_dataset_path="evil:X"),
        ]
    )
    content["environment"] |= changes
    seal(content)
    (export / INFO).write_text(json.dumps(content))
    return Corruption(CODE, str(changes))


CORRUPTIONS: tuple[Callable[[pathlib.Path, pathlib.Path, random.Random], Corruption], ...] = (
    *(flip_bits,) * 3, truncate, overwrite, remove, take_anothers, exchange, add_file, *(change_type,) * 3,
    change_names, name_code,
)  # fmt: skip


def places_of(content: Any):
    """Yields (container, key) of every value in a JSON content."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(items):
        yield content, key
        yield from places_of(value)


def seal(content: dict[str, Any]) -> None:
    """Gives the content a right checksum."""
    content.pop("sha256", None)
    content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def save(export: pathlib.Path, content: Any, draw: random.Random | None) -> str:
    """Writes the content, sealed in half of the cases if `draw` is given. Says which for the table."""
    sealed = draw is not None and draw.random() < 0.5
    if sealed:
        seal(content)
    (export / INFO).write_text(json.dumps(content))
    return ", sealed" if sealed else ""


def plant(directory: pathlib.Path, marker: pathlib.Path) -> None:
    """Leaves modules in the directory that leave a trace when they are imported."""
    for name in PLANTED:
        (directory / f"{name}.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")


def run_main(arguments: list[str], cwd: pathlib.Path, output: pathlib.Path) -> tuple[int | None, float]:
    """Runs `python -m impala_tf.evaluate` in a fork. Returns (exit code or None for a hang, seconds)."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            os.chdir(cwd)
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.argv = ["evaluate", *arguments]
            sys.path.insert(0, str(cwd))  # As python -m does.
            runpy.run_module("impala_tf.evaluate", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    while time.monotonic() - began < LIMIT_SECS:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, time.monotonic() - began


class Torture:
    """Holds the sound export, another run's, and a directory in which the trials are made."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.work = directory / "work"
        self.output = directory / "output"
        self.output.mkdir()
        self.exports = [self._train(directory / name, seed) for name, seed in (("sound", 1), ("other", 2))]
        for name in IMPORTED_ONCE:
            importlib.import_module(name)
        self.sound: Any = None
        sound = self.trial(0, lambda *_: Corruption("none", ""), random.Random(0))
        self.sound = self._tasks()
        assert self.sound is not None, sound

    def _train(self, logdir: pathlib.Path, seed: int) -> pathlib.Path:
        command = [sys.executable, "-m", "impala_tf.experiment", *TRAINING, f"--seed={seed}", f"--logdir={logdir}"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return logdir / "saved_model"

    def trial(self, number: int, corrupt: Callable[..., Corruption], draw: random.Random) -> Trial:
        """Corrupts a copy of the sound export and evaluates it."""
        shutil.rmtree(self.work, ignore_errors=True)
        export, marker = self.work / "saved_model", self.directory / "RAN"
        shutil.copytree(self.exports[0], export)
        corruption = corrupt(export, self.exports[1], draw)
        for directory in (self.work, export):
            plant(directory, marker)
        cwd = draw.choice([self.work, export])
        arguments = [
            f"--saved_model={export}",
            f"--num_episodes={EPISODES}",
            "--greedy",
            f"--output={self.work}/out.json",
        ]
        code, seconds = run_main(arguments, cwd, self.output)
        stderr = (self.output / "stderr").read_text(errors="replace").strip()
        outcome = self._outcome(code, stderr, marker.exists())
        if outcome == "WRONG" and corruption.kind == CODE:
            outcome = "told"
        marker.unlink(missing_ok=True)
        return Trial(number, *corruption, outcome, round(seconds, 2), stderr.replace(str(self.work), "")[:200])

    def _outcome(self, code: int | None, stderr: str, ran: bool) -> str:
        lines = stderr.splitlines()
        if ran:
            return "RAN"
        if code is None or code < 0:
            return "HANG" if code is None else "CRASH"
        if "Traceback" in stderr or code not in (0, 2) or not all(line.startswith("impala_tf: ") for line in lines):
            return "TRACEBACK"
        if code == 2:
            return "refused" if len(lines) == 1 else "TRACEBACK"
        if self._tasks() == self.sound:
            return "equal"
        return "said" if lines else "WRONG"

    def _tasks(self) -> Any:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.work / "out.json").read_text())["tasks"]
        return None


def campaign(num: int, seed: int, directory: pathlib.Path) -> list[Trial]:
    """Makes `num` corruptions, the same for the same seed. directory: an empty directory for the exports and trials."""
    torture = Torture(directory)
    trials = []
    for number in range(1, num + 1):
        draw = random.Random(f"{seed} {number}")
        trials.append(torture.trial(number, draw.choice(CORRUPTIONS), draw))
        if trials[-1].outcome in BAD or number % 50 == 0:
            print(*trials[-1], sep=" | ", flush=True)
    return trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        trials = campaign(arguments.num, arguments.seed, pathlib.Path(directory))
    from reproducing import write

    write(arguments.results / "torture_exports.csv", [trial._asdict() for trial in trials])
    counts = {"all": collections.Counter(trial.outcome for trial in trials)}
    for kind in sorted({trial.kind for trial in trials}):
        counts[kind] = collections.Counter(trial.outcome for trial in trials if trial.kind == kind)
    command = f"python scripts/torture_exports.py --num={arguments.num} --seed={arguments.seed}"
    content = dict(command=command, outcomes=counts)
    (arguments.results / "torture_exports.json").write_text(json.dumps(content, indent=2) + "\n")
    for kind, outcomes in counts.items():
        print(f"{kind}: {', '.join(f'{number} {outcome}' for outcome, number in sorted(outcomes.items()))}")
    sys.exit(any(trial.outcome in BAD for trial in trials))


if __name__ == "__main__":
    main()
