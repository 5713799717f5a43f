"""Lets the mains read what a stranger wrote, with planted modules around, and looks whether any of these is imported.

  python scripts/prove_strangers.py

A run of a few seconds leaves a log directory with checkpoint and export. Modules are planted in it, in its export and
in the directory above, with names of packages that the mains need (numpy, tensorflow, ...), of packages that some
environments need (envpool, minatar, deepmind_lab), and `evil`, which files are changed to name, rightly sealed. Each
case is a process of its own, `python -m ...`, from each of these three directories in turn. The last cases are the
counter-check: the user trusts `evil`, and then it is imported.

Writes docs/results/strangers.json with a row for each case: exit code, last line, and whether a planted module was
imported. Ends with 1 if one was that must not be, or a case did not end as it should.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from torture_exports import seal

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
NAMES = (
    *("evil", "numpy", "tensorflow", "keras", "gymnasium", "absl", "tqdm", "psutil", "scipy", "ale_py", "cv2"),
    *("envpool", "minatar", "deepmind_lab", "ray", "matplotlib"),
)
SHORT = ("--num_actors=1", "--num_envs_per_actor=4", "--batch_size=4", "--hidden_sizes=16", "--xla=off")
MORE = "--total_environment_frames=6000"
LIMIT_SECS = 300.0


class Case(NamedTuple):
    """What is run, after which change of the files, and how it is to end.

    change: function that changes the log directory. {run} in the arguments stands for that.
    code: exit code. imports: whether `evil` is to be imported, because the user says so.
    """

    name: str
    change: Callable[[pathlib.Path], None]
    arguments: tuple[str, ...]
    code: int
    imports: bool = False


def nothing(run: pathlib.Path) -> None:
    """Leaves the files as they are."""


def names_environment(**settings: Any) -> Callable[[pathlib.Path], None]:
    def change(run: pathlib.Path) -> None:
        path = run / "saved_model" / "impala_tf.json"
        content = json.loads(path.read_text())
        content["environment"] |= settings
        seal(content)
        path.write_text(json.dumps(content))

    return change


def has_line(line: str) -> Callable[[pathlib.Path], None]:
    def change(run: pathlib.Path) -> None:
        path = run / "settings.flags"
        path.write_text(f"{path.read_text()}{line}\n")

    return change


def pickles(run: pathlib.Path) -> None:
    """Puts an object into the checkpoint whose loading would touch the marker."""

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {run.parent / 'RAN'}",)

    [path] = (run / "checkpoints").glob("checkpoint-*.npz")
    arrays = dict(np.load(path, allow_pickle=False))
    np.savez(path, **arrays, evil=np.array([Evil()], dtype=object))


EVALUATE = ("impala_tf.evaluate", "--saved_model={run}/saved_model", "--num_episodes=2", "--output={run}/../out.json")
TRAIN = ("impala_tf.experiment", *SHORT, MORE)
GO_ON = ("impala_tf.experiment", "--logdir={run}", MORE)
TEST = ("impala_tf.experiment", "--mode=test", "--logdir={run}", "--test_num_episodes=2")
NEW = "--logdir={run}/../new"
evil_environment = names_environment(env_id="evil:X-v0")
evil_inside = names_environment(env_id="saved_model.evil:X-v0")
CASES = (
    Case("evaluate, planted modules only", nothing, EVALUATE, 0),
    Case("evaluate, the export names a module beside it", evil_environment, EVALUATE, 2),
    Case("evaluate, the export names a module inside it", evil_inside, EVALUATE, 2),
    Case("evaluate, another id is given", evil_environment, (*EVALUATE, "--env_id=CartPole-v0"), 0),
    Case("evaluate, DeepMind Lab", names_environment(env_id="DMLab/rooms_watermaze-v0"), EVALUATE, 2),
    Case("--mode=test, planted modules only", nothing, TEST, 0),
    Case("--mode=test, the export names a module", evil_environment, TEST, 2),
    Case("--mode=test, settings.flags names a module", has_line("--env_id=evil:X-v0"), TEST, 0),
    Case("--init_from an export that names a module", evil_environment,
         (*TRAIN, NEW, "--init_from={run}/saved_model"), 0),
    Case("--init_from a log directory that names one", has_line("--network=evil:f"),
         (*TRAIN, NEW, "--init_from={run}"), 0),
    Case("--init_from a checkpoint with a pickle", pickles, (*TRAIN, NEW, "--init_from={run}"), 2),
    Case("--teacher, the export names a module", evil_environment, (*TRAIN, NEW, "--teacher={run}/saved_model"), 0),
    Case("resume, planted modules only", nothing, GO_ON, 0),
    Case("resume, settings.flags names an environment", has_line("--env_id=evil:X-v0"), GO_ON, 2),
    Case("resume, it names a network", has_line("--network=evil:f"), GO_ON, 2),
    Case("resume, it names an algorithm", has_line("--algorithm=evil:f"), GO_ON, 2),
    Case("resume, it names a teacher", has_line("--teacher=saved_model"), GO_ON, 2),
    Case("resume, it trusts itself", has_line("--network=evil:f\n--trust_modules=evil"), GO_ON, 2),
    Case("resume, its checkpoint has a pickle", pickles, GO_ON, 2),
    Case("--flagfile that names a module", has_line("--network=evil:f"),
         ("impala_tf.experiment", "--flagfile={run}/settings.flags", NEW), 2),
    Case("counter-check: evaluate, trusted", evil_environment, (*EVALUATE, "--trust_modules=evil"), 2, True),
    Case("counter-check: resume, trusted", has_line("--network=evil:f"), (*GO_ON, "--trust_modules=evil"), 2, True),
)  # fmt: skip


def plant(directory: pathlib.Path, marker: pathlib.Path) -> None:
    for name in NAMES:
        (directory / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write(f'{{__file__}}\\n')\n")


def run_case(case: Case, number: int, sound: pathlib.Path, work: pathlib.Path) -> dict[str, Any]:
    """Runs one case in a fresh copy of the log directory, and returns its row."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run, marker = work / "run", work / "RAN"
    shutil.copytree(sound, run)
    places = {"beside": work, "in the log directory": run, "in the export": run / "saved_model"}
    for directory in places.values():
        plant(directory, marker)
    case.change(run)
    place = list(places)[number % len(places)]
    command = [sys.executable, "-m", *(text.format(run=run) for text in case.arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=places[place], env=environment, capture_output=True, text=True, timeout=LIMIT_SECS
    )
    lines = done.stderr.strip().splitlines() or [""]
    imported = marker.exists()
    holds = imported == case.imports and done.returncode == case.code and "Traceback" not in done.stderr
    return dict(
        case=case.name,
        started=place,
        exit_code=done.returncode,
        planted_module_imported=imported,
        as_it_should_be=holds,
        last_line=lines[-1].replace(str(work), "")[-300:],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only cases with this in their name; nothing is written")
    only = parser.parse_args().only
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        sound, work = pathlib.Path(directory) / "sound", pathlib.Path(directory) / "work"
        command = [sys.executable, "-m", *TRAIN, "--total_environment_frames=3000", "--keep_checkpoints=1"]
        subprocess.run([*command, f"--logdir={sound}"], cwd=ROOT, check=True, capture_output=True)
        for number, case in enumerate(CASES):
            if only in case.name:
                rows.append(run_case(case, number, sound, work))
                print(*rows[-1].values(), sep=" | ", flush=True)
    if not only:
        content = dict(command="python scripts/prove_strangers.py", cases=rows)
        (RESULTS / "strangers.json").write_text(json.dumps(content, indent=2) + "\n")
    sys.exit(not all(row["as_it_should_be"] for row in rows))


if __name__ == "__main__":
    main()
