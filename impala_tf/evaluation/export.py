"""Writes an agent as a SavedModel and loads it. Whoever uses it needs plain TensorFlow only, no impala_tf."""

import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.config import SettingError
from impala_tf.environments import EnvironmentSpec
from impala_tf.evaluation.exported_settings import observation_inputs
from impala_tf.evaluation.model_ops import ops_lines
from impala_tf.networks import Agent
from impala_tf.records.exports import read_info, write_info
from impala_tf.records.files import replace_directory
from impala_tf.spaces import distributions
from impala_tf.spaces.observation_spaces import leaves, zeros
from impala_tf.support.messages import one_line, warn


def input_names(space: gym.Space) -> list[str]:
    """Returns the names of the observation's parts in the signature `step`, in the order of tf.nest.flatten."""
    return [f"observation_{name}" if name else "observation" for name in leaves(space)]


class _Export(tf.Module):
    """This module holds the variables and the two signatures."""

    def __init__(self, agent: Agent):
        super().__init__()
        self.weights = [*agent.variables, *agent.statistics]
        self._agent = agent

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int32, name="batch_size")])
    def initial_state(self, batch_size):
        return {"core_state": self._agent.initial_state(batch_size)}

    @tf.function(autograph=False)
    def step(self, reward, last_action, first, core_state, seed, **parts):
        leaves = [parts[name] for name in input_names(self._agent.observation_space)]
        observation = tf.nest.pack_sequence_as(zeros(self._agent.observation_space), leaves)
        step = self._agent.step(observation, reward, last_action, first, core_state, seed)
        distribution = self._agent.distribution
        greedy = distribution.mode(step.parameters)
        return {
            "action": step.action,
            "greedy_action": greedy,
            "environment_action": distribution.bounded(step.action),
            "greedy_environment_action": distribution.bounded(greedy),
            "policy_parameters": step.parameters,
            "baseline": step.baseline,
            "core_state": step.core_state,
        }

    def signatures(self) -> dict:
        distribution = self._agent.distribution
        names = input_names(self._agent.observation_space)
        parts = tf.nest.flatten(zeros(self._agent.observation_space))
        specs = {
            name: tf.TensorSpec([None, *part.shape], tf.as_dtype(part.dtype))
            for name, part in zip(names, parts, strict=True)
        } | dict(
            reward=tf.TensorSpec([None], tf.float32),
            last_action=tf.TensorSpec([None, *distribution.action_shape], distribution.action_dtype),
            first=tf.TensorSpec([None], tf.bool),
            core_state=tf.TensorSpec([None, self._agent.state_size], tf.float32),
            seed=tf.TensorSpec([2], tf.int32),
        )
        specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
        return {
            "initial_state": self.initial_state.get_concrete_function(),
            "step": self.step.get_concrete_function(**specs),
        }


def export(agent: Agent, directory: pathlib.Path, info: dict) -> None:
    """Writes a SavedModel with two signatures; it replaces an earlier one at the end. Both return dicts.

    initial_state(batch_size: [] int32) -> core_state: [B, S] float32.

    step(observation: [B, ...], reward: [B] float32, last_action: [B, ...], first: [B] bool, core_state: [B, S] float32,
    seed: [2] int32) -> action, greedy_action: [B, ...], policy_parameters: [B, P], baseline: [B], core_state: [B, S],
    environment_action, greedy_environment_action: [B, ...].

    With --popart the baseline is in units of the rewards; with --popart and K tasks it is [B, K], one of each task.

    The parts of a Dict or Tuple observation are inputs of their own, observation_NAME. `action` is sampled by the seed.
    It is given back as `last_action`; `environment_action` is for the environment's step: for a Box the action within
    its bounds, for a Tuple or Dict one flat vector, for other spaces the same as `action`.

    info: further fields of `records.exports.ExportInfo`, kept beside the model as JSON.
    """
    # saved_model.save would track a Keras agent; a module of bare variables and functions is all that is needed.
    module = _Export(agent)
    temporary = directory.with_name(directory.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        tf.saved_model.save(module, str(temporary), signatures=module.signatures())
        # The weights' names are in the order of `_Export.weights`.
        names = dict(observation=input_names(agent.observation_space), weights=list(agent.variables_by_part()))
        write_info(temporary, info | names)
        replace_directory(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def exported_arrays(directory: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the weights and statistics of an export by PART/NAME; only data is read, and no code of the model runs.

    Raises KeyError for an export of a version that did not write the names, and OSError, ValueError or OpError for a
    damaged one.
    """
    names = read_info(directory, "init_from").weights
    if names is None:
        raise KeyError("weights")
    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    return {str(name): reader.get_tensor(f"weights/{i}/.ATTRIBUTES/VARIABLE_VALUE") for i, name in enumerate(names)}


class ExportedAgent:
    """This `playing.Player` is an export that was loaded. Raises SettingError when it cannot be loaded."""

    def __init__(self, directory: pathlib.Path):
        try:
            for line in ops_lines(directory):
                warn(line)
            self._model = tf.saved_model.load(str(directory))
            self._step = self._model.signatures["step"]
            # Exports of the first version take no seed: each process samples other actions.
            self._takes_seed = "seed" in self._step.structured_input_signature[1]
            self._initial_state = self._model.signatures["initial_state"]
            self._names = observation_inputs(directory)
        except SettingError:
            raise
        except (OSError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
            raise SettingError(f"--saved_model={directory}: cannot be loaded ({one_line(error)[:200]})") from error

    def check_fits(self, spec: EnvironmentSpec, env_id: str) -> None:
        """Raises SettingError when the environment's spaces are not those that the agent was made for."""
        inputs = self._step.structured_input_signature[1]
        names = [name for name in inputs if name.startswith("observation")]
        wants = {name: _describe(inputs[name].shape[1:], inputs[name].dtype.as_numpy_dtype) for name in names}
        parts = zip(input_names(spec.observation_space), tf.nest.flatten(zeros(spec.observation_space)), strict=True)
        has = {name: _describe(part.shape, part.dtype) for name, part in parts}
        distribution = distributions.for_space(spec.action_space)
        last_action, parameters = inputs["last_action"], self._step.structured_outputs["policy_parameters"]
        wanted = _describe(last_action.shape[1:], last_action.dtype), parameters.shape[-1]
        if (
            has != wants
            or (_describe(distribution.action_shape, distribution.action_dtype), distribution.num_parameters) != wanted
        ):
            space = one_line(spec.action_space)
            raise SettingError(
                f"--env_id={env_id}: its observations {_in_words(has)} and actions {space} do not fit the agent, which "
                f"takes {_in_words(wants)} and acts by {wanted[0]}, of a policy with {wanted[1]} parameters"
            )

    @property
    def state_size(self) -> int:
        """Returns the size of the core's state; 0 without a core."""
        return self._step.structured_input_signature[1]["core_state"].shape[-1]

    @property
    def observation_shapes(self) -> list[tuple[int, ...]]:
        """Returns the shape of each part of an observation, in the order of tf.nest.flatten."""
        inputs = self._step.structured_input_signature[1]
        return [tuple(inputs[name].shape[1:]) for name in self._names]

    def initial_state(self, batch_size: int) -> tf.Tensor:
        return self._initial_state(batch_size=tf.constant(batch_size))["core_state"]

    def initial_action(self, batch_size: int) -> np.ndarray:
        spec = self._step.structured_input_signature[1]["last_action"]
        return np.zeros([batch_size, *spec.shape[1:]], spec.dtype.as_numpy_dtype)

    def step(self, observation, reward, last_action, first, core_state, seed) -> dict[str, tf.Tensor]:
        parts = [tf.convert_to_tensor(part) for part in tf.nest.flatten(observation)]
        return self._step(
            **dict(zip(self._names, parts, strict=True)),
            reward=tf.convert_to_tensor(reward),
            last_action=tf.convert_to_tensor(last_action),
            first=tf.convert_to_tensor(first),
            core_state=core_state,
            **({"seed": tf.convert_to_tensor(seed)} if self._takes_seed else {}),
        )


def _describe(shape: Sequence[int], dtype: Any) -> str:
    kind = tf.as_dtype(dtype).name
    return f"{tuple(shape)} {kind}"


def _in_words(parts: dict[str, str]) -> str:
    if list(parts) == ["observation"]:
        return parts["observation"]
    return ", ".join(f"{name} {what}" for name, what in parts.items())
