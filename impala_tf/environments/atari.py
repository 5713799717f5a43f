"""Atari games of the Arcade Learning Environment, by default with the paper's preprocessing (table G.1).

Grey 84x84 frames, each the maximum over the last two, stacked, channels first: [frame_stack, 84, 84] uint8. The same
settings for ALE's own vector (fastest), gymnasium's wrappers (everywhere) and EnvPool.
"""

from typing import Any

import gymnasium as gym

from impala_tf.config import Config, SettingError

SIZE = 84
MAX_FRAMES = 108_000  # Of an episode: 30 minutes at 60 frames a second.


# What only ALE's ids heed, and what only its preprocessing does.
SETTINGS = ("atari_preprocessing", "atari_ram", "sticky_actions", "full_action_set", "life_loss_ends_episode")
PREPROCESSING = ("frame_stack", "noop_max")


def is_ale(config: Config) -> bool:
    return config.env_id.startswith("ALE/")


def is_preprocessed(config: Config) -> bool:
    """Whether the id is one of ALE's and its frames are to be preprocessed."""
    return is_ale(config) and config.atari_preprocessing and not config.atari_ram


def check(config: Config) -> None:
    """Raises SettingError for settings that would do nothing."""
    heeded = (SETTINGS if is_ale(config) else ()) + (PREPROCESSING if is_preprocessed(config) else ())
    defaults = Config()
    for name in SETTINGS + PREPROCESSING:
        value = getattr(config, name)
        if name not in heeded and value != getattr(defaults, name):
            wanted = "--atari_preprocessing and frames" if is_ale(config) else "an ALE id, such as ALE/Pong-v5"
            value = str(value).lower() if isinstance(value, bool) else value
            raise SettingError(f"--{name}={value}: does nothing without {wanted}; given: {config.env_id}")


# All 18 actions of ALE, in its order, as those of a game without fire (Skiing): to fire is to do nothing.
WITHOUT_FIRE = (0, 0, *range(1, 9), *range(1, 9))


def register(env_id: str) -> None:
    """Makes ALE's ids known to gymnasium. Raises SettingError when ale-py is not installed."""
    try:
        import ale_py
    except ImportError:
        raise SettingError(f"--env_id={env_id}: ale-py is not installed: pip install 'impala_tf[atari]'") from None
    gym.register_envs(ale_py)


def make_one(spec_id: str, config: Config, settings: dict[str, Any]) -> gym.Env:
    """One game, with --atari_preprocessing in gymnasium's wrappers."""
    settings = settings | dict(
        repeat_action_probability=config.sticky_actions,
        full_action_space=config.full_action_set,
        max_num_frames_per_episode=config.max_episode_frames or MAX_FRAMES,
    )
    if not is_preprocessed(config):
        kind = "ram" if config.atari_ram else "rgb"
        return gym.make(spec_id, frameskip=config.num_action_repeats, obs_type=kind, **settings)
    try:
        import cv2  # noqa: F401 (AtariPreprocessing needs it, and says so less clearly)
    except ImportError:
        raise SettingError(
            f"--env_id={config.env_id}: OpenCV is not installed: pip install 'impala_tf[atari]'"
        ) from None
    env = gym.make(spec_id, frameskip=1, **settings)
    env = gym.wrappers.AtariPreprocessing(
        env, noop_max=config.noop_max, frame_skip=config.num_action_repeats, screen_size=SIZE
    )
    # Zeros before the first frame, as in ALE's vector.
    return gym.wrappers.FrameStackObservation(env, config.frame_stack, padding_type="zero")


def make_ale(game: str, config: Config, num_envs: int, num_ready: int, threads: int) -> Any:
    """ALE's own vector: several games in C++ threads."""
    from ale_py.vector_env import AtariVectorEnv

    return AtariVectorEnv(
        game,
        num_envs,
        batch_size=num_ready,
        num_threads=threads,
        max_num_frames_per_episode=config.max_episode_frames or MAX_FRAMES,
        repeat_action_probability=config.sticky_actions,
        full_action_space=config.full_action_set,
        stack_num=config.frame_stack,
        frameskip=config.num_action_repeats,
        noop_max=config.noop_max,
        img_height=SIZE,
        img_width=SIZE,
        reward_clipping=False,  # The learner's business, --reward_clipping.
        use_fire_reset=False,
    )


def envpool_settings(config: Config) -> dict[str, Any]:
    """The same for EnvPool."""
    return dict(
        stack_num=config.frame_stack,
        frame_skip=config.num_action_repeats,
        noop_max=config.noop_max,
        img_height=SIZE,
        img_width=SIZE,
        gray_scale=True,
        reward_clip=False,
        use_fire_reset=False,
        episodic_life=False,
        full_action_space=config.full_action_set,
        repeat_action_probability=config.sticky_actions,
        max_episode_steps=(config.max_episode_frames or MAX_FRAMES) // config.num_action_repeats,
    )
