"""Has the actor whose environments step at the same time."""

import functools

import numpy as np
import tensorflow as tf

from impala_tf.acting.acting_graph import ActingGraph
from impala_tf.acting.actor_state import ActorMark, arrays_of, row_of, split_row
from impala_tf.acting.base_actor import BaseActor, policy_inputs
from impala_tf.environments import JoinedEnvironment, ReplayableEnvironment, VectorEnvironment
from impala_tf.environments.joined_environment import concatenate
from impala_tf.experience.unroll_writer import UnrollWriter
from impala_tf.types import EnvOutput, Unroll


class Actor(BaseActor):
    """This actor's environments step at the same time.

    In each row a policy call is followed by a `tf.numpy_function`, which steps the environments and writes the row
    straight into the unroll's numpy arrays.

    group: number of unrolls in an element of the queue that the unrolls are for.
    """

    def __init__(
        self, index: int, environment: VectorEnvironment | JoinedEnvironment, graph: ActingGraph, group: int, seed: int
    ):
        super().__init__(index, environment, graph, seed)
        self._group = group
        self._writer: UnrollWriter
        self._row: EnvOutput | None = None
        self._policy_inputs: list = []  # The policy's inputs at row 0 of the next unroll.
        # The records count each vector of a joined environment as an actor of its own.
        self._actors = index + getattr(environment, "vector_indices", np.zeros(environment.num_envs, np.int32))

    def unroll(self, policy_version: int, flat_weights: tf.Tensor) -> Unroll:
        """Does what `BaseActor.unroll` says; returns one unroll of every environment."""
        environment = self._environment
        num_envs = environment.num_envs
        if self._row is None:
            self.place.enter("reset")
            self._row = environment.reset()
            self._policy_inputs = [
                *policy_inputs(self._row), self._zero_actions(num_envs), self._zero_core_states(num_envs)
            ]  # fmt: skip
        self.environment_secs = 0.0
        self._writer = UnrollWriter(self.spec, num_envs, self._group)
        last_action, core_state = (np.asarray(x) for x in self._policy_inputs[-2:])
        self._writer.write_start(last_action, core_state, policy_version, self._actors, environment.tasks)
        self._writer.write_row(0, self._row)
        outputs = self._act(policy_version, flat_weights, self._policy_inputs, self._actors)
        num_inputs = len(self._policy_inputs)
        self._policy_inputs = outputs[:num_inputs]
        return tf.nest.pack_sequence_as(self.spec.leaves, outputs[num_inputs:])

    @property
    def written(self) -> Unroll:
        """Returns the arrays of the last unrolls as they were written, which no later unroll changes."""
        return self._writer.unroll

    @property
    def vectors(self) -> list[ReplayableEnvironment]:
        """Returns the vectors of environments, which --exact_resume has made replayable."""
        return getattr(self._environment, "vectors", [self._environment])

    def mark(self) -> ActorMark | None:
        """Returns the present point between two unrolls; None before the first."""
        if self._row is None:
            return None
        last_action, core_state = self._policy_inputs[-2:]
        vectors = [vector.mark() for vector in self.vectors]
        return ActorMark(self.num_graph_calls, self._row, last_action, core_state, vectors)

    def arrays_at(self, mark: ActorMark) -> dict[str, np.ndarray]:
        """Returns what `go_to` needs, by name. mark: the last point that was marked."""
        arrays = arrays_of(mark)
        for i, (vector, point) in enumerate(zip(self.vectors, mark.vectors, strict=True)):
            arrays |= {f"vector_{i}/{name}": array for name, array in vector.arrays_at(point).items()}
        return arrays

    def go_to(self, arrays: dict[str, np.ndarray]) -> None:
        """Goes to a point that an actor with the same seed and the same vectors has marked.

        arrays: result of `arrays_at`.
        Raises SettingError when the environments do not come to the row of that point again.
        """
        rows = split_row(row_of(arrays, self.spec.leaves.env_outputs), [vector.num_envs for vector in self.vectors])
        for i, vector in enumerate(self.vectors):
            start = f"vector_{i}/"
            own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
            rows[i] = vector.go_to(own, rows[i])
        self._row = concatenate(rows)
        self._policy_inputs = [*policy_inputs(self._row), arrays["last_action"], arrays["core_state"]]
        self.num_graph_calls = int(arrays["num_graph_calls"])

    # The graph calls these.

    def step_environments(self, action: np.ndarray, *said: np.ndarray, t: int) -> list[np.ndarray]:
        """Takes the actions of row t; writes them and row t + 1, whose `policy_inputs` it returns.

        said: what else is recorded of the row, see `ActingGraph._recorded`.
        """
        self._writer.write_action(t, action, *said)
        place = self.place
        place.enter("step")
        started = place.since
        self._row = row = self._environment.step(action)
        place.enter("policy")
        self.environment_secs += place.since - started
        self._writer.write_row(t + 1, row)
        return policy_inputs(row)

    def written_leaves(self) -> list[np.ndarray]:
        """Returns the leaves of the unroll that has been written."""
        return tf.nest.flatten(self._writer.unroll)


class VectorActingGraph(ActingGraph):
    """This is the graph of an `Actor`. It returns the policy's inputs at row T, and the leaves of the unroll."""

    def _define(self, index, flat_weights, seeds, behaviour, inputs):
        *row, last_action, core_state = inputs
        emitted = row
        with self.policy.with_weights(flat_weights):
            # The loop is unrolled while tracing: a tf.while_loop takes half as long again.
            for t, seed in enumerate(tf.unstack(seeds)):
                step = self._step_policy(row, last_action, core_state, seed, behaviour)
                last_action, core_state = step.action, step.core_state
                step_environments = functools.partial(Actor.step_environments, t=t)
                row = self._in_python(step_environments, index, self._recorded(step), emitted)
        # Outputs of the graph are tensors; converting the arrays outside one by one would cost as much as a row.
        leaves = tf.numpy_function(
            functools.partial(self._call_actor, Actor.written_leaves),
            [index],
            [tf.as_dtype(spec.dtype) for spec in tf.nest.flatten(self.spec.leaves)],
        )
        return *row, last_action, core_state, *leaves
