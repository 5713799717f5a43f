"""Checks the environments' spaces, and the settings that depend on them."""

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.spaces import action_spaces, masks
from impala_tf.spaces.observation_spaces import (
    ACTION_MASK,
    SMALLEST_IMAGE,
    SUPPORTED,
    has_mask,
    is_frame,
    is_image,
    is_normalised,
    is_text,
    leaves,
    network_for,
    unsupported,
    without_mask,
    zeros,
)
from impala_tf.support.messages import one_line
from impala_tf.support.own_code import own_function


def check_observations(env_id: str, space: gym.Space) -> None:
    """Raises SettingError when no network takes observations of the space."""
    leaf = unsupported(space)
    if leaf is not None:
        raise SettingError(
            f"--env_id={env_id}: {'a part of ' if leaf is not space else ''}its observation space {one_line(leaf)} is "
            f"not supported; supported: {', '.join(SUPPORTED)}"
        )
    seen = leaves(without_mask(space)).values()
    if not seen or any(0 in (leaf.shape or ()) for leaf in seen):
        raise SettingError(
            f"--env_id={env_id}: its observation space {one_line(space)} has "
            f"{'a part without any numbers' if seen else 'nothing but the action_mask'}"
        )


def check_actions(env_id: str, observation_space: gym.Space, action_space: gym.Space) -> None:
    """Raises SettingError when there is no distribution over the actions, or their mask does not fit them."""
    try:
        action_spaces.check(action_space)
    except NotImplementedError as error:
        raise SettingError(f"--env_id={env_id}: its {error}") from None
    if not isinstance(observation_space, gym.spaces.Dict) or not has_mask(observation_space):
        return
    mask = observation_space[ACTION_MASK]
    if not isinstance(mask, gym.spaces.Box | gym.spaces.MultiBinary | gym.spaces.MultiDiscrete):
        raise SettingError(
            f"--env_id={env_id}: its action_mask is {one_line(mask)}; must be one MultiBinary with an entry for each "
            "possible action, the components' one after the other"
        )
    given, wanted = np.size(zeros(mask)), masks.mask_size(action_space)
    if given != wanted:
        raise SettingError(
            f"--env_id={env_id}: its action_mask has {given} entries, but {one_line(action_space)} needs {wanted}"
        )


def check_network(config: Config, observation_space: gym.Space) -> None:
    """Raises SettingError when --network does not exist, or needs an image where there is none."""
    if ":" in config.network:
        own_function("network", config.network)
    smallest = SMALLEST_IMAGE.get(config.network)
    seen = [leaf for leaf in leaves(observation_space).values() if not is_text(leaf)]
    if smallest is None or any(is_image(leaf, config.network) for leaf in seen):
        return
    best = next((name for name in ("shallow", "minatar") if any(is_image(leaf, name) for leaf in seen)), "mlp")
    raise SettingError(
        f"--network={config.network}: needs an observation of shape [height, width, channels] with at least "
        f"{smallest}x{smallest} pixels, but {config.env_id} has {one_line(observation_space)}; use --network={best}"
    )


def check_settings_have_effect(config: Config, observation_space: gym.Space, action_space: gym.Space) -> None:
    """Raises SettingError for settings that would do nothing with these spaces, or could not be heeded."""
    seen = list(leaves(without_mask(observation_space)).values())
    has_numbers = any(is_normalised(leaf) for leaf in seen)
    has_frames = any(is_frame(leaf) and network_for(config.network, leaf) in SMALLEST_IMAGE for leaf in seen)
    has_texts = any(is_text(leaf) for leaf in seen)
    has_boxes = any(isinstance(leaf, gym.spaces.Box) for leaf in leaves(action_space).values())
    for flag, wrong, why in (
        (
            "normalise_observations",
            config.normalise_observations and not has_numbers,
            "has no numbers but frames and bits",
        ),
        ("centre_frames", config.centre_frames and not has_frames, "has no frames of bytes that convolutions see"),
        ("xla", config.xla == "on" and has_texts, "has texts, which XLA cannot compile"),
        (
            "behaviour_epsilon",
            config.behaviour_epsilon > 0 and has_boxes,
            "has a Box action, of which no choice is uniform (--behaviour_temperature explores there)",
        ),
        ("rnd", config.rnd and all(map(is_text, seen)), "has nothing but texts, of which it cannot tell what is new"),
        ("action_bounds", config.action_bounds != "clip" and not has_boxes, "has no Box action"),
        ("action_scale", config.action_scale != "learned" and not has_boxes, "has no Box action"),
    ):
        if wrong:
            value = str(getattr(config, flag)).lower()
            raise SettingError(f"--{flag}={value}: {config.env_id} {why}; leave it out")
