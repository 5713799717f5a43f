"""Has the actor whose policy calls take the ready environments, while the others step (double buffering)."""

import numpy as np
import tensorflow as tf

from impala_tf.acting.acting_graph import ActingGraph
from impala_tf.acting.base_actor import BaseActor, policy_inputs
from impala_tf.environments import PartialEnvironment
from impala_tf.experience.unroll_writer import PartialUnrollWriter
from impala_tf.types import EnvOutput, Unroll


class PartialActor(BaseActor):
    """This actor has a `PartialEnvironment`: each environment is at another row of its own unroll.

    A call of the graph makes T policy calls for the R environments that are ready. Unrolls that end in it are handed
    out, so an unroll may span two calls of the graph and thereby two versions of the weights. V-trace corrects
    for that, and the unroll's version is that of its first action.
    """

    def __init__(self, index: int, environment: PartialEnvironment, graph: ActingGraph, seed: int):
        super().__init__(index, environment, graph, seed)
        num_envs = environment.num_envs
        self._writer = PartialUnrollWriter(self.spec, num_envs)
        self._rows_written = np.zeros(num_envs, np.int64)  # Each environment has so many rows of its unroll.
        self._last_actions = self._zero_actions(num_envs)
        self._core_states = self._zero_core_states(num_envs)
        self._finished: list[Unroll] = []  # These unrolls have ended in this call of the graph.
        self._version = 0
        self._ready = np.zeros(0, np.int64)  # The next policy call sees these environments' rows.
        self._policy_inputs: list = []  # These are its inputs.

    def unroll(self, policy_version: int, flat_weights: tf.Tensor) -> Unroll:
        """Does what `BaseActor.unroll` says; returns the unrolls that ended in T policy calls, in groups of one."""
        self._version = policy_version
        self._finished = []
        self.environment_secs = 0.0
        if not len(self._ready):
            self.place.enter("reset")
            self._policy_inputs = self._take_row(*self._environment.reset())
        actors = np.full(len(self._ready), self.index)
        self._policy_inputs = self._act(policy_version, flat_weights, self._policy_inputs, actors)
        none = tf.nest.map_structure(lambda leaf: leaf[:0], self._writer.unroll)
        return tf.nest.map_structure(lambda *leaves: np.concatenate(leaves), none, *self._finished)

    def step_environments(self, core_state: np.ndarray, action: np.ndarray, *said: np.ndarray) -> list[np.ndarray]:
        """Takes the actions of the ready environments; returns the policy's inputs of those that are ready next.

        The graph calls it. said: what else is recorded of the rows, see `ActingGraph._recorded`.
        """
        envs = self._ready
        starting = envs[self._rows_written[envs] == 1]
        start = self._last_actions[starting], self._core_states[starting], self._version
        self._writer.write_start(starting, *start, self.index, self._environment.tasks[starting])
        self._writer.write_action(envs, self._rows_written[envs] - 1, action, *said)
        self._last_actions[envs] = action
        self._core_states[envs] = core_state
        place = self.place
        place.enter("step")
        started = place.since
        envs, row = self._environment.step(action)
        place.enter("policy")
        self.environment_secs += place.since - started
        return self._take_row(envs, row)

    def _take_row(self, envs: np.ndarray, row: EnvOutput) -> list[np.ndarray]:
        """Writes a row of the environments `envs` [R]; hands out the unrolls that it ends and begins their next.

        Returns the policy's inputs at that row.
        """
        self._ready = envs
        self._writer.write_row(envs, self._rows_written[envs], row)
        self._rows_written[envs] += 1
        is_last = self._rows_written[envs] == self.spec.unroll_length + 1
        if is_last.any():
            ended = envs[is_last]
            self._finished.append(tf.nest.map_structure(lambda leaf: leaf[ended], self._writer.unroll))
            # Row T of an unroll is row 0 of the next.
            row_0 = tf.nest.map_structure(lambda leaf: leaf[is_last], row)
            self._writer.write_row(ended, np.zeros(len(ended), np.int64), row_0)
            self._rows_written[ended] = 1
        return [*policy_inputs(row), self._last_actions[envs], self._core_states[envs]]


class PartialActingGraph(ActingGraph):
    """This is the graph of a `PartialActor`. It returns the policy's inputs after T policy calls."""

    def _define(self, index, flat_weights, seeds, behaviour, inputs):
        with self.policy.with_weights(flat_weights):
            for seed in tf.unstack(seeds):
                *emitted, last_action, core_state = inputs
                step = self._step_policy(emitted, last_action, core_state, seed, behaviour)
                arguments = [step.core_state, *self._recorded(step)]
                inputs = self._in_python(PartialActor.step_environments, index, arguments, like=inputs)
        return inputs
