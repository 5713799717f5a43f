"""Compares where actors act (--actor_backend), on three tasks: speed, policy lag, the learner's CPU, and transport."""

import dataclasses
import statistics
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from impala_tf import environments
from impala_tf.benchmarks import training_run
from impala_tf.config import Config
from impala_tf.environments.small.busy import BUSY_ID
from impala_tf.networks import make_agent
from impala_tf.running.actors import run_unroll_spec
from impala_tf.running.hosts.answers import Failure, Hosts
from impala_tf.running.hosts.backends import make_hosts
from impala_tf.running.sources import make_queue

NUM_ACTORS = 2
# Each task has a name, and the settings in which it differs from those of the command line.
TASKS: dict[str, dict[str, Any]] = {
    "CartPole": dict(num_envs_per_actor=64),
    "Pong": dict(
        env_id="ALE/Pong-v5",
        num_action_repeats=4,
        network="shallow",
        separate_value_network=False,
        num_envs_per_actor=32,
    ),
    "1 ms of Python a step": dict(env_id=BUSY_ID, num_envs_per_actor=16),
}
BACKENDS = ("threads", "processes", "ray")
PATIENCE_SECS = 180.0


def cases(config: Config) -> Iterator[tuple[str, str, Config]]:
    """Yields (task, backend, settings)."""
    for task, settings in TASKS.items():
        for backend in BACKENDS:
            yield task, backend, dataclasses.replace(config, num_actors=NUM_ACTORS, actor_backend=backend, **settings)


def rows(config: Config, secs: float, repeats: int) -> Iterator[dict[str, Any]]:
    """Yields a row for a run with each backend on each task, then one for the transport of each."""
    for task, backend, case in cases(config):
        runs = [training_run.measure(case, secs) for _ in range(repeats)]
        frames = [run.rate.steps_per_sec * case.num_action_repeats for run in runs]
        yield {
            "name": f"{task}, {backend}",
            "frames_per_sec": statistics.median(frames),
            "frames_per_sec_of_each_run": frames,
            "lag_mean": statistics.median(run.lag_mean for run in runs),
            "learner_cpu_us_per_frame": _per_frame([run.own_cpu_secs_per_step for run in runs], case),
            "cpu_us_per_frame": _per_frame([run.rate.cpu_secs_per_step for run in runs], case),
            "bottleneck": runs[-1].bottleneck,
        }
    for task, backend, case in cases(config):
        if backend != "threads":
            yield {"name": f"transport of {task}, {backend}"} | measure_transport(case, secs)


def _per_frame(cpu_secs_per_step: list[float], config: Config) -> float:
    return 1e6 * statistics.median(cpu_secs_per_step) / config.num_action_repeats


def measure_transport(config: Config, secs: float) -> dict[str, float]:
    """Asks one host for one unroll after the other, and subtracts the seconds in which it acted.

    Half of the time every unroll is made with the same version of the weights, the other half each with a new one.

    Returns milliseconds for an unroll and for a version of the weights, and what both take of this process's CPU.
    """
    config = dataclasses.replace(config, num_actors=1)
    spec = environments.spec_of(config)
    agent = make_agent(config, spec.observation_space, spec.action_space)
    queue = make_queue(config, run_unroll_spec(config, agent))
    weights = agent.flat_weights()
    hosts = make_hosts(config, spec, None, queue, int(weights.shape[0]))
    try:
        hosts.start(0, config.seed)
        _answer(hosts)
        for version in (-2, -1):  # The first calls trace the graph and reset the environments.
            hosts.ask(0, version, weights)
            size = sum(leaf.nbytes for leaf in tf.nest.flatten(_answer(hosts).unroll))
        same = _ask_again_and_again(hosts, weights, secs / 2, new_versions=False)
        new = _ask_again_and_again(hosts, weights, secs / 2, new_versions=True)
    finally:
        hosts.close()
    return {
        "mb_per_unroll": size / 1e6,
        "ms_per_unroll": 1e3 * same[0],
        "cpu_ms_per_unroll": 1e3 * same[1],
        "mb_per_version": 4e-6 * int(weights.shape[0]),
        "ms_per_version": 1e3 * (new[0] - same[0]),
        "cpu_ms_per_version": 1e3 * (new[1] - same[1]),
    }


def _ask_again_and_again(hosts: Hosts, weights: Any, secs: float, new_versions: bool) -> tuple[float, float]:
    """Returns the median of the seconds that an unroll was under way, and the mean of this process's CPU seconds."""
    under_way: list[float] = []
    cpu, started, version = time.process_time(), time.perf_counter(), 0
    while time.perf_counter() < started + secs or not under_way:
        version += new_versions
        asked = time.perf_counter()
        hosts.ask(0, version, weights)
        answer = _answer(hosts)
        under_way.append(time.perf_counter() - asked - answer.act_secs)
    return statistics.median(under_way), (time.process_time() - cpu) / len(under_way)


def _answer(hosts: Hosts) -> Any:
    """Waits for the host's answer. Raises RuntimeError when it is lost, or does not answer."""
    deadline = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < deadline:
        for _, answer in hosts.answers(1.0):
            if isinstance(answer, Failure):
                answer.throw()
            return answer
    raise RuntimeError(f"the host did not answer in {PATIENCE_SECS:g} s")
