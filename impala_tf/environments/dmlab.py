"""DeepMind Lab's levels as gymnasium environments: `DMLab/LEVEL-v0`, and `DMLabTest/LEVEL-v0` for testing.

LEVEL is one of DMLab-30's, such as explore_goal_locations_small, or seekavoid_arena_01 (the paper's table 1). Frames,
actions and action repeat are the paper's (tables D.1 to D.3). The ids for testing do what the released code does then:
their seeds span other numbers than those of training, and two levels, with _test instead of _train at the end of their
names, are held-out versions.
"""

import string
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments import suites

NAMESPACES = TRAIN, TEST = "DMLab/", "DMLabTest/"
SETTINGS = ("dmlab_renderer", "dmlab_dataset_path")

HEIGHT, WIDTH = 72, 96
FRAMES_PER_SEC = 60
MAX_INSTRUCTION = 512  # Characters.

DIMENSIONS = (
    "LOOK_LEFT_RIGHT_PIXELS_PER_FRAME",
    "LOOK_DOWN_UP_PIXELS_PER_FRAME",
    "STRAFE_LEFT_RIGHT",
    "MOVE_BACK_FORWARD",
    "FIRE",
    "JUMP",
    "CROUCH",
)
# The numbers are the released code's, environments.py.
ACTIONS: dict[str, dict[str, int]] = {
    "FORWARD": {"MOVE_BACK_FORWARD": 1},
    "BACKWARD": {"MOVE_BACK_FORWARD": -1},
    "STRAFE_LEFT": {"STRAFE_LEFT_RIGHT": -1},
    "STRAFE_RIGHT": {"STRAFE_LEFT_RIGHT": 1},
    "LOOK_LEFT": {"LOOK_LEFT_RIGHT_PIXELS_PER_FRAME": -20},
    "LOOK_RIGHT": {"LOOK_LEFT_RIGHT_PIXELS_PER_FRAME": 20},
    "FORWARD_LOOK_LEFT": {"MOVE_BACK_FORWARD": 1, "LOOK_LEFT_RIGHT_PIXELS_PER_FRAME": -20},
    "FORWARD_LOOK_RIGHT": {"MOVE_BACK_FORWARD": 1, "LOOK_LEFT_RIGHT_PIXELS_PER_FRAME": 20},
    "FIRE": {"FIRE": 1},
}

FOLDER = "contributed/dmlab30/"  # Of DMLab-30's levels in DeepMind Lab.
OTHER_LEVELS = ("seekavoid_arena_01",)
# What the released code tests with: seeds of its own, and leave to load held-out levels.
TEST_CONFIG = {"allowHoldOutLevels": "true", "mixerSeed": str(0x600D5EED)}


class DMLab(gym.Env):
    """One level. Rewards are raw, and of all frames of a step.

    Every end of an episode is `terminated`, as in the paper's code, which gives it discount 0. Most levels end by the
    clock, but DeepMind Lab does not say why an episode ended (a skymaze level also ends at its goal) and has no
    observation of the moment, so there is nothing whose value could be bootstrapped. The observation returned with the
    end is the one before it, which nothing learns from.

    level: the name without its folder.
    test: load it as the released code does for testing.
    num_action_repeats: frames of a step.
    renderer: software or hardware.
    dataset_path: directory of the pictures that psychlab levels show.

    Raises SettingError when DeepMind Lab is not installed.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SEC}  # noqa: RUF012

    def __init__(
        self,
        level: str,
        test: bool = False,
        num_action_repeats: int = 4,
        renderer: str = "software",
        dataset_path: str = "",
        render_mode: str | None = None,
    ):
        self._instructions = gym.spaces.Text(MAX_INSTRUCTION, min_length=0, charset=string.printable)
        frames = gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(frame=frames, instruction=self._instructions)
        self.action_space = gym.spaces.Discrete(len(ACTIONS))
        self.render_mode = render_mode
        self._num_action_repeats = num_action_repeats
        self._observation: dict[str, Any] = {}
        self._actions = [np.array([action.get(name, 0) for name in DIMENSIONS], np.intc) for action in ACTIONS.values()]
        config = {"width": str(WIDTH), "height": str(HEIGHT)} | (TEST_CONFIG if test else {})
        if dataset_path:
            config["datasetPath"] = dataset_path
        self._lab = _library(level, test).Lab(
            level if level in OTHER_LEVELS else FOLDER + level,
            ["RGB_INTERLEAVED", "INSTR"],
            config=config,
            renderer=renderer,
        )
        names = tuple(dimension["name"] for dimension in self._lab.action_spec())
        assert names == DIMENSIONS, names

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        # DeepMind Lab counts episodes, and a seed is to begin the same ones anew; -1: the next.
        episode = -1 if seed is None else 0
        self._lab.reset(episode=episode, seed=int(self.np_random.integers(2**31 - 1)))
        self._observation = self._observe()
        return self._observation, {}

    def step(self, action):
        reward = self._lab.step(self._actions[action], num_steps=self._num_action_repeats)
        terminated = not self._lab.is_running()
        if not terminated:
            self._observation = self._observe()
        return self._observation, float(reward), terminated, False, {}

    def _observe(self) -> dict[str, Any]:
        seen = self._lab.observations()
        if seen["INSTR"] not in self._instructions:
            raise ValueError(f"not an instruction of at most {MAX_INSTRUCTION} ASCII characters: {seen['INSTR']!r}")
        return {"frame": seen["RGB_INTERLEAVED"], "instruction": seen["INSTR"]}

    def render(self):
        return self._observation["frame"] if self.render_mode else None

    def get_action_meanings(self) -> list[str]:
        return list(ACTIONS)

    def close(self) -> None:
        self._lab.close()


def _library(level: str, test: bool) -> Any:
    try:
        import deepmind_lab
    except ImportError:
        raise SettingError(
            f"--env_id={TEST if test else TRAIN}{level}-v0: deepmind_lab is not installed, and PyPI does not have it: "
            "build its wheel from github.com/google-deepmind/lab, python/pip_package, and pip install that"
        ) from None
    return deepmind_lab


def is_dmlab(config: Config) -> bool:
    return config.env_id.startswith(NAMESPACES)


def check(config: Config) -> None:
    """Raises SettingError for settings that would do nothing."""
    for name in SETTINGS:
        value = getattr(config, name)
        if value != getattr(Config(), name) and not is_dmlab(config):
            raise SettingError(f"--{name}={value}: does nothing without a DMLab id; given: {config.env_id}")


def check_training(config: Config) -> None:
    """Raises SettingError for test ids: an agent that has learned from them cannot be tested with them."""
    if any(task.startswith(TEST) for task in suites.tasks_of(config)):
        raise SettingError(f"--env_id={config.env_id}: is for testing; train on a DMLab/ id or on dmlab30")


def make_one(spec_id: str, config: Config, settings: dict[str, Any]) -> gym.Env:
    """DeepMind Lab repeats actions itself, so --max_episode_frames is a limit of steps here."""
    steps = max(1, config.max_episode_frames // config.num_action_repeats) if config.max_episode_frames else None
    return gym.make(
        spec_id,
        max_episode_steps=steps,
        num_action_repeats=config.num_action_repeats,
        renderer=config.dmlab_renderer,
        dataset_path=config.dmlab_dataset_path,
        **settings,
    )


def register() -> None:
    for name in (*suites.DMLAB30, *suites.DMLAB30_TEST, *(f"{TRAIN}{level}-v0" for level in OTHER_LEVELS)):
        if name not in gym.registry:
            namespace, _, level = name.removesuffix("-v0").partition("/")
            gym.register(
                name,
                entry_point="impala_tf.environments.dmlab:DMLab",
                kwargs={"level": level, "test": f"{namespace}/" == TEST},
            )
