"""Actors: environments and a policy make unrolls."""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.acting.inference import Policy
from impala_tf.environments import JoinedEnvironment, VectorEnvironment
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.experience.unroll_writer import UnrollWriter
from impala_tf.networks import Agent
from impala_tf.support.graphs import direct_call
from impala_tf.types import EnvOutput, Unroll


def policy_leaves(row: EnvOutput) -> list:
    """What the policy sees of a row, flat: the observation's leaves, reward, first."""
    if isinstance(row.observation, np.ndarray):
        return [row.observation, row.reward, row.first]
    return [*tf.nest.flatten(row.observation), row.reward, row.first]


class BaseActor:
    """What actors share: one graph for T rows, and how an environment's error comes out of it.

    environment_secs: seconds inside the environments during the last unroll.
    index: which actor this is. policy: see `inference.py`. spec: of the unrolls. seed: of the action sampling.
    """

    def __init__(self, index: int, environment: Any, policy: Policy, spec: UnrollSpec, seed: int):
        self.index = index
        self.environment_secs = 0.0
        self._environment = environment
        self._policy = policy
        self._spec = spec
        self._seeds = np.random.SeedSequence([seed, index]).generate_state(spec.unroll_length) >> 1
        self._error: Exception | None = None
        self._run_rows: Callable | None = None
        self.calls = 0  # Of the graph, that have ended.

    @property
    def agent(self) -> Agent:
        """Whose policy acts."""
        return self._policy.agent

    def unroll(self, policy_version: int, flat_weights: tf.Tensor) -> Unroll:
        raise NotImplementedError

    def pack(self, leaves: list) -> tuple:
        """The inverse of `policy_leaves`: observation, reward, first."""
        *observation, reward, first = leaves
        return tf.nest.pack_sequence_as(self._spec.leaves.env_outputs.observation, observation), reward, first

    def no_action(self, num_envs: int) -> np.ndarray:
        """[num_envs, ...], the last action before there was one."""
        distribution = self._policy.agent.distribution
        return np.zeros([num_envs, *distribution.action_shape], distribution.action_dtype.as_numpy_dtype)

    def _seed_of_row(self, t: int) -> tf.Tensor:
        """[2] int32, another seed in every call of the graph: the op that makes it has a state."""
        int32 = tf.int32
        return tf.random.uniform([2], int32.min, int32.max, int32, seed=int(self._seeds[t]))

    def _rows(self, flat_weights, *row):
        """The graph, traced once. Its loop over rows is unrolled while tracing."""
        raise NotImplementedError

    def _run(self, flat_weights: tf.Tensor, row: list) -> list[tf.Tensor]:
        """Runs the graph. Raises what an environment's step raised."""
        inputs = [flat_weights, *(tf.convert_to_tensor(x) for x in row)]
        if self._run_rows is None:
            self._run_rows = direct_call(self._rows, inputs)
        try:
            outputs = self._run_rows(inputs)
            self.calls += 1
            return outputs
        except tf.errors.OpError:
            if self._error is not None:  # Came through numpy_function, which makes a text of it.
                raise self._error from None
            raise

    def guarded(self, function: Callable, *arguments):
        """Calls `function` from inside the graph and keeps its error for `_run`."""
        try:
            return function(*arguments)
        except Exception as error:
            self._error = error
            raise

    def close(self) -> None:
        self._environment.close()


class Actor(BaseActor):
    """A vector of environments that is stepped T times per unroll by one graph.

    Each row is a policy call, a sample, and a `tf.numpy_function` that steps the environments and writes the row
    straight into the unroll's numpy arrays. group: of the queue that the unrolls are for.
    """

    def __init__(
        self,
        index: int,
        environment: VectorEnvironment | JoinedEnvironment,
        policy: Policy,
        spec: UnrollSpec,
        group: int,
        seed: int,
    ):
        super().__init__(index, environment, policy, spec, seed)
        self._group = group
        self._writer: UnrollWriter
        self._row: EnvOutput | None = None
        # Of joined vectors, which one each environment belongs to.
        self._actors = index + getattr(environment, "vector_indices", np.zeros(environment.num_envs, np.int32))
        self._inputs: list = []  # Of the next row's policy call.

    def unroll(self, policy_version: int, flat_weights: tf.Tensor) -> Unroll:
        """The next T steps of every environment, as tensors in the queue's groups.

        policy_version, flat_weights: from the `WeightStore`.
        Raises what an environment's step raised.
        """
        if self._row is None:
            num_envs = self._environment.num_envs
            self._row = row = self._environment.reset()
            core_state = self.agent.initial_state(num_envs).numpy()
            self._inputs = [*policy_leaves(row), self.no_action(num_envs), core_state]
        self.environment_secs = 0.0
        self._writer = UnrollWriter(self._spec, self._environment.num_envs, self._group)
        last_action, core_state = (np.asarray(x) for x in self._inputs[-2:])
        self._writer.write_start(last_action, core_state, policy_version, self._actors, self._environment.tasks)
        self._writer.write_row(0, self._row)
        outputs = self._run(flat_weights, self._inputs)
        self._inputs = outputs[: len(self._inputs)]
        return tf.nest.pack_sequence_as(self._writer.unroll, outputs[len(self._inputs) :])

    def _rows(self, flat_weights, *inputs):
        """The graph of T rows. Returns the inputs of row T and the unroll's leaves."""
        self._policy.refresh(flat_weights)
        *row, last_action, core_state = inputs
        like = row
        for t in range(self._spec.unroll_length):
            observation, reward, first = self.pack(row)
            step = self._policy.step(observation, reward, last_action, first, core_state, self._seed_of_row(t))
            last_action, core_state = step.action, step.core_state
            emitted = tf.numpy_function(
                functools.partial(self.guarded, self._step_environments, t),
                [step.action, step.parameters],
                [x.dtype for x in like],
            )
            row = [tf.ensure_shape(x, y.shape) for x, y in zip(emitted, like, strict=True)]
        # Out of the graph the arrays are tensors; made from outside, one by one, they would cost as much as a row.
        leaves = tf.nest.flatten(self._writer.unroll)
        leaves = tf.numpy_function(lambda: tf.nest.flatten(self._writer.unroll), [], [x.dtype for x in leaves])
        return *row, last_action, core_state, *leaves

    def _step_environments(self, t: int, action: np.ndarray, parameters: np.ndarray):
        self._writer.write_action(t, action, parameters)
        started = time.perf_counter()
        self._row = row = self._environment.step(action)
        self.environment_secs += time.perf_counter() - started
        self._writer.write_row(t + 1, row)
        return policy_leaves(row)
