"""One environment by its id, from gymnasium and what registers ids with it."""

import difflib
import functools
import warnings

import gymnasium as gym

from impala_tf import action_spaces, spaces
from impala_tf.config import Config, SettingError
from impala_tf.environments import atari, dmlab, suites
from impala_tf.environments.adapters import ActionRepeat, MaskedObservation


def make_one(config: Config, settings: dict) -> gym.Env:
    """settings: of gymnasium.make."""
    spec = gym_spec(config)  # In a process of its own, the module of a module:id is not imported yet.
    if atari.is_ale(config):
        return atari.make_one(spec.id, config, settings)
    if dmlab.is_dmlab(config):
        return dmlab.make_one(spec.id, config, settings)
    with warnings.catch_warnings():
        if spec.id.startswith("MinAtar/"):  # gymnasium takes v0, all six actions, for an old form of v1, those in use.
            warnings.simplefilter("ignore")
        env = gym.make(spec.id, max_episode_steps=config.max_episode_frames or None, **settings)
    if masks_actions(spec.id):
        env = MaskedObservation(env)
    return ActionRepeat(env, config.num_action_repeats) if config.num_action_repeats > 1 else env


@functools.lru_cache(maxsize=64)  # Asked for every environment.
def masks_actions(spec_id: str) -> bool:
    """Whether the environment says in `info` which actions are possible; its own observation may say it already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gym.make(spec_id)
        space = env.observation_space
        masks = action_spaces.mask_size(env.action_space) > 0 and not spaces.has_mask(space)
        masks = masks and spaces.unsupported(space) is None and env.reset(seed=0)[1].get(spaces.ACTION_MASK) is not None
        env.close()
    return masks


def gym_spec(config: Config) -> gym.envs.registration.EnvSpec:
    """What gymnasium knows of --env_id. Raises SettingError with ids that are spelled like it."""
    env_id = config.env_id
    try:
        if env_id.startswith("ALE/"):
            atari.register(env_id)
        if env_id.startswith("MinAtar/"):
            _register_minatar(env_id)
        if env_id.startswith(("MiniGrid-", "BabyAI-")) and env_id not in gym.registry:
            _register_minigrid(env_id)
        # gym.spec alone would not import the module of a "module:id".
        module, _, name = env_id.rpartition(":")
        if module:
            __import__(module)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        names = sorted(gym.registry)
        close = difflib.get_close_matches(env_id, names, n=3, cutoff=0.6)
        lowered = {name.lower(): name for name in names}
        close = close or suites.similar(env_id)
        close = close or [lowered[name] for name in difflib.get_close_matches(env_id.lower(), lowered, n=3, cutoff=0.4)]
        hint = f"did you mean {' or '.join(close)}?" if close else "see gymnasium.pprint_registry()"
        raise SettingError(f"--env_id={env_id}: unknown environment ({one_line(error)}); {hint}") from error


def _register_minigrid(env_id: str) -> None:
    try:
        import minigrid  # noqa: F401 (registers them)
    except ImportError:
        raise SettingError(f"--env_id={env_id}: MiniGrid is not installed: pip install 'impala_tf[minigrid]'") from None


def _register_minatar(env_id: str) -> None:
    try:
        import minatar.gym
    except ImportError:
        raise SettingError(f"--env_id={env_id}: MinAtar is not installed: pip install 'impala_tf[minatar]'") from None
    if "MinAtar/Breakout-v0" not in gym.registry:
        minatar.gym.register_envs()


def one_line(value: object) -> str:
    """For messages: arrays and errors print over several."""
    return " ".join(str(value).split())
