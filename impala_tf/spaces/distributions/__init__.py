"""Makes a distribution over the actions of a space, with TensorFlow Probability.

A new kind of action space is a new class in this folder and a line in `for_space`; nothing else changes, because
everything else handles `parameters`, one float32 vector [..., num_parameters], and actions as they travel
(`action_spaces.py`).
"""

import gymnasium as gym

from impala_tf.settings.spaces import SpaceSettings
from impala_tf.spaces import action_spaces
from impala_tf.spaces.distributions.box import Normal
from impala_tf.spaces.distributions.discrete import Bernoulli, Categorical, MultiCategorical
from impala_tf.spaces.distributions.joint import Joint
from impala_tf.spaces.distributions.protocol import ActionDistribution

__all__ = ["ActionDistribution", "Bernoulli", "Categorical", "Joint", "MultiCategorical", "Normal", "for_space"]


def for_space(
    space: gym.Space,
    action_bounds: str = SpaceSettings.action_bounds,
    action_scale: str = SpaceSettings.action_scale,
    action_scale_init: float = SpaceSettings.action_scale_init,
) -> ActionDistribution:
    """Returns the distribution for an action space.

    action_bounds, action_scale, action_scale_init: the settings of these names; only a Box heeds them.
    Raises NotImplementedError, one line that names the space, if there is none.
    """
    action_spaces.check(space)
    if isinstance(space, gym.spaces.Discrete):
        return Categorical(space)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return MultiCategorical(space)
    if isinstance(space, gym.spaces.MultiBinary):
        return Bernoulli(space)
    box_settings = (action_bounds, action_scale, action_scale_init)
    if isinstance(space, gym.spaces.Box):
        return Normal(space, *box_settings)
    assert isinstance(space, gym.spaces.Tuple | gym.spaces.Dict), space
    return Joint(space, [for_space(part, *box_settings) for part in action_spaces.parts_of(space)])
