"""The learner: a batch of unrolls makes one update of the weights."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from impala_tf.algorithms.losses import Losses, impala_loss
from impala_tf.config import Config
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.networks import Agent
from impala_tf.settings.learning import linear_decay
from impala_tf.spaces.observation_spaces import is_text, leaves, network_for
from impala_tf.support.graphs import direct_call
from impala_tf.types import Unroll


class UpdateResult(NamedTuple):
    """statistics: [len(Learner.STATISTICS)] float32. flat_weights: [num_parameters] float32, after the update."""

    statistics: tf.Tensor
    flat_weights: tf.Tensor


def make_optimizer(config: Config, variables: list) -> keras.optimizers.RMSprop:
    """RMSProp as TensorFlow 1 has it, which the paper used: the mean square starts at one, epsilon is inside the root.

    Keras' differs in the start only, which is zero there (--initial_mean_square).
    """
    optimizer = keras.optimizers.RMSprop(
        config.learning_rate, rho=config.decay, momentum=config.momentum, epsilon=config.epsilon
    )
    optimizer.build(variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(tf.fill(variable.shape, config.initial_mean_square))
    return optimizer


class Learner:
    """Owns the weights, the optimizer and the counters.

    updates: int, batches learned from. environment_frames: int, frames in them; reset rows are not counted.
    """

    STATISTICS = (*Losses._fields, "gradient_norm")

    def __init__(self, config: Config, agent: Agent, device: str):
        self.agent = agent
        self.device = device
        self.updates = 0
        self.environment_frames = 0
        self._config = config
        self.optimizer = make_optimizer(config, agent.keras_variables)
        xla = wants_xla(config, agent, device)
        self._call: Callable | None = None
        self._update = tf.function(self._update_graph, autograph=False, jit_compile=xla)
        self._apply = tf.function(self._apply_gradients, autograph=False, jit_compile=xla)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""
        config = self._config
        return linear_decay(config.learning_rate, self.environment_frames, config.total_environment_frames)

    def update(self, batch: Unroll, num_steps: int) -> UpdateResult:
        """Learns from a batch in groups, as the queue gives it, on the learner's device; num_steps: valid in it."""
        with tf.device(self.device):
            inputs = [*tf.nest.flatten(batch), self._learning_rate_now()]
            if self._call is None:

                def update(*leaves):
                    return self._update(tf.nest.pack_sequence_as(batch, leaves[:-1]), leaves[-1])

                self._call = direct_call(update, inputs)
            result = UpdateResult(*self._call(inputs))
            self._wait_for(result.statistics)
        self._count(num_steps)
        return result

    def apply(self, losses: list[tf.Tensor], gradients: list[tf.Tensor], num_steps: int) -> UpdateResult:
        """Takes a step along gradients that a `GradientWorker` computed from `num_steps` valid steps."""
        with tf.device(self.device):
            inputs = [*losses, *gradients, self._learning_rate_now()]
            if self._call is None:
                self._call = direct_call(
                    lambda *x: self._apply(Losses(*x[: len(losses)]), x[len(losses) : -1], x[-1]), inputs
                )
            result = UpdateResult(*self._call(inputs))
        self._count(num_steps)
        return result

    def _wait_for(self, tensor: tf.Tensor) -> None:
        """A GPU computes behind the caller's back; reading a result makes the times those of the work."""
        if "GPU" in self.device:
            tensor.numpy()

    def _learning_rate_now(self) -> tf.Tensor:
        # From an array: TensorFlow keeps every Python float that it has made a tensor of, 800 bytes an update.
        return tf.convert_to_tensor(np.array(self.learning_rate, np.float32))

    def _count(self, num_steps: int) -> None:
        self.updates += 1
        self.environment_frames += num_steps * self._config.num_action_repeats

    def _loss(self, groups: Unroll) -> Losses:
        return batch_loss(self.agent, groups, self._config)

    def _apply_gradients(self, losses: Losses, gradients: list, learning_rate: tf.Tensor, groups: Unroll | None = None):
        gradients, norm = tf.clip_by_global_norm(gradients, self._config.clip_norm)
        self.optimizer.learning_rate.assign(learning_rate)
        self.optimizer.apply(gradients, self.agent.keras_variables)
        if groups is not None:  # After the loss, which took the statistics that the newest of the unrolls acted with.
            batch = join_groups(groups)
            self.agent.update_observation_statistics(batch.env_outputs)
            self.agent.update_return_statistics(batch.env_outputs, batch.task)
        return tf.stack([*losses, norm]), self.agent.flat_weights()

    def _update_graph(self, batch: Unroll, learning_rate: tf.Tensor):
        with tf.GradientTape() as tape:
            losses = self._loss(batch)
        return self._apply_gradients(losses, tape.gradient(losses.total, self.agent.variables), learning_rate, batch)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that an exact resume of the learner needs, by name."""
        arrays = {f"weights/{i}": v.numpy() for i, v in enumerate(self.agent.variables)}
        arrays |= {f"statistics/{i}": v.numpy() for i, v in enumerate(self.agent.statistics)}
        arrays |= {f"optimizer/{i}": v.numpy() for i, v in enumerate(self.optimizer.variables)}
        return arrays | {
            "updates": np.int64(self.updates),
            "environment_frames": np.int64(self.environment_frames),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """The inverse of `state`. Raises KeyError or ValueError when it belongs to another network."""
        for i, variable in enumerate(self.agent.variables):
            variable.assign(state[f"weights/{i}"])
        for i, variable in enumerate(self.agent.statistics):
            variable.assign(state[f"statistics/{i}"])
        for i, variable in enumerate(self.optimizer.variables):
            variable.assign(state[f"optimizer/{i}"])
        self.updates = int(state["updates"])
        self.environment_frames = int(state["environment_frames"])


class GradientWorker:
    """Gradients of the learner's loss under the weights that `agent` has now: what an A3C worker computes."""

    def __init__(self, config: Config, agent: Agent):
        self._config = config
        self._agent = agent
        self._call: Callable | None = None
        xla = wants_xla(config, agent, "/CPU:0")
        self._function = tf.function(self._graph, autograph=False, jit_compile=xla)

    def gradients(self, groups: Unroll) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """(the fields of `Losses`, a gradient per variable of the agent). groups: as the queue would give them."""
        inputs = tf.nest.flatten(groups)
        if self._call is None:
            self._call = direct_call(lambda *x: self._function(tf.nest.pack_sequence_as(groups, x)), inputs)
        outputs = self._call(inputs)
        return outputs[: len(Losses._fields)], outputs[len(Losses._fields) :]

    def _graph(self, groups: Unroll) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = batch_loss(self._agent, groups, self._config)
        return [*losses, *tape.gradient(losses.total, self._agent.variables)]


def batch_loss(agent: Agent, groups: Unroll, config: Config) -> Losses:
    """IMPALA's loss of a batch in the queue's groups."""
    batch = join_groups(groups)
    rows = batch.env_outputs
    # The action that led to row t is the one chosen at row t - 1.
    last_actions = tf.concat([batch.last_action[tf.newaxis], batch.actions], axis=0)
    parameters, baselines = agent.unroll(rows.observation, rows.reward, last_actions, rows.first, batch.core_state)
    if config.normalise_returns:
        batch = batch._replace(env_outputs=rows._replace(reward=rows.reward * agent.reward_scale(batch.task)))
    return impala_loss(batch, parameters, baselines, agent.distribution, config)


def default_device() -> str:
    """The first GPU, or the CPU if there is none."""
    return "/GPU:0" if tf.config.list_physical_devices("GPU") else "/CPU:0"


def wants_xla(config: Config, agent: Agent, device: str) -> bool:
    """What --xla means. auto: where it was faster (docs/performance.md): on a GPU, and for networks without images.

    XLA cannot compile texts.
    """
    parts = leaves(agent.observation_space).values()
    if any(is_text(part) for part in parts):
        return False
    if config.xla == "auto":
        return "GPU" in device or all(network_for(config.network, part) == "mlp" for part in parts)
    return config.xla == "on"
