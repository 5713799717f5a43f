"""Makes an agent from settings and spaces."""

from collections.abc import Callable

import gymnasium as gym

from impala_tf.config import Config
from impala_tf.networks.agent import Agent, Trunk
from impala_tf.networks.cores import make_core
from impala_tf.networks.encoders import centred_convolutions, make_torso, own_torso
from impala_tf.networks.normalisation import ObservationStatistics, ReturnStatistics
from impala_tf.networks.popart import PopArt
from impala_tf.settings.transfer import parts_in
from impala_tf.spaces import distributions
from impala_tf.spaces.observation_spaces import without_mask


def make_agent(
    config: Config,
    observation_space: gym.Space,
    action_space: gym.Space,
    torso_of: Callable | None = None,
    num_tasks: int = 1,
) -> Agent:
    """Makes a freshly initialised agent with the network that `config` describes. No other network code reads settings.

    torso_of: function that makes a torso from the observation space, instead of --network.
    num_tasks: number of the run's tasks; --normalise_returns and --popart keep statistics for each.
    """
    space = without_mask(observation_space)
    trunks = []
    for i in range(2 if config.separate_value_network else 1):
        seed = 1000 * config.seed + 100 * i  # A torso uses fewer than 100 seeds.
        if torso_of:
            torso = own_torso(torso_of, space, "make_torso")
        else:
            torso = make_torso(
                space, config.network, config.hidden_sizes, config.activation, config.centre_frames, seed
            )
        trunks.append(Trunk(torso, make_core(config.core, config.core_size, seed + 50)))
    centred = [centred_convolutions(trunk.torso) for trunk in trunks]
    return_statistics: ReturnStatistics | PopArt | None = None
    if config.normalise_returns:
        return_statistics = ReturnStatistics(num_tasks)
    elif config.popart:
        return_statistics = PopArt(num_tasks, config.popart_step)
    agent = Agent(
        distributions.for_space(action_space, config.action_bounds, config.action_scale, config.action_scale_init),
        trunks,
        observation_space,
        config.use_last_action_and_reward,
        config.policy_init_scale,
        seed=1000 * config.seed + 200,
        observation_statistics=ObservationStatistics(space, config.normalise_observations, centred),
        return_statistics=return_statistics,
    )
    agent.freeze(parts_in(config.freeze))
    return agent
