"""Plays whole episodes with an agent and describes their returns."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import tqdm

from impala_tf.environments import VectorEnvironment
from impala_tf.support.signals import Request
from impala_tf.types import EnvOutput

NUM_ENVIRONMENTS = 16  # Episodes are played in so many environments at once.
NUM_RESAMPLES = 10_000  # The bootstrap draws so many samples.
NEVER = Request()  # Nobody makes it.
RESAMPLES_AT_ONCE = 100  # It draws them in blocks of so many: one block would take gigabytes for many episodes.


class Player(Protocol):
    """This is what `play` needs of an agent; an `ExportedAgent` and an `AgentPlayer` have it."""

    def initial_state(self, batch_size: int) -> Any: ...

    def initial_action(self, batch_size: int) -> np.ndarray: ...

    def step(self, observation, reward, last_action, first, core_state, seed) -> dict[str, Any]:
        """Chooses the actions of one row.

        observation, reward, first: [B, ...], fields of the row, see `types.EnvOutput`.
        last_action: [B, ...], actions that led to the row.
        core_state: [B, S] float32, state that the step at the row before returned.
        seed: [2] int32, seed of the sampled actions.

        Returns tensors by name: action, greedy_action, core_state and others.
        """


class Episodes(NamedTuple):
    """These are the results of whole episodes.

    returns: [E] float, sums of the rewards, neither discounted nor clipped.
    lengths: [E] int, agent steps.
    """

    returns: np.ndarray
    lengths: np.ndarray


def quotas(num_episodes: int, num_envs: int) -> np.ndarray:
    """Returns how many episodes each environment plays, [num_envs] int.

    It is fixed beforehand: taking the first `num_episodes` that end anywhere would favour short ones.
    """
    return np.full(num_envs, num_episodes // num_envs) + (np.arange(num_envs) < num_episodes % num_envs)


def play(
    agent: Player,
    environment: VectorEnvironment,
    num_episodes: int,
    greedy: bool,
    seed: int,
    on_row: Callable[[EnvOutput, dict], None] = lambda row, step: None,
    show_progress: bool = True,
    request: Request = NEVER,
) -> Episodes:
    """Plays `num_episodes`, spread over the environments by `quotas`.

    greedy: whether the most probable actions are taken instead of sampled ones.
    seed: seed of the sampled actions; the environments have their own.
    on_row: function that gets the row and the player's outputs after each of its steps; its exceptions end the play.
    show_progress: whether a bar is shown on a terminal.
    request: request that ends the play; then there are fewer episodes, and more of the short ones.
    """
    left = quotas(num_episodes, environment.num_envs)
    returns: list[float] = []
    lengths: list[int] = []
    state = agent.initial_state(environment.num_envs)
    action = agent.initial_action(environment.num_envs)
    row = environment.reset()
    seeds = (row_seed(seed, number) for number in itertools.count())
    # For tqdm None means that the bar is shown on a terminal only.
    disable = None if show_progress else True
    with tqdm.tqdm(total=num_episodes, unit="episodes", disable=disable, leave=False) as bar:
        while True:
            step = agent.step(row.observation, row.reward, action, row.first, state, next(seeds))
            on_row(row, step)
            ended = (row.terminated | row.truncated) & (left > 0)
            returns.extend(row.episode_return[ended].tolist())
            lengths.extend(row.episode_steps[ended].tolist())
            left -= ended
            bar.update(int(ended.sum()))
            if request.made or not left.any():
                return Episodes(np.asarray(returns), np.asarray(lengths))
            state = step["core_state"]
            action = step["greedy_action" if greedy else "action"].numpy()
            row = environment.step(action)


def row_seed(seed: int, number: int) -> np.ndarray:
    """Returns the seed of the actions at a row, [2] int32.

    seed: seed of the call of `play`. number: number of the row in it, from 0 on.
    """
    return np.random.SeedSequence([seed, number]).generate_state(2).astype(np.int32)


def episode_statistics(episodes: Episodes, seed: int) -> dict[str, Any]:
    """Returns mean, standard error, 95 % interval, minimum and maximum of the returns, and the lengths', by name.

    seed: seed of the bootstrap, by which the interval of the mean is found.
    """
    returns = episodes.returns
    random = np.random.default_rng(seed)
    blocks = (
        random.choice(returns, (RESAMPLES_AT_ONCE, len(returns))) for _ in range(0, NUM_RESAMPLES, RESAMPLES_AT_ONCE)
    )
    means = np.concatenate([block.mean(axis=1) for block in blocks])
    low, high = np.percentile(means, [2.5, 97.5])
    return dict(
        num_episodes=len(returns),
        mean=float(returns.mean()),
        standard_error=float(returns.std(ddof=1) / np.sqrt(len(returns))) if len(returns) > 1 else 0.0,
        interval_95=[float(low), float(high)],
        min=float(returns.min()),
        max=float(returns.max()),
        length_mean=float(episodes.lengths.mean()),
        length_min=int(episodes.lengths.min()),
        length_max=int(episodes.lengths.max()),
    )
