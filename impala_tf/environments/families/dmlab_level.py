"""Wraps a level of DeepMind Lab as a gymnasium environment, with the paper's frames, actions and action repeat."""

import string
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import SettingError

TRAIN, TEST = "DMLab/", "DMLabTest/"  # The ids begin like this.

HEIGHT, WIDTH = 72, 96
FRAMES_PER_SEC = 60
MAX_INSTRUCTION = 512  # characters

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

FOLDER = "contributed/dmlab30/"  # DeepMind Lab has the levels of DMLab-30 there.
OTHER_LEVELS = ("seekavoid_arena_01",)
# The released code tests with seeds of its own, and may load held-out levels.
TEST_CONFIG = {"allowHoldOutLevels": "true", "mixerSeed": str(0x600D5EED)}


class DMLabLevel(gym.Env):
    """This environment is one level. The reward of a step is the raw sum over its frames.

    Every end of an episode is `terminated`, as in the paper's code, which gives it discount 0. Most levels end by the
    clock, but DeepMind Lab does not say why an episode ended (a skymaze level also ends at its goal) and has no
    observation of the moment, so there is nothing whose value could be bootstrapped. The observation returned with the
    end is the one before it, which nothing learns from.

    level: the name without its folder.
    test: whether the level is loaded as the released code does for testing.
    num_action_repeats: number of frames of a step.
    renderer: software or hardware, which draws the frames.
    dataset_path: the directory of the pictures that psychlab levels show.
    render_mode: rgb_array, or None.

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
        # DeepMind Lab counts episodes, and a seed is to begin the same ones anew; -1 means the next one.
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
