"""`connect` wires all the parts, `train` runs the threads of the architecture and supervises them."""

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from impala_tf import architectures, bottleneck, environments, signals
from impala_tf.actor import Actor, BaseActor
from impala_tf.checkpoints import Checkpoints
from impala_tf.config import Config, SettingError, environment_settings
from impala_tf.evaluator import Evaluator
from impala_tf.export import export
from impala_tf.inference import DynamicBatchingPolicy, LocalPolicy, Policy
from impala_tf.learner import Learner, default_device
from impala_tf.logdir import BEST_MODEL, SAVED_MODEL, LogDir
from impala_tf.messages import number
from impala_tf.metrics import Metrics
from impala_tf.networks import Agent, make_agent
from impala_tf.partial_actor import PartialActor
from impala_tf.profile import Profile
from impala_tf.run import Run, save
from impala_tf.spaces import zeros
from impala_tf.threads import Closed, Crew, Slot
from impala_tf.types import ArraySpec
from impala_tf.unroll_queue import UnrollQueue, UnrollSpec, unroll_spec
from impala_tf.weights import WeightStore

JOIN_SECS = 20.0  # How long the threads may take to finish the unrolls and the update in hand.
POLL_SECS = 0.1  # How often the main thread looks for signals.


class Summary(NamedTuple):
    """How a run ended. mean_return: of the last 100 episodes. seconds: of training, without start-up and export.

    bottleneck: where the time went, in words.
    """

    environment_frames: int
    updates: int
    episodes: int
    mean_return: float
    seconds: float
    bottleneck: str
    logdir: LogDir


def connect(config: Config, logdir: LogDir, make_torso: Callable | None = None) -> Run:
    """Makes and wires all parts; resumes from the log directory's newest checkpoint if it has one.

    make_torso: see `impala_tf.train`.
    """
    spaces = environments.spec_for_training(config)
    make_one_agent = functools.partial(
        make_agent, config, spaces.observation_space, spaces.action_space, make_torso, len(spaces.tasks)
    )
    device = "/CPU:0" if config.architecture == "a3c" else default_device()
    with tf.device(device):
        learner = Learner(config, make_one_agent(), device)

    random = np.random.default_rng(config.seed)
    checkpoints = Checkpoints(
        logdir.checkpoints, config.keep_checkpoints, config.checkpoint_every_secs, config.checkpoint_every_updates
    )
    arrays, info = logdir.checkpoint or (None, None)
    if arrays is not None:
        try:
            learner.restore(arrays)
        except (KeyError, ValueError) as error:
            raise SettingError(
                f"--logdir={logdir.path}: its checkpoint is of another network ({error}); give another directory"
            ) from error
    metrics = Metrics(logdir.path, Learner.STATISTICS, spaces.tasks)
    if info is not None:
        metrics.restore(info["metrics"], learner.environment_frames)
        random.bit_generator.state = info["random"]
        checkpoints.saved(learner.updates)

    agent = learner.agent
    spec = spec_for(agent, config.unroll_length)
    queue = UnrollQueue(spec, config.batch_size, unrolls_at_once(config), config.queue_capacity)

    weights = WeightStore(config.policy_lag)
    seed = int(random.integers(2**31))  # Drawn anew when a run is resumed, so that it does not replay its beginning.
    policies = make_policies(config, make_one_agent, weights, seed)
    at_once = concurrent_actors(config, spaces.vectorization)
    actors = make_actors(config, seed, policies, spec, queue.group, at_once)
    weights.publish(learner.updates, agent.flat_weights())

    turns = threading.Semaphore(at_once)
    staged = Slot()
    evaluator = None
    if config.evaluate_every_frames:
        frames = learner.environment_frames
        with tf.device("/CPU:0"):
            evaluator = Evaluator(config, make_one_agent(), spaces.tasks, metrics, logdir.checkpoints, frames, warn)
    crew = Crew()
    crew.on_stop(queue.close)
    crew.on_stop(weights.close)
    crew.on_stop(staged.close)
    return Run(
        config, logdir, random, learner, weights, queue, staged, actors, turns, metrics, checkpoints, crew, evaluator
    )


def spec_for(agent: Agent, unroll_length: int) -> UnrollSpec:
    """What the unrolls of an agent look like."""
    space, distribution = agent.observation_space, agent.distribution
    action = ArraySpec(distribution.action_shape, np.dtype(distribution.action_dtype.as_numpy_dtype))
    observation = tf.nest.map_structure(lambda x: ArraySpec(x.shape, x.dtype), zeros(space))
    return unroll_spec(unroll_length, observation, action, distribution.num_parameters, agent.state_size)


def unrolls_at_once(config: Config) -> int:
    """How many unrolls an actor makes at once."""
    if config.envs_per_step:
        return 1  # Environments that are handed out in parts end their unrolls one by one.
    return config.num_envs_per_actor * (config.num_actors if config.architecture == "a2c_sync_step" else 1)


def rows_per_call(config: Config) -> int:
    """Environments in one actor's policy call."""
    return config.envs_per_step or unrolls_at_once(config)


def make_actors(
    config: Config, seed: int, policies: list[Policy], spec: UnrollSpec, group: int, at_once: int
) -> list[BaseActor]:
    """at_once: how many actors may act at the same time."""
    num_envs = config.num_envs_per_actor
    if config.envs_per_step:
        parts = [environments.make_partial_environment(config, seed, i, num_envs) for i in range(config.num_actors)]
        return [PartialActor(i, part, policies[i], spec, seed) for i, part in enumerate(parts)]
    vectors = [environments.make_vector_environment(config, seed, i, num_envs) for i in range(config.num_actors)]
    if config.architecture == "a2c_sync_step":
        joined = environments.JoinedEnvironment(vectors, at_once)
        return [Actor(0, joined, policies[0], spec, group, seed)]
    return [Actor(i, vector, policies[i], spec, group, seed) for i, vector in enumerate(vectors)]


def concurrent_actors(config: Config, vectorization: str) -> int:
    """How many actors may act at the same time, see --concurrent_actors."""
    if config.concurrent_actors:
        return config.concurrent_actors
    # Environments in other processes or threads, and actors that wait for each other's requests, do not hold Python's
    # lock.
    if config.dynamic_batching or vectorization in ("async", *environments.IN_THREADS):
        return config.num_actors
    return max(1, environments.cores() - 1)


def make_policies(config: Config, make_one_agent, weights: WeightStore, seed: int) -> list:
    """A policy for each actor: copies of their own, or one that all share."""
    with tf.device("/GPU:0" if config.dynamic_batching and "GPU" in default_device() else "/CPU:0"):
        if not config.dynamic_batching:
            return [LocalPolicy(make_one_agent()) for _ in range(config.num_actors)]
        policy = DynamicBatchingPolicy(
            make_one_agent(),
            config.dynamic_batching_min,
            config.dynamic_batching_max,
            config.dynamic_batching_timeout_ms,
            seed,
        )
    weights.add_listener(policy.publish_to)
    return [policy] * config.num_actors


def supervise(run: Run, request: signals.Request) -> None:
    """The main thread: waits, writes metrics, shows progress, sees signals. Returns when the crew is stopping."""
    interval = 0.5 if sys.stderr.isatty() else 10.0
    profile = Profile(run.logdir.path, run.metrics) if run.config.profile else None
    with tqdm.tqdm(
        total=run.config.total_environment_frames,
        initial=run.learner.environment_frames,
        unit="frames",
        unit_scale=True,
        mininterval=interval,
        maxinterval=interval,
        dynamic_ncols=True,
    ) as bar:
        bar.set_postfix_str("building graphs")
        try:
            while not wait(run, request, run.config.log_every_secs, profile):
                show(run, bar)
        finally:
            if profile:
                profile.stop()
                if not profile.done:
                    warn("--profile: the run ended before its trace began")
        stuck = run.crew.join(JOIN_SECS)
        if stuck:
            warn(f"did not end within {JOIN_SECS:g} s: {', '.join(stuck)}")
        show(run, bar)


def wait(run: Run, request: signals.Request, seconds: float, profile: Profile | None) -> bool:
    """Waits until the crew is stopping, at most `seconds`. Returns whether it is."""
    deadline = time.monotonic() + seconds
    while not run.crew.wait(min(POLL_SECS, max(0.0, deadline - time.monotonic()))):
        if request.made:
            run.crew.stop()
        if profile:
            profile.tick()
        if time.monotonic() >= deadline:
            return False
    return True


def show(run: Run, bar: tqdm.tqdm) -> None:
    run.metrics.write_row(run.queue.size())
    mean = run.metrics.mean_return()
    text = "no episode has ended" if np.isnan(mean) else f"return {number(mean)}"
    bar.set_postfix_str(f"{text}, lag {run.metrics.last_lag:.1f}", refresh=False)
    bar.update(run.learner.environment_frames - bar.n)


def train(config: Config, logdir: LogDir, make_torso: Callable | None = None) -> Summary:
    """Trains until the budget is used, a thread fails, or SIGINT or SIGTERM comes; then saves and exports.

    Raises what failed first, after saving what had been learned before it.
    """
    run = connect(config, logdir, make_torso)
    logdir.write_settings(config)
    with signals.requests() as request:
        for name, work in architectures.THREADS[config.architecture](run).items():
            run.crew.start(name, work)
        if run.evaluator:
            frames = functools.partial(getattr, run.learner, "environment_frames")
            run.crew.start("evaluator", functools.partial(run.evaluator.work, run.crew, frames, run.weights.latest))
        try:
            supervise(run, request)
        except Exception as error:  # A full disk, a closed terminal.
            run.crew.stop(error)
            run.crew.join(JOIN_SECS)
        summary = Summary(
            run.learner.environment_frames,
            run.learner.updates,
            run.metrics.episodes,
            run.metrics.mean_return(),
            run.metrics.seconds,
            explain_time(run),
            logdir,
        )
        finish(run, summary, request)
    return summary


def explain_time(run: Run) -> str:
    seconds = bottleneck.Seconds(*(run.metrics.total_seconds(name) for name in bottleneck.Seconds._fields))
    rows = rows_per_call(run.config)
    if run.config.architecture == "a3c":
        return bottleneck.explain_workers(seconds, rows)
    return bottleneck.explain(seconds, rows, run.config.batch_size, run.config.architecture)


def finish(run: Run, summary: Summary, request: signals.Request) -> None:
    """Saves, exports, closes, and raises the error that ended the run, if one did."""
    errors = [run.crew.error] if run.crew.error else []
    for step in (
        lambda: run.metrics.write_text("bottleneck", summary.bottleneck),
        lambda: save_and_export(run),
        lambda: export_best(run, request),
        run.metrics.close,
        *(actor.close for actor in run.actors),
    ):
        try:
            step()
        except Exception as error:
            if errors:
                warn(f"after the error: {type(error).__name__}: {error}")
            errors.append(error)
    if errors:
        raise errors[0]


def save_and_export(run: Run) -> None:
    stuck = [name for name in run.crew.running() if name.startswith(("learner", "worker"))]
    if stuck:
        warn(f"{', '.join(stuck)}: still updating: not saved; the checkpoints before are kept")
        return
    save(run)
    export(run.learner.agent, run.logdir.path / SAVED_MODEL, export_info(run))


def export_info(run: Run) -> dict:
    return dict(environment=environment_settings(run.config))


def export_best(run: Run, request: signals.Request) -> None:
    """With --evaluate_every_frames: evaluates the weights at the end of the budget, and exports the best ever seen."""

    def pause(busy_secs: float) -> None:
        if request.made:
            raise Closed

    evaluator = run.evaluator
    if evaluator is None:
        return
    frames = run.learner.environment_frames
    at_end = frames >= run.config.total_environment_frames
    if at_end and not run.crew.error and not evaluator.has_evaluated(frames):
        warn(f"evaluating the weights at the end, {run.config.evaluate_num_episodes} episodes of each task")
        with contextlib.suppress(Closed), tf.device("/CPU:0"):
            evaluator.evaluate(frames, run.learner.updates, run.learner.agent.flat_weights(), pause)
    best = evaluator.best()
    if best:
        info = dict(score=evaluator.best_score, environment_frames=evaluator.best_frames)
        export(best, run.logdir.path / BEST_MODEL, export_info(run) | dict(best=info))


def warn(line: str) -> None:
    tqdm.tqdm.write(f"impala_tf: {line}", file=sys.stderr)
