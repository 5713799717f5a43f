"""SavedModel out and in. The export needs plain TensorFlow only: no impala_tf, no log directory."""

import json
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from impala_tf.config import SettingError
from impala_tf.environments import EnvironmentSpec
from impala_tf.logdir import INFO_FILE
from impala_tf.networks import Agent
from impala_tf.networks.agent import zeros


class _Export(tf.Module):
    """Holds the variables and the two signatures."""

    def __init__(self, agent: Agent):
        super().__init__()
        self.weights = agent.variables
        self._agent = agent

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int32, name="batch_size")])
    def initial_state(self, batch_size):
        return {"core_state": self._agent.initial_state(batch_size)}

    @tf.function(autograph=False)
    def step(self, observation, reward, last_action, first, core_state):
        step = self._agent.step(observation, reward, last_action, first, core_state)
        return {
            "action": step.action,
            "greedy_action": self._agent.distribution.mode(step.parameters),
            "policy_parameters": step.parameters,
            "baseline": step.baseline,
            "core_state": step.core_state,
        }

    def signatures(self) -> dict:
        distribution = self._agent.distribution
        observation = zeros(self._agent.observation_space)
        specs = dict(
            observation=tf.TensorSpec([None, *observation.shape], observation.dtype),
            reward=tf.TensorSpec([None], tf.float32),
            last_action=tf.TensorSpec([None, *distribution.action_shape], distribution.action_dtype),
            first=tf.TensorSpec([None], tf.bool),
            core_state=tf.TensorSpec([None, self._agent.state_size], tf.float32),
        )
        specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
        return {
            "initial_state": self.initial_state.get_concrete_function(),
            "step": self.step.get_concrete_function(**specs),
        }


def export(agent: Agent, directory: pathlib.Path, info: dict) -> None:
    """Writes a SavedModel with the signatures `initial_state` and `step`; replaces an earlier one at the end.

    initial_state(batch_size: [] int32) -> core_state [B, S].
    step(observation [B, ...], reward [B] float32, last_action [B], first [B] bool, core_state [B, S]) ->
    action (sampled), greedy_action, policy_parameters [B, P], baseline [B], core_state. All as dicts by name.

    info: settings that `evaluate` wants to know, kept beside the model as JSON.
    """
    # saved_model.save would track a Keras agent; a module of bare variables and functions is all that is needed.
    module = _Export(agent)
    temporary = directory.with_name(directory.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    tf.saved_model.save(module, str(temporary), signatures=module.signatures())
    (temporary / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    temporary.replace(directory)


class ExportedAgent:
    """An export, loaded, as numpy in and tensors out. Raises SettingError when it cannot be loaded."""

    def __init__(self, directory: pathlib.Path):
        try:
            self._model = tf.saved_model.load(str(directory))
            self._step = self._model.signatures["step"]
            self._initial_state = self._model.signatures["initial_state"]
        except (OSError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
            raise SettingError(
                f"--saved_model={directory}: cannot be loaded ({' '.join(str(error).split())[:200]})"
            ) from error

    def check_fits(self, spec: EnvironmentSpec, env_id: str) -> None:
        """Raises SettingError when the environment's spaces are not those that the agent was made for."""
        inputs = self._step.structured_input_signature[1]
        has = (tuple(spec.observation_space.shape), np.dtype(spec.observation_space.dtype), int(spec.action_space.n))
        num_actions = self._step.structured_outputs["policy_parameters"].shape[-1]
        wants = (tuple(inputs["observation"].shape[1:]), inputs["observation"].dtype.as_numpy_dtype, num_actions)
        if has[0] != wants[0] or has[1] != wants[1] or has[2] != wants[2]:
            raise SettingError(
                f"--env_id={env_id}: its observations {has[0]} {has[1].name} and {has[2]} actions do not fit "
                f"the agent, which takes {wants[0]} {np.dtype(wants[1]).name} and has {wants[2]} actions"
            )

    def initial_state(self, batch_size: int) -> tf.Tensor:
        return self._initial_state(batch_size=tf.constant(batch_size))["core_state"]

    def initial_action(self, batch_size: int) -> np.ndarray:
        spec = self._step.structured_input_signature[1]["last_action"]
        return np.zeros([batch_size, *spec.shape[1:]], spec.dtype.as_numpy_dtype)

    def step(self, observation, reward, last_action, first, core_state) -> dict[str, tf.Tensor]:
        return self._step(
            observation=tf.convert_to_tensor(observation),
            reward=tf.convert_to_tensor(reward),
            last_action=tf.convert_to_tensor(last_action),
            first=tf.convert_to_tensor(first),
            core_state=core_state,
        )
