"""Loads teachers (--teacher), which are exports, and asks them about the unrolls that a policy learns from."""

import dataclasses
import pathlib
from collections.abc import Sequence

import gymnasium as gym
import tensorflow as tf

from impala_tf.algorithms.distillation import Distillation
from impala_tf.algorithms.transitions import last_actions
from impala_tf.config import Config, SettingError
from impala_tf.environments import EnvironmentSpec
from impala_tf.environments.environment_spec import spec_of_task
from impala_tf.evaluation.export import ExportedAgent
from impala_tf.evaluation.exported_settings import training_environment
from impala_tf.networks.agent import merge_rows
from impala_tf.records.exports import read_info, unchecked
from impala_tf.records.logdir import teacher_exports
from impala_tf.spaces.observation_spaces import leaves, zeros
from impala_tf.support.messages import warn
from impala_tf.types import LossInputs


def teacher_terms(config: Config, spec: EnvironmentSpec) -> tuple[Distillation, ...]:
    """Returns the loss of --teacher; nothing without one. spec: environments of the run.

    Raises SettingError when a teacher does not fit the run.
    """
    paths = teacher_exports(config.teacher)
    if not paths:
        return ()
    if len(paths) not in (1, len(spec.tasks)):
        raise SettingError(
            f"--teacher={config.teacher}: {len(paths)} exports for {len(spec.tasks)} tasks; give one, or one for each "
            "task of --env_id"
        )
    teachers = []
    for index, path in enumerate(paths):
        try:
            teachers.append(_load(config, spec, path, index if len(paths) > 1 else None))
        except SettingError as error:
            raise SettingError(f"--teacher={path}: {error}") from error
    return (Distillation(Teachers(teachers)),)


def _load(config: Config, spec: EnvironmentSpec, path: pathlib.Path, index: int | None) -> ExportedAgent:
    """Loads the teacher of a task, by its index, or that of all (None). Raises SettingError if it does not fit."""
    for line in unchecked(path, read_info(path, "teacher"), "teacher"):
        warn(line)
    teacher = ExportedAgent(path)
    if teacher.state_size:
        raise SettingError("has a core, whose state at an unroll's beginning nobody knows; give one without")
    task = config.env_id if index is None else spec.tasks[index]
    if index is not None:
        alone = spec_of_task(dataclasses.replace(config, env_id=task)).observation_space
        if teacher.observation_shapes == [part.shape for part in tf.nest.flatten(zeros(alone))]:
            # It learned on the task alone, whose observations were not filled up.
            spec = spec._replace(observation_space=alone)
    teacher.check_fits(spec, task)
    if any(isinstance(leaf, gym.spaces.Box) for leaf in leaves(spec.action_space).values()):
        _check_units(config, path)
    return teacher


def _check_units(config: Config, path: pathlib.Path) -> None:
    """Raises SettingError when a Box's parameters mean another distribution to the teacher than to the policy."""
    units = dict(
        action_bounds=training_environment(path).action_bounds,
        action_scale_init=read_info(path, "teacher").action_scale_init,
    )
    wrong = [f"--{name}={value}" for name, value in units.items() if value != getattr(config, name)]
    if wrong:
        raise SettingError(f"its actions mean something else; give {' '.join(wrong)}, as it had")


class Teachers:
    """These are one teacher for all tasks, or one for each task in order.

    Every teacher is asked about every unroll, because a graph has fixed shapes; what it says of other tasks is not
    used.
    """

    def __init__(self, agents: Sequence[ExportedAgent]):
        self._agents = agents

    def __call__(self, inputs: LossInputs) -> tf.Tensor:
        """Returns the parameters of the teachers' distributions, [T + 1, B, P] float32."""
        answers = [self._ask(agent, inputs) for agent in self._agents]
        parameters = answers[0]
        for index, answer in enumerate(answers[1:], start=1):
            is_of_task = (inputs.unroll.task == index)[tf.newaxis, :, tf.newaxis]
            parameters = tf.where(is_of_task, answer, parameters)
        return parameters

    def _ask(self, agent: ExportedAgent, inputs: LossInputs) -> tf.Tensor:
        rows = inputs.unroll.env_outputs
        parts = [
            _cropped(part, shape)
            for part, shape in zip(tf.nest.flatten(rows.observation), agent.observation_shapes, strict=True)
        ]
        network_inputs = (parts, inputs.network_reward, last_actions(inputs.unroll), rows.first)
        observation, reward, last_action, first = (merge_rows(x) for x in network_inputs)
        core_state, seed = tf.zeros([tf.shape(first)[0], 0]), tf.zeros([2], tf.int32)
        step = agent.step(observation, reward, last_action, first, core_state, seed)
        return tf.reshape(step["policy_parameters"], tf.shape(inputs.outputs.parameters))


def _cropped(part: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns the beginning of each axis of a part of the observation, [T + 1, B, ...], as `Task.fill_up` kept it."""
    if tuple(part.shape[2:]) == shape:
        return part
    return part[(slice(None), slice(None), *(slice(size) for size in shape))]
