"""Makes NaN in each place of a run, and shows what the run does then; writes docs/results/finite.csv.

  python scripts/prove_finite.py                          every case, each by itself
  python scripts/prove_finite.py --only=CartPole --again  the cases of which any column contains this text, once more
  python scripts/prove_finite.py --speed=10               speed with the checks and without, by turns: finite_speed.csv

A case trains with small settings. In an update in the middle it makes one number NaN: in the batch (reward,
observation), in the gradient, in a weight or in a statistic of normalisation; or an environment emits it. What the file
has already stays.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import forks
import prove_learners
import reproducing

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAN = float("nan")
AT = 20  # NaN is made in the update after so many.
LONGEST = 10  # A run ends within so many updates after it.
TIMEOUT_SECS = 180.0

SMALL = dict(num_actors=2, num_envs_per_actor=4, batch_size=4, unroll_length=10, hidden_sizes=(16,))
SMALL |= dict(
    checkpoint_every_updates=8, checkpoint_every_secs=0.0, total_environment_frames=10_000, log_every_secs=0.1
)
IMAGES = dict(separate_value_network=False, normalise_returns=True, unroll_length=5)
ENVIRONMENTS = {
    "CartPole-v1": dict(normalise_observations=True, normalise_returns=True),
    "Pendulum-v1": dict(normalise_observations=True, normalise_returns=True),
    "MinAtar/Breakout-v0": IMAGES,
    "ALE/Pong-v5": IMAGES | dict(network="shallow", num_action_repeats=4, total_environment_frames=40_000),
}
# More settings on CartPole, by name.
MORE = {
    "impact": dict(algorithm="impact", kl_cost=1.0),
    "ppo": dict(algorithm="ppo", minibatches=2),
    "a3c": dict(architecture="a3c"),
    "a2c_sync_trajectory": dict(architecture="a2c_sync_trajectory", batch_size=8),
    "popart": dict(popart=True),
    "rnd": dict(rnd=True),
    "lstm": dict(core="lstm", core_size=8, use_last_action_and_reward=True),
    "replay": dict(replay_fraction=0.5, replay_sampling="prioritised"),
    "processes": dict(actor_backend="processes"),
}
PLACES = ("reward", "observation", "gradient", "weights", "statistics of normalisation")
FROM_ENVIRONMENT = {
    "environment's reward": "gave nan in its reward",
    "environment's observation": "gave nan in its obs",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A case is a run in which NaN is made.

    settings: name of the settings, "default" or one of MORE.
    how_often: "once" or "always" from update AT on.
    """

    env_id: str
    xla: str
    place: str
    settings: str = "default"
    on_nonfinite: str = "stop"
    how_often: str = "once"
    learners: int = 1

    def config_fields(self) -> dict:
        more = MORE.get(self.settings, {})
        usual = ENVIRONMENTS[self.env_id]
        if more.get("architecture") == "a3c" or "popart" in more:
            usual = {}
        fields = SMALL | usual | more | dict(env_id=self.env_id, xla=self.xla, on_nonfinite=self.on_nonfinite)
        if self.place in FROM_ENVIRONMENT:
            fields |= dict(env_id="Spoilt-v0", vectorization="sync")
        return fields

    def expected(self) -> str:
        """Returns a regular expression of the line that the run should end with."""
        if self.on_nonfinite == "skip" and self.how_often == "once":
            return "^$"
        if self.place in FROM_ENVIRONMENT:
            return f"^--env_id=Spoilt-v0: {FROM_ENVIRONMENT[self.place]}"
        where = " of learner 1" if self.learners > 1 and self.place in ("reward", "observation") else ""
        before = r", as the \d before it," if self.on_nonfinite == "skip" else ""
        return rf"^update \d+{before} is not finite: {self.place}{where} went first; "


def all_cases() -> list[Case]:
    cases = []
    for env_id in ENVIRONMENTS:
        for xla in ("on", "off"):
            cases += [Case(env_id, xla, place) for place in PLACES if can_be_nan(env_id, place)]
    for env_id in ("CartPole-v1", "Pendulum-v1"):
        cases += [Case(env_id, "off", place) for place in FROM_ENVIRONMENT]
    for name, more in MORE.items():
        places = ("reward", "gradient", "weights")
        cases += [Case("CartPole-v1", xla, place, name) for xla in ("on", "off") for place in places]
        if "popart" in more:
            cases.append(Case("CartPole-v1", "on", "statistics of normalisation", name))
    for name in ("default", "impact", "ppo", "a3c", "a2c_sync_trajectory", "popart", "rnd", "replay"):
        for often in ("once", "always"):
            cases.append(Case("CartPole-v1", "on", "reward", name, "skip", often))
            cases.append(Case("CartPole-v1", "off", "gradient", name, "skip", often))
    for on_nonfinite in ("stop", "skip"):
        for place in ("reward", "gradient"):
            cases.append(Case("CartPole-v1", "on", place, "default", on_nonfinite, learners=2))
    return cases


def can_be_nan(env_id: str, place: str) -> bool:
    """Returns whether the place holds floating-point numbers: Pong's and MinAtar's observations are bytes and bools."""
    return place != "observation" or env_id in ("CartPole-v1", "Pendulum-v1")


# ------------------------------------------------------------------------------------------------------ making NaN


class Spoiler:
    """Counts the batches that are learned from, and makes NaN in the one after AT others, or in all from there on.

    place: any of PLACES or FROM_ENVIRONMENT; another text spoils nothing.

    count: number of batches that updates, or A3C's workers, have begun with.
    count_at_nan: `count` when NaN was made.
    """

    def __init__(self, place: str, how_often: str):
        self.count = 0
        self.count_at_nan = AT
        self._place = place
        self._how_often = how_often
        self._factor = None

    @contextlib.contextmanager
    def installed(self):
        """Puts itself before the learner and A3C's workers."""
        from impala_tf.learning.gradients import GradientWorker
        from impala_tf.learning.learner import Learner
        from impala_tf.learning.objective import Objective

        plain = Learner.update, GradientWorker.gradients, Objective.evaluate

        def update(learner, groups, *others, **named):
            return plain[0](learner, self.spoil(groups, learner.agent), *others, **named)

        def gradients(worker, groups, *others):
            return plain[1](worker, self.spoil(groups, worker._objective.agent), *others)

        def evaluate(objective, *inputs):
            evaluated = plain[2](objective, *inputs)
            return evaluated._replace(gradients=[self._factor * gradient for gradient in evaluated.gradients])

        Learner.update, GradientWorker.gradients, Objective.evaluate = update, gradients, evaluate
        try:
            yield
        finally:
            Learner.update, GradientWorker.gradients, Objective.evaluate = plain

    def spoil(self, groups, agent):
        """Counts a batch, makes NaN when it is time, and returns the batch."""
        import tensorflow as tf

        if self._factor is None:  # Several learners must find each other before TensorFlow's first op.
            self._factor = tf.Variable(1.0)
        self.count += 1
        is_time = self.count == AT + 1 or (self.count > AT and self._how_often == "always")
        self._factor.assign(NAN if self._place == "gradient" and is_time else 1.0)
        if not is_time:
            return groups
        if self._place in ("weights", "statistics of normalisation"):
            variable = (agent.variables if self._place == "weights" else agent.statistics)[0]
            variable.assign(with_nan(variable))
        if self._place not in ("reward", "observation"):
            return groups
        rows = groups.env_outputs
        return groups._replace(env_outputs=rows._replace(**{self._place: with_nan(getattr(rows, self._place))}))

    def environment(self, env_id: str, **settings):
        """Returns an environment that emits NaN once, at its step 200."""
        import gymnasium as gym

        spoiler = self

        class Spoilt(gym.Wrapper):
            steps = 0

            def step(self, action):
                observation, reward, *rest = self.env.step(action)
                self.steps += 1
                if self.steps == 200:
                    spoiler.count_at_nan = spoiler.count
                    in_reward = spoiler._place.endswith("reward")
                    observation, reward = (observation, NAN) if in_reward else (observation * NAN, reward)
                return observation, reward, *rest

        return Spoilt(gym.make(env_id, **settings))


def with_nan(tensor):
    """Returns the tensor with NaN in the middle."""
    import numpy as np
    import tensorflow as tf

    content = np.array(tensor)
    content.flat[content.size // 2] = NAN
    return tf.convert_to_tensor(content)


def work(case: Case, logdir: str, hosts: str, learner: int) -> None:
    """Is the process of a case. It prints END, the number of batches after the NaN, and the line that ended the run."""
    import impala_tf
    from impala_tf.config import Config, SettingError
    from impala_tf.support import others

    config = Config(**case.config_fields(), logdir=logdir, learner_hosts=hosts, learner_index=learner)
    spoiler = Spoiler(case.place if learner == case.learners - 1 else "none", case.how_often)
    make_env = functools.partial(spoiler.environment, case.env_id) if case.place in FROM_ENVIRONMENT else None
    with others.ending_at_once(2) if hosts else contextlib.nullcontext():
        line = ""
        try:
            with spoiler.installed():
                impala_tf.train(config, make_env=make_env)
        except SettingError as error:
            line = str(error)
        print(f"\nEND {spoiler.count - spoiler.count_at_nan} {line}", flush=True)


# --------------------------------------------------------------------------------------------------------- judging


def run_case(case: Case) -> dict:
    """Runs a case, each learner in a fork of its own. Returns its row."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        hosts = ",".join(prove_learners.free_hosts(case.learners)) if case.learners > 1 else ""
        outputs = [directory / f"output-{learner}.txt" for learner in range(case.learners)]
        children = [
            forks.start(functools.partial(work, case, str(directory / "run"), hosts, learner), path)
            for learner, path in enumerate(outputs)
        ]
        codes = [forks.wait(child, TIMEOUT_SECS) for child in children]
        checking = forks.start(functools.partial(check_export, directory / "run"), directory / "check.json")
        forks.wait(checking, TIMEOUT_SECS)
        texts = [path.read_text(errors="replace") for path in outputs]
        found = judge(case, texts, last_json(directory / "check.json"))
        if None in codes:
            found |= dict(passed=False, line=f"not through after {TIMEOUT_SECS:g} s")
        if not found["passed"]:
            print("\n".join(texts), flush=True)
    secs = round(time.monotonic() - started, 1)
    return dataclasses.asdict(case) | found | dict(secs=secs, load=prove_learners.load())


def last_json(path: pathlib.Path) -> dict:
    """Returns the JSON in the last line of a file; nothing where that is none."""
    lines = path.read_text(errors="replace").splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def judge(case: Case, texts: list[str], files: dict) -> dict:
    """Returns what a run did, and whether that was right. texts: output of each learner. files: see `check_export`."""
    ends = [re.findall(r"^END (\d+) (.*)$", text, re.MULTILINE) for text in texts]
    lines = {end[-1][1] if end else "(it did not end)" for end in ends}
    counts = [int(end[-1][0]) for end in ends if end]
    found = dict(
        updates_after=max(counts, default=-1),
        line=" / ".join(sorted(lines)),
        tracebacks=sum(text.count("Traceback") for text in texts),
        skipped_updates=-1,
        export_is_finite=False,
        export_is_last_checkpoint=False,
    )
    found |= files
    goes_on = case.on_nonfinite == "skip" and case.how_often == "once"
    num_skipped = (1 if case.how_often == "once" else 9) if case.on_nonfinite == "skip" else 0
    passed = (
        len(lines) == 1
        and re.search(case.expected(), found["line"])
        and all(count > LONGEST if goes_on else count <= LONGEST for count in counts)
        and not found["tracebacks"]
        and found["skipped_updates"] == num_skipped
        and found["export_is_finite"]
        and found["export_is_last_checkpoint"]
    )
    return found | dict(passed=bool(passed))


def check_export(logdir: pathlib.Path) -> None:
    """Prints what a run has left: whether the export is finite and has the weights of the last checkpoint, skips."""
    import numpy as np

    from impala_tf.evaluation.export import exported_arrays
    from impala_tf.learning.state import arrays_by_part

    paths = sorted((logdir / "checkpoints").glob("checkpoint-*.npz"))
    exported, saved = exported_arrays(logdir / "saved_model"), arrays_by_part(dict(np.load(paths[-1])))
    rows = reproducing.read(logdir / "metrics.csv")
    found = dict(
        skipped_updates=sum(int(float(row["skipped_updates"])) for row in rows),
        export_is_finite=all(bool(np.isfinite(array).all()) for array in exported.values()),
        export_is_last_checkpoint=all(np.array_equal(exported[name], array) for name, array in saved.items()),
    )
    print(json.dumps(found))


def prove(only: str, again: bool, path: pathlib.Path) -> None:
    """Runs all cases that the table has not, and writes it after each. Ends with 1 when one of them is not right."""
    forks.import_all()
    rows = {key_of(row): row for row in reproducing.read(path)}
    cases = all_cases()
    for case in cases:
        key = key_of(dataclasses.asdict(case))
        if only not in " ".join(key) or (key in rows and not again):
            continue
        rows[key] = run_case(case)
        print(" ".join(key), "passed" if rows[key]["passed"] else f"FAILED {rows[key]}", flush=True)
        order = [key_of(dataclasses.asdict(each)) for each in cases]
        reproducing.write(path, [rows[each] for each in order if each in rows])
    failed = [" ".join(key) for key, row in rows.items() if str(row["passed"]) != "True"]
    print(f"{len(rows) - len(failed)} of {len(rows)} cases passed")
    sys.exit("\n".join(failed) or 0)


def key_of(row: dict) -> tuple[str, ...]:
    return tuple(str(row[field.name]) for field in dataclasses.fields(Case))


# ----------------------------------------------------------------------------------------------------------- speed


@contextlib.contextmanager
def without_checks():
    """Takes the checks out of the graphs that are traced within."""
    import tensorflow as tf

    from impala_tf.learning import finite

    plain = finite.are_finite, finite.batch_marks, finite.state_marks
    finite.are_finite = lambda tensors: tf.constant(True)
    finite.batch_marks = lambda *inputs: tf.zeros([len(finite.BATCH)])
    finite.state_marks = lambda *inputs: tf.zeros([len(finite.STATE)])
    try:
        yield
    finally:
        finite.are_finite, finite.batch_marks, finite.state_marks = plain


def measure_speed(turns: int, secs: float, path: pathlib.Path) -> None:
    """Measures the learner alone and whole runs, with the checks and without by turns; writes a row for each turn.

    The learner's speed is that of CartPole's default settings, with XLA and without.
    """
    from impala_tf.benchmarks import training_run
    from impala_tf.benchmarks.measure import Rate
    from impala_tf.config import Config

    rows = []

    def turn(what: str, measure: Callable[[bool], Rate]) -> None:
        order = (True, False) if len(rows) % 2 else (False, True)  # What comes second must not be the same always.
        found = {is_checked: measure(is_checked) for is_checked in order}
        rows.append(
            dict(
                what=what,
                steps_per_sec_with=round(found[True].steps_per_sec),
                steps_per_sec_without=round(found[False].steps_per_sec),
                ratio=round(found[True].steps_per_sec / found[False].steps_per_sec, 4),
                cpu_micros_per_step_with=round(1e6 * found[True].cpu_secs_per_step, 4),
                cpu_micros_per_step_without=round(1e6 * found[False].cpu_secs_per_step, 4),
                cpu_ratio=round(found[True].cpu_secs_per_step / found[False].cpu_secs_per_step, 4),
                load=prove_learners.load(),
            )
        )
        print(rows[-1], flush=True)
        reproducing.write(path, rows)

    def whole_run(is_checked: bool) -> Rate:
        with contextlib.nullcontext() if is_checked else without_checks():
            return training_run.measure(Config(), secs).rate

    for xla in ("on", "off"):
        learners = {is_checked: learner_alone(Config(xla=xla), is_checked) for is_checked in (True, False)}
        for _ in range(20 * turns):
            turn(f"learner alone, XLA {xla}", lambda is_checked, learners=learners: learners[is_checked](0.5))
    for _ in range(turns):
        turn("whole run", whole_run)
    for what in dict.fromkeys(row["what"] for row in rows):
        for column in ("ratio", "cpu_ratio"):
            ratios = [row[column] for row in rows if row["what"] == what]
            error = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else math.nan
            mean, middle = statistics.mean(ratios), statistics.median(ratios)
            print(f"{what}: {column}: mean {mean:.4f} +- {error:.4f}, median {middle:.4f} of {len(ratios)} turns")


def learner_alone(config, is_checked: bool) -> Callable:
    """Returns a function that makes updates for some seconds and returns their speed."""
    import tensorflow as tf

    from impala_tf import environments
    from impala_tf.algorithms import make_algorithm
    from impala_tf.benchmarks.ceilings import synthetic_unrolls
    from impala_tf.benchmarks.measure import Rate
    from impala_tf.learning.learner import Learner
    from impala_tf.networks import make_agent
    from impala_tf.running.actors import unroll_spec_of

    spec = environments.spec_of(config)
    agent = make_agent(config, spec.observation_space, spec.action_space)
    learner = Learner(config, agent, make_algorithm(config), "/CPU:0")
    unrolls = synthetic_unrolls(unroll_spec_of(agent, config.unroll_length), spec.observation_space, config.batch_size)
    batch = tf.nest.map_structure(tf.convert_to_tensor, unrolls)
    with contextlib.nullcontext() if is_checked else without_checks():
        learner.update(batch, 0)

    def measure(secs: float) -> Rate:
        steps, started, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() < started + secs:
            learner.update(batch, 0).metrics.numpy()
            steps += config.unroll_length * config.batch_size
        return Rate(steps / (time.perf_counter() - started), (time.process_time() - cpu) / steps)

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="text that a column of the case contains")
    parser.add_argument("--again", action="store_true", help="run cases that the file has already once more")
    parser.add_argument("--speed", type=int, default=0, help="number of turns")
    parser.add_argument("--secs", type=float, default=15.0, help="length of one measurement of a run")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "docs" / "results")
    arguments = parser.parse_args()
    if arguments.speed:
        measure_speed(arguments.speed, arguments.secs, arguments.results / "finite_speed.csv")
    else:
        prove(arguments.only, arguments.again, arguments.results / "finite.csv")


if __name__ == "__main__":
    main()
