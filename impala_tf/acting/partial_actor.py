"""An actor whose policy calls take the environments that are ready, while the others step (double buffering)."""

import functools
import time

import numpy as np
import tensorflow as tf

from impala_tf.acting.actor import BaseActor, policy_leaves
from impala_tf.acting.inference import Policy
from impala_tf.environments import PartialEnvironment
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.experience.unroll_writer import UnrollWriter
from impala_tf.types import EnvOutput, Unroll


class PartialActor(BaseActor):
    """As `Actor`, over a `PartialEnvironment`: each environment is at a row of its own in an unroll of its own.

    One graph makes T policy calls of R rows. What ends in it is handed out, so an unroll may span two graph calls and
    thereby two versions of the weights; V-trace corrects for that, and the unroll's version is that of its first
    action.
    """

    def __init__(self, index: int, environment: PartialEnvironment, policy: Policy, spec: UnrollSpec, seed: int):
        super().__init__(index, environment, policy, spec, seed)
        self._partial = environment
        num_envs = environment.num_envs
        # Groups of one, so that the leading axis is the environment.
        self._writer = UnrollWriter(spec, num_envs, 1)
        self._rows_written = np.zeros(num_envs, np.int64)
        self._last_actions = self.no_action(num_envs)
        self._core_states = policy.agent.initial_state(num_envs).numpy()
        self._finished: list[Unroll] = []
        self._version = 0
        self._inputs: list = []
        self._ready = np.zeros(0, np.int64)

    def unroll(self, policy_version: int, flat_weights: tf.Tensor) -> Unroll:
        """The unrolls that ended during T policy calls, in groups of one; perhaps none: leaves [0, ...]."""
        self._version = policy_version
        self._finished = []
        self.environment_secs = 0.0
        if not len(self._ready):
            self._inputs = self._take(*self._partial.reset())
        self._inputs = self._run(flat_weights, self._inputs)
        none = tf.nest.map_structure(lambda leaf: leaf[:0], self._writer.unroll)
        return tf.nest.map_structure(lambda *leaves: np.concatenate(leaves), none, *self._finished)

    def _rows(self, flat_weights, *inputs):
        """The graph of T policy calls. Returns the inputs of the next."""
        self._policy.refresh(flat_weights)
        for t in range(self._spec.unroll_length):
            *row, last_action, core_state = inputs
            observation, reward, first = self.pack(row)
            step = self._policy.step(observation, reward, last_action, first, core_state, self._seed_of_row(t))
            emitted = tf.numpy_function(
                functools.partial(self.guarded, self._exchange),
                [step.action, step.parameters, step.core_state],
                [x.dtype for x in inputs],
            )
            inputs = tuple(tf.ensure_shape(x, y.shape) for x, y in zip(emitted, inputs, strict=True))
        return inputs

    def _exchange(self, action: np.ndarray, parameters: np.ndarray, core_state: np.ndarray) -> list[np.ndarray]:
        """Records what the policy chose, steps, and returns the policy's next inputs."""
        envs = self._ready
        begun = envs[self._rows_written[envs] == 1]
        self._writer.write_start_of(
            begun,
            self._last_actions[begun],
            self._core_states[begun],
            self._version,
            self.index,
            self._partial.tasks[begun],
        )
        self._writer.write_actions_of(envs, self._rows_written[envs] - 1, action, parameters)
        self._last_actions[envs] = action
        self._core_states[envs] = core_state
        started = time.perf_counter()
        envs, row = self._partial.step(action)
        self.environment_secs += time.perf_counter() - started
        return self._take(envs, row)

    def _take(self, envs: np.ndarray, row: EnvOutput) -> list[np.ndarray]:
        """Writes a row of the environments `envs`; hands out the unrolls whose row T it is and begins their next."""
        self._ready = envs
        self._writer.write_rows_of(envs, self._rows_written[envs], row)
        self._rows_written[envs] += 1
        full = self._rows_written[envs] == self._spec.unroll_length + 1
        if full.any():
            ended = envs[full]
            self._finished.append(tf.nest.map_structure(lambda leaf: leaf[ended], self._writer.unroll))
            self._writer.write_rows_of(
                ended, np.zeros(len(ended), np.int64), tf.nest.map_structure(lambda leaf: leaf[full], row)
            )
            self._rows_written[ended] = 1
        return [*policy_leaves(row), self._last_actions[envs], self._core_states[envs]]
