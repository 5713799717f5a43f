"""Chooses actions, with an actor's own weights or by one agent that answers the requests of all actors at once.

Both are used inside the graph in which actors act, so both work on graph tensors.
"""

import contextlib
import functools
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import tensorflow as tf

from impala_tf.acting.behaviour import UNCHANGED, Behaviour
from impala_tf.networks import Agent
from impala_tf.types import PolicyStep

# Each actor has one request at a time, so the op's queue needs no bound; its default, 10, fails the 11th batch.
_UNBOUNDED = 1_000_000


class Policy(Protocol):
    """An actor needs this of a policy.

    agent: agent that acts.
    behaviour: how what acts differs from the agent's policy.
    with_weights: method that returns a context in which `step` acts with the actor's flat weights [num_parameters].
    step: method with the inputs and results of `Agent.step`, and behind its seed the `Behaviour.inputs` of the rows.
    """

    agent: Agent
    behaviour: Behaviour

    def with_weights(self, flat_weights: tf.Tensor) -> AbstractContextManager: ...

    def step(self, observation, reward, last_action, first, core_state, seed, *behaviour) -> PolicyStep: ...


def stepper(agent: Agent, behaviour: Behaviour, inputs: Sequence[tf.Tensor]) -> Callable[..., PolicyStep]:
    """Returns `agent.step`, in which the changed policy acts. inputs: `Behaviour.inputs` of the rows."""
    if not inputs:
        return agent.step
    return functools.partial(agent.step, behaviour=functools.partial(behaviour.change, agent.distribution, inputs))


class LocalPolicy:
    """With this policy each actor acts with the weights from the start of its unroll, as in the paper, on the CPU.

    The agent lends its layers only. Weights are tensors of the graph, so that actors that act at the same time can have
    different versions.
    """

    def __init__(self, agent: Agent, behaviour: Behaviour = UNCHANGED):
        self.agent = agent
        self.behaviour = behaviour

    def with_weights(self, flat_weights: tf.Tensor) -> AbstractContextManager:
        return self.agent.with_flat_weights(flat_weights)

    def step(self, observation, reward, last_action, first, core_state, seed, *behaviour) -> PolicyStep:
        step = stepper(self.agent, self.behaviour, behaviour)
        return step(observation, reward, last_action, first, core_state, seed)


class DynamicBatchingPolicy:
    """One agent acts for all actors; TensorFlow's BatchFunction op joins requests that come at about the same time.

    The op runs a batch when it holds `maximum` rows or `timeout_ms` after its first request. It has no minimum to
    wait for; batches are padded up to one of the sizes `minimum`, 2 * `minimum`, ..., `maximum`, so that the policy
    sees few different shapes.

    Weights change when the learner publishes (see `publish_to`), also in the middle of an unroll, and a call may see
    some variables from before the change and some from after it. This is sound: the behaviour parameters that the call
    returned are recorded, and V-trace corrects for whatever policy they belong to. The unroll's version is that of its
    start.

    An error in the policy is raised in every actor whose request was in the batch.
    """

    def __init__(self, agent: Agent, minimum: int, maximum: int, timeout_ms: float, behaviour: Behaviour = UNCHANGED):
        self.agent = agent
        self.behaviour = behaviour
        self._maximum = maximum
        self._sizes = _powers(minimum, maximum)
        self._timeout_micros = int(timeout_ms * 1000)
        # BatchFunction's queue is looked up by this name in the whole process. Its default is the op's node
        # name, which is different at every row of an unroll and the same in two runs.
        self._name = f"impala_tf_policy_{uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._function: tf.types.experimental.ConcreteFunction | None = None

    def with_weights(self, flat_weights: tf.Tensor) -> AbstractContextManager:
        """Changes nothing: the agent is shared, and `publish_to` gives it its weights."""
        return contextlib.nullcontext()

    @tf.function(autograph=False)
    def publish_to(self, flat_weights: tf.Tensor) -> None:
        """Gives the shared agent new weights. It is a listener of the `WeightStore`."""
        self.agent.assign_flat_weights(flat_weights)

    def step(self, observation, reward, last_action, first, core_state, seed, *behaviour) -> PolicyStep:
        # The op joins requests along the first dimension, so each row carries its request's seed.
        seeds = tf.repeat(seed[tf.newaxis], tf.shape(first)[0], axis=0)
        inputs = (observation, reward, last_action, first, core_state, seeds, *behaviour)
        function = self._traced(inputs)
        outputs = tf.raw_ops.BatchFunction(
            in_tensors=tf.nest.flatten(inputs),
            captured_tensors=function.captured_inputs,
            f=function,
            num_batch_threads=1,
            max_batch_size=self._maximum,
            batch_timeout_micros=self._timeout_micros,
            max_enqueued_batches=_UNBOUNDED,
            allowed_batch_sizes=self._sizes,
            Tout=[x.dtype for x in function.outputs],
            shared_name=self._name,
        )
        shapes = [[reward.shape[0], *x.shape[1:]] for x in function.outputs]
        outputs = [tf.ensure_shape(x, shape) for x, shape in zip(outputs, shapes, strict=True)]
        return tf.nest.pack_sequence_as(function.structured_outputs, outputs)

    def _traced(self, inputs: tuple):
        """Returns `_call` traced with an unknown batch size: with a static one the op fails when it joins requests."""
        with self._lock:  # Two graphs may be traced at the same time.
            if self._function is None:
                specs = tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), inputs)
                with tf.init_scope():
                    self._function = tf.function(self._call, autograph=False).get_concrete_function(*specs)
            return self._function

    def _call(self, observation, reward, last_action, first, core_state, seeds, *behaviour) -> PolicyStep:
        # One op samples for the whole batch, by the seed of its first request.
        step = stepper(self.agent, self.behaviour, behaviour)
        return step(observation, reward, last_action, first, core_state, seeds[0])


def _powers(minimum: int, maximum: int) -> list[int]:
    sizes = []
    size = minimum
    while size < maximum:
        sizes.append(size)
        size *= 2
    return [*sizes, maximum]
