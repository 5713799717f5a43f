"""Makes all components of a run and connects them; `connect` fits on one screen."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from impala_tf import environments
from impala_tf.acting.acting_graph import ActingGraph
from impala_tf.algorithms import make_algorithm
from impala_tf.algorithms.cloning import cloning_terms
from impala_tf.config import Config, SettingError
from impala_tf.environments import EnvironmentSpec
from impala_tf.evaluation.agent_player import AgentPlayer
from impala_tf.evaluation.evaluator import Evaluator
from impala_tf.evaluation.teachers import teacher_terms
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.experience.weights import WeightStore
from impala_tf.interfaces import Motivation
from impala_tf.learning.cluster import ALONE, Learners
from impala_tf.learning.devices import default_device
from impala_tf.learning.finite import check_weights
from impala_tf.learning.learner import Learner
from impala_tf.learning.rnd import RandomNetworkDistillation
from impala_tf.networks import Agent, make_agent
from impala_tf.networks.novelty import NoveltyNetworks
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.logdir import LogDir
from impala_tf.records.metrics import Metrics
from impala_tf.running.actors import concurrent_actors, make_acting_graphs, make_actors, run_unroll_spec
from impala_tf.running.exact import actors_seed, check_device, make_exact
from impala_tf.running.followers import check_settings, random_of
from impala_tf.running.hosts.backends import make_feeder
from impala_tf.running.needs import check_needs
from impala_tf.running.run import Run
from impala_tf.running.sources import make_queue, make_source
from impala_tf.running.start import take_weights
from impala_tf.support.messages import one_line, warn
from impala_tf.support.threads import Crew, Slot, Turns


def connect(
    config: Config,
    logdir: LogDir,
    make_torso: Callable | None = None,
    shape_rewards: Callable | None = None,
    learners: Learners = ALONE,
) -> Run:
    """Makes and connects all components; resumes from the log directory's newest checkpoint if it has one.

    make_torso, shape_rewards: functions of the same names of `impala_tf.train`.
    learners: all learners of the run; the others take the state of the chief.
    """
    check_settings(config, learners)
    spec = environments.spec_for_training(config)
    make_new_agent = functools.partial(
        make_agent, config, spec.observation_space, spec.action_space, make_torso, len(spec.tasks)
    )
    device = "/CPU:0" if config.architecture == "a3c" else default_device()
    algorithm = make_algorithm(config)
    check_needs(config, algorithm.needs)
    check_device(config, device)
    with tf.device(device):
        agent = make_new_agent()
        take_weights(config, agent, logdir.start)
        terms = [*teacher_terms(config, spec), *cloning_terms(config)]
        motivation = make_motivation(config, spec)
        learner = Learner(config, agent, algorithm, device, terms, shape_rewards, motivation, learners)
    unroll_spec = run_unroll_spec(config, learner.agent)
    weights = WeightStore(config.policy_lag)
    graph_of = make_acting_graphs(config, make_new_agent, weights, unroll_spec)
    run = connect_to(config, logdir, learner, weights, unroll_spec, graph_of, make_torso)
    evaluator = make_evaluator(config, spec, make_new_agent, run.metrics, logdir, learner.environment_frames)
    return run._replace(evaluator=evaluator)


def connect_to(
    config: Config,
    logdir: LogDir,
    learner: Learner,
    weights: WeightStore,
    unroll_spec: UnrollSpec,
    graph_of: Callable[[int], ActingGraph],
    make_torso: Callable | None = None,
) -> Run:
    """Makes the other components around those that have graphs; resumes as `connect` does, without an evaluator.

    graph_of: function that returns the graph in which an actor acts, from its index.
    """
    spec = environments.spec_for_training(config)
    metrics = Metrics(logdir.path, learner.metric_names, spec.tasks)
    checkpoints = make_checkpoints(config, logdir)
    if logdir.checkpoint:
        restore(learner, metrics, logdir)
        checkpoints.saved(learner.updates)
    learner.take_from_chief()
    random = random_of(config, learner.learners, learner.updates)
    if logdir.checkpoint:
        random.bit_generator.state = logdir.checkpoint[1]["random"]

    queue = make_queue(config, unroll_spec)
    num_at_once = concurrent_actors(config, spec.vectorization)
    # A resumed run draws another one, so that it does not replay its beginning; with --exact_resume it goes on.
    seed = actors_seed(config, int(random.integers(2**31)), logdir.checkpoint)
    check_weights(learner.agent)
    weights.publish(learner.updates, learner.agent.flat_weights())
    feeder = make_feeder(config, spec, make_torso, queue, weights, metrics, seed)
    restarts = make_restarts(config, metrics)
    actors = [] if feeder else make_actors(config, seed, graph_of, queue.group, num_at_once, restarts=restarts)

    source = make_source(config, queue, learner, random, metrics.timer)
    exact = make_exact(config, seed, random, learner, metrics, source, actors, logdir.checkpoint)

    crew, staged, turns = Crew(), Slot(), Turns(num_at_once)
    for closeable in (queue, weights, staged, turns):
        crew.on_stop(closeable.close)
    return Run(
        config=config,
        logdir=logdir,
        random=random,
        learner=learner,
        weights=weights,
        queue=queue,
        source=source,
        staged=staged,
        actors=actors,
        turns=turns,
        metrics=metrics,
        checkpoints=checkpoints,
        crew=crew,
        evaluator=None,
        feeder=feeder,
        exact=exact,
    )


def make_restarts(config: Config, metrics: Metrics) -> environments.Restarts:
    """Makes the restarts of the environments of this process, which the metrics count."""
    if config.max_env_restarts:
        metrics.more_columns.append(metrics.restart_columns)
    return environments.Restarts(config.max_env_restarts, metrics.count_restarts)


def make_motivation(config: Config, spec: EnvironmentSpec) -> Motivation | None:
    """Makes what gives intrinsic rewards; returns None without --rnd."""
    if not config.rnd:
        return None
    return RandomNetworkDistillation(config, NoveltyNetworks(config, spec.observation_space))


def make_checkpoints(config: Config, logdir: LogDir) -> Checkpoints:
    return Checkpoints(
        logdir.checkpoints,
        config.keep_checkpoints,
        config.checkpoint_every_secs,
        config.checkpoint_every_updates,
        first_after_secs=config.log_every_secs,
    )


def restore(learner: Learner, metrics: Metrics, logdir: LogDir) -> None:
    """Gives the learner and the records the state of the newest checkpoint that fits, and warns of what did not.

    It is checked whole before anything is taken from it. Raises SettingError when all are of another network.
    """
    first_error: Exception | None = None
    while True:
        assert logdir.checkpoint is not None
        arrays, info = logdir.checkpoint
        try:
            np.random.default_rng().bit_generator.state = info["random"]
            metrics.check(info["metrics"])
            notes = learner.restore(arrays)
            break
        except (KeyError, ValueError, TypeError) as error:
            first_error = first_error or error
            if not logdir.fall_back(f"is of another network ({one_line(error)})"):
                raise SettingError(
                    f"--logdir={logdir.path}: its checkpoint is of another network ({one_line(first_error)}); give "
                    "another directory"
                ) from error
    metrics.restore(info["metrics"], learner.environment_frames)
    for note in notes:
        warn(f"--logdir={logdir.path}: {note}")


def make_evaluator(
    config: Config,
    spec: EnvironmentSpec,
    make_new_agent: Callable[[], Agent],
    metrics: Metrics,
    logdir: LogDir,
    environment_frames: int,
) -> Evaluator | None:
    """Makes the evaluator during training; returns None without --evaluate_every_frames.

    environment_frames: number of frames of the run when it was resumed.
    """
    if not config.evaluate_every_frames:
        return None
    with tf.device("/CPU:0"):
        player = AgentPlayer(make_new_agent())
        return Evaluator(config, player, spec.tasks, metrics.evaluations, logdir.checkpoints, environment_frames, warn)
