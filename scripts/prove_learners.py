"""Proves that several learners are one, and that they end when one of them does; writes docs/results/learners.json.

  python scripts/prove_learners.py                                    2 and 4 learners, then 20 kills and 3 freezes
  python scripts/prove_learners.py --learners=2 --cases=mlp --kills=0 --freezes=0 --results=/tmp/learners.json

Each case compares L learners, each with its part of a batch, with one learner of the joined batch, and their run that
was resumed with the one that was not. A kill is SIGKILL, a freeze SIGSTOP, of one of two learners that train CartPole.
What the file has already stays: kills are added until there are so many.
"""

import argparse
import csv
import functools
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASES = {
    "mlp": {},
    "lstm": dict(core="lstm", core_size=8),
    "normalised": dict(normalise_observations=True, normalise_returns=True),
    "xla": dict(normalise_observations=True, normalise_returns=True, core="lstm", core_size=8, xla="on"),
    "popart": dict(popart=True),
    "frames": dict(centre_frames=True, network="shallow", separate_value_network=False),
    "impact": dict(algorithm="impact", kl_cost=1.0, kl_target=0.01),
    "skip": dict(on_nonfinite="skip", normalise_observations=True, optimizer="adam"),
}
SPOILT = (3, 4, 12)  # In these batches of the case skip, the last learner's rewards are NaN.
T, B = 5, 4  # Steps of an unroll, and unrolls in the batch of one learner.
ATTEMPTS = 3
LOST = 3  # Exit code of a learner that has lost the others.
START_SECS, END_SECS = 120.0, 60.0  # Longest time to the first checkpoint, and to the end of those that are left.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", default="2,4", help="numbers of learners, with commas between them")
    parser.add_argument("--cases", default=",".join(CASES), help=f"any of {', '.join(CASES)}")
    parser.add_argument("--updates", type=int, default=20, help="updates of each case")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=3)
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "docs" / "results" / "learners.json")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--hosts", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = arguments.cases.split(",")
    if arguments.worker is not None:
        work(arguments.worker, arguments.hosts.split(","), cases, arguments.updates, arguments.results)
        return
    found = dict(equality=[], kills=[], freezes=[])
    if arguments.results.exists():
        found |= json.loads(arguments.results.read_text())
    for number in map(int, filter(None, arguments.learners.split(","))):
        others = [row for row in found["equality"] if row["learners"] != number or row["case"] not in cases]
        found["equality"] = others + prove_equal(number, cases, arguments.updates)
        write(arguments.results, found)
    with tempfile.TemporaryDirectory() as logdir:
        for name, number, wanted in (
            ("kills", signal.SIGKILL, arguments.kills),
            ("freezes", signal.SIGSTOP, arguments.freezes),
        ):
            while len(found[name]) < wanted:
                found[name].append(end_one(pathlib.Path(logdir), number, victim=len(found[name]) % 2))
                print(name, found[name][-1], flush=True)
                write(arguments.results, found)


def write(path: pathlib.Path, found: dict) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n")


def load() -> float:
    """Returns the machine's mean load of the last minute, to a tenth."""
    return round(os.getloadavg()[0], 1)


def free_hosts(number: int) -> list[str]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("localhost", 0))
    hosts = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return hosts


# ------------------------------------------------------------------------------------------ several learners are one


def prove_equal(number: int, cases: list[str], updates: int) -> list[dict]:
    """Runs a cluster of learners through the cases. Returns a row for each."""
    for _ in range(ATTEMPTS - 1):
        rows = try_to_prove_equal(number, cases, updates)
        if rows:
            return rows
        print("a learner was lost; once more", flush=True)
    return try_to_prove_equal(number, cases, updates) or sys.exit("the learners lose each other again and again")


def try_to_prove_equal(number: int, cases: list[str], updates: int) -> list[dict]:
    """Returns no rows where learners lose each other: on a machine that stands still for ten seconds they do."""
    hosts = ",".join(free_hosts(number))
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, __file__, f"--hosts={hosts}", f"--cases={','.join(cases)}", f"--updates={updates}"]
        outputs = [pathlib.Path(directory) / f"{i}.json" for i in range(number)]
        processes = [
            subprocess.Popen([*command, f"--worker={i}", f"--results={output}"], cwd=ROOT)
            for i, output in enumerate(outputs)
        ]
        try:
            codes = [process.wait() for process in processes]
        finally:
            for process in processes:
                process.kill()
        if LOST in codes:
            return []
        if any(codes):
            sys.exit(f"{number} learners ended with {codes}")
        all_found = [json.loads(output.read_text()) for output in outputs]
    rows = []
    for name, *of_each in zip(cases, *all_found, strict=True):
        equal = len({one["digest"] for one in of_each}) == 1
        row = dict(learners=number, case=name, updates=updates, processes_equal=equal) | of_each[0] | dict(load=load())
        del row["digest"]
        print(row, flush=True)
        rows.append(row)
    return rows


def work(index: int, hosts: list[str], cases: list[str], updates: int, output: pathlib.Path) -> None:
    """Is one of the learners; it writes what it found of each case."""
    from impala_tf.support.others import ending_at_once, ending_with_others
    from impala_tf.support.startup import import_tensorflow

    with ending_at_once(1), ending_with_others():
        learners = import_tensorflow(functools.partial(make_cluster, hosts, index))
        found = []
        for name in cases:
            start = time.monotonic()
            found.append(prove_case(name, learners, updates))
            print(f"learner {index}: {name} took {time.monotonic() - start:.0f} s", flush=True)
        output.write_text(json.dumps(found))
        learners.from_chief(b"")  # Nobody ends before all are done.


def make_cluster(hosts: list[str], index: int):
    from impala_tf.learning.cluster import Cluster

    return Cluster(hosts, index)


def prove_case(name: str, learners, updates: int) -> dict:
    import numpy as np

    settings = CASES[name]
    learner = make_learner(settings, learners, seed=1 + learners.index)  # Only the chief's weights count.
    learner.take_from_chief()
    start = learner.agent.flat_weights().numpy()
    batches = [make_batch(learner, seed, learners.size) for seed in range(updates)]
    if name == "skip":
        batches = [with_nan(batch) if i in SPOILT else batch for i, batch in enumerate(batches)]
    for i, batch in enumerate(batches):
        if i == updates // 2:
            middle = learner.state()
        result = learner.update(part_of(batch, learners.index), num_steps=100)
    end, frames = learner.state(), learner.environment_frames
    if learners.index == 0:
        learner.restore(middle)
    learner.take_from_chief()
    for batch in batches[updates // 2 :]:
        learner.update(part_of(batch, learners.index), num_steps=100)
    row = dict(
        digest=hashlib.sha256(b"".join(np.asarray(end[key]).tobytes() for key in sorted(end))).hexdigest(),
        resumed_equals_unbroken=all(np.array_equal(end[key], value) for key, value in learner.state().items()),
        frames=frames,
    )
    if learners.index == 0:
        single = make_learner(settings, None, seed=1)
        for batch in batches:
            expected = single.update(batch, num_steps=100 * learners.size)
        num_weights = sum(v.shape.num_elements() for v in single.agent.variables)
        ours, theirs = result.flat_weights.numpy(), expected.flat_weights.numpy()
        row |= dict(
            largest_difference=float(np.abs(ours - theirs)[:num_weights].max()),
            moved=float(np.abs(theirs - start)[:num_weights].max()),
            largest_relative_difference_of_statistics=relative(ours[num_weights:], theirs[num_weights:]),
            largest_relative_difference_of_metrics=relative(result.metrics.numpy(), expected.metrics.numpy()),
        )
    return row


def relative(ours, theirs) -> float:
    """Returns the largest difference of two arrays, of numbers above 1 in units of these."""
    import numpy as np

    return float(np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)), initial=0.0))


def make_learner(settings: dict, learners, seed: int):
    import gymnasium as gym
    import numpy as np

    from impala_tf.algorithms import make_algorithm
    from impala_tf.config import Config
    from impala_tf.learning.cluster import ALONE
    from impala_tf.learning.learner import Learner
    from impala_tf.networks import make_agent

    config = Config(**({"xla": "off", "policy_init_scale": 1.0, "seed": seed} | settings))
    frames, numbers = gym.spaces.Box(0, 255, (84, 84, 1), np.uint8), gym.spaces.Box(-9, 9, (4,), np.float32)
    agent = make_agent(config, frames if config.centre_frames else numbers, gym.spaces.Discrete(3))
    return Learner(config, agent, make_algorithm(config), "/CPU:0", learners=learners or ALONE)


def make_batch(learner, seed: int, number: int):
    """Makes the joined batch of so many learners: a group for each, [number, T + 1, B, ...]."""
    import numpy as np
    import tensorflow as tf

    from impala_tf.types import EnvOutput, Unroll

    draw = np.random.default_rng(seed)
    rows, steps = (number, T + 1, B), (number, T, B)
    space = learner.agent.observation_space
    if space.dtype == np.uint8:
        observation = draw.integers(256, size=(*rows, *space.shape), dtype=np.uint8)
    else:
        observation = (draw.normal(size=(*rows, *space.shape)) * [1, 10, 0.1, 1] + [0, 50, 0, -3]).astype(np.float32)
    first = draw.random(rows) < 0.07
    nothing = np.zeros(rows, bool)
    numbers = [draw.normal(size=rows).astype(np.float32) for _ in range(2)]
    env_outputs = EnvOutput(
        numbers[0], nothing, nothing, first, observation, 0 * numbers[0], np.zeros(rows, np.int32), 20 * numbers[1]
    )
    batch = Unroll(
        env_outputs=env_outputs,
        actions=draw.integers(3, size=steps),
        behaviour_parameters=draw.normal(size=(*steps, 3)).astype(np.float32),
        behaviour_baselines=np.zeros((*steps, 0), np.float32),
        last_action=draw.integers(3, size=(number, B)),
        core_state=draw.normal(size=(number, B, learner.agent.state_size)).astype(np.float32),
        policy_version=np.zeros((number, B), np.int64),
        actor=np.zeros((number, B), np.int32),
        task=np.zeros((number, B), np.int32),
    )
    return tf.nest.map_structure(tf.constant, batch)


def with_nan(batch):
    """Returns the batch with rewards of the last learner that are NaN."""
    import tensorflow as tf

    rows = batch.env_outputs
    reward = tf.concat([rows.reward[:-1], rows.reward[-1:] * float("nan")], axis=0)
    return batch._replace(env_outputs=rows._replace(reward=reward))


def part_of(batch, index: int):
    """Returns the batch of one learner, in one group."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda leaf: leaf[index : index + 1], batch)


# ---------------------------------------------------------------------------------- when one ends, the others end too


def end_one(logdir: pathlib.Path, number: int, victim: int) -> dict:
    """Trains with two learners from the directory's checkpoint, and stops one by a signal. Returns what happened."""
    hosts = ",".join(free_hosts(2))
    before = newest_checkpoint(logdir)
    command = [sys.executable, "-m", "impala_tf.experiment", f"--logdir={logdir}", f"--learner_hosts={hosts}"]
    command += ["--num_actors=1", "--checkpoint_every_updates=40", "--total_environment_frames=1000000000"]
    errors = [logdir / f"learner-{i}.txt" for i in range(2)]
    processes = []
    for i, path in enumerate(errors):
        with path.open("wb") as file:
            processes.append(subprocess.Popen([*command, f"--learner_index={i}"], cwd=ROOT, stdout=file, stderr=file))
    try:
        start, first_frames = time.monotonic(), None
        while newest_checkpoint(logdir) < before + 40:
            if time.monotonic() - start > START_SECS or any(process.poll() is not None for process in processes):
                sys.exit("the learners did not train:\n" + "\n".join(path.read_text() for path in errors))
            time.sleep(0.05)
        first_frames = first_row(logdir, before)
        time.sleep(random.random())  # At any moment of an update.
        processes[victim].send_signal(number)
        stopped = time.monotonic()
        survivor = processes[1 - victim]
        code = survivor.wait(END_SECS)
        secs = time.monotonic() - stopped
    finally:
        for process in processes:
            process.kill()
            process.wait()
    lines = [
        line for line in re.split("[\r\n]", errors[1 - victim].read_text()) if line.startswith("impala_tf: learner")
    ]
    return dict(
        victim="the chief" if victim == 0 else "the other",
        secs=round(secs, 2),
        exit_code=code,
        lines_about_it=len([line for line in lines if "ends, since another" in line]),
        went_on_from_update=before,
        frames_of_its_first_row=first_frames,
        load=load(),
    )


def newest_checkpoint(logdir: pathlib.Path) -> int:
    """Returns the update of the newest checkpoint; 0 where there is none."""
    return max((int(path.stem.split("-")[1]) for path in (logdir / "checkpoints").glob("checkpoint-*.npz")), default=0)


def first_row(logdir: pathlib.Path, updates: int) -> int:
    """Returns the frames in the first row of metrics.csv after so many updates."""
    with (logdir / "metrics.csv").open() as file:
        return next(
            (int(row["environment_frames"]) for row in csv.DictReader(file) if int(row["updates"]) > updates), 0
        )


if __name__ == "__main__":
    main()
