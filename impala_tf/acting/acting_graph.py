"""Has the graph in which actors act. All actors of a run share one."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.acting.inference import Policy
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.support.graphs import direct_call
from impala_tf.types import PolicyStep


class ActingGraph:
    """This graph makes T policy calls, each followed by a step of the environments; all actors of a run share it.

    A graph per actor would be traced and kept per actor, which takes minutes and gigabytes for many actors and a deep
    network. So whatever differs between actors is an input: the actor's index, its weights, its seeds, the numbers
    of its `Behaviour` and its present row. Several actors may run the graph at the same time. They must have the same
    spaces, and the same number of rows in a policy call.

    The environments are stepped by Python functions inside the graph. Such a function gets the actor's index and
    calls that actor, which `add` has registered.

    policy: policy of all actors, see `inference.py`.
    spec: spec of their unrolls.
    """

    def __init__(self, policy: Policy, spec: UnrollSpec):
        self.policy = policy
        self.spec = spec
        self._actors: dict[int, Any] = {}
        self._errors: dict[int, Exception] = {}
        self._lock = threading.Lock()
        self._call: Callable | None = None
        self._optimised = threading.Event()
        self._shapes: list[tf.TensorShape] = []  # The shapes of the inputs that the graph was traced for.

    def add(self, index: int, actor: Any) -> None:
        """Registers the actor that Python functions in the graph call by `index`."""
        assert index not in self._actors, f"two actors {index}"
        self._actors[index] = actor

    def forget_actors(self) -> None:
        """Makes room for other actors, which go on with the graph as it was traced."""
        self._actors.clear()

    def act(
        self, index: int, flat_weights: tf.Tensor, seeds: np.ndarray, behaviour: list[np.ndarray], row: list
    ) -> list[tf.Tensor]:
        """Lets actor `index` act for T rows.

        flat_weights: [num_parameters] float32, weights that act.
        seeds: [T, 2] int32, seeds of the actions of each row, see `row_seeds`.
        behaviour: `Behaviour.inputs` of the rows of a policy call.
        row: inputs of the first policy call, see `policy_inputs`.

        Returns what `_define` returns. Raises what a step of the environments raised.
        """
        inputs = [tf.convert_to_tensor(x) for x in (np.array(index, np.int32), flat_weights, seeds, *behaviour, *row)]
        with self._lock:
            is_first = self._call is None
            if self._call is None:
                self._shapes = [x.shape for x in inputs]
                self._call = direct_call(self._define_flat, inputs)
        if is_first:
            # TensorFlow optimises a graph at the begin of its first call, and would do so again in others that begin
            # meanwhile. So the other actors wait, until the graph calls Python; an environment may hang there.
            try:
                return self._call_graph(self._call, index, inputs)
            finally:
                self._optimised.set()
        self._optimised.wait()
        assert [x.shape for x in inputs] == self._shapes, f"actor {index} does not fit the others' graph"
        return self._call_graph(self._call, index, inputs)

    def _call_graph(self, call: Callable, index: int, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        """Calls the graph, and raises what the actor's environment raised in it."""
        try:
            return call(inputs)
        except tf.errors.OpError:
            error = self._errors.pop(index, None)
            if error is not None:  # TensorFlow turns the exception of a Python function into text.
                raise error from error.__cause__
            raise

    def _define_flat(self, index: tf.Tensor, flat_weights: tf.Tensor, seeds: tf.Tensor, *rest: tf.Tensor):
        num = self.policy.behaviour.num_inputs
        return self._define(index, flat_weights, seeds, rest[:num], list(rest[num:]))

    def _define(self, index: tf.Tensor, flat_weights: tf.Tensor, seeds: tf.Tensor, behaviour: Sequence, row: list):
        """Defines the graph, with the inputs of `act`. It is called once, to be traced."""
        raise NotImplementedError

    def _step_policy(
        self, row: list, last_action: tf.Tensor, core_state: tf.Tensor, seed: tf.Tensor, behaviour: Sequence
    ):
        """Returns the `PolicyStep` of one row. row: result of `policy_inputs`."""
        *leaves, reward, first = row
        observation = tf.nest.pack_sequence_as(self.spec.leaves.env_outputs.observation, leaves)
        return self.policy.step(observation, reward, last_action, first, core_state, seed, *behaviour)

    def _recorded(self, step: PolicyStep) -> list[tf.Tensor]:
        """Returns what the unroll records of a policy call: action, parameters, and the baseline if the spec has it."""
        baselines = [step.baseline[:, tf.newaxis]] if self.spec.leaves.behaviour_baselines.shape[0] else []
        return [step.action, step.parameters, *baselines]

    def _in_python(self, method: Callable, index: tf.Tensor, arguments: list, like: Any) -> list[tf.Tensor]:
        """Calls method(actor, *arguments) when the graph runs, with numpy arrays and the actor of that index.

        Returns what the method returns, a list of arrays, as tensors with the shapes and dtypes of `like`. Shapes are
        asserted while tracing only; an op that asserts them in every row takes a microsecond for each array.
        """
        outputs = tf.numpy_function(
            functools.partial(self._call_actor, method), [index, *arguments], [x.dtype for x in like]
        )
        for output, example in zip(outputs, like, strict=True):
            output.set_shape(example.shape)
        return outputs

    def _call_actor(self, method: Callable, index: np.ndarray, *arguments: np.ndarray) -> list[np.ndarray]:
        if not self._optimised.is_set():
            self._optimised.set()
        try:
            return method(self._actors[int(index)], *arguments)
        except Exception as error:
            self._errors[int(index)] = error
            raise
