"""Draws an episode as MP4 or GIF: the environment's frame, and beside it the agent's baseline and policy."""

import os
import pathlib
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.evaluation.playing import Player, play
from impala_tf.support.messages import one_line
from impala_tf.types import EnvOutput

HEIGHT, PANEL_WIDTH, MAX_FRAME_WIDTH = 480, 320, 960  # These are pixels.
CURVE_STEPS = 200  # The curve of the baseline shows so many steps.
MARGIN = 12
LINE = 14
BLACK, GREY, BLUE, RED, GREEN = (0, 0, 0), (190, 190, 190), (31, 119, 180), (214, 39, 40), (44, 160, 44)


def check(video: pathlib.Path) -> None:
    """Raises SettingError when the path is not that of a video, or a package is missing."""
    if video.suffix not in (".mp4", ".gif") or not video.parent.is_dir():
        raise SettingError(f"--video={video}: must be a .mp4 or .gif file in a directory that exists")
    try:
        import imageio.v3  # noqa: F401
        import imageio_ffmpeg  # noqa: F401 (imageio's MP4 writer)
        import PIL  # noqa: F401
    except ImportError as error:
        raise SettingError(f"--video={video}: {error.name} is not installed: pip install 'impala_tf[video]'") from None


def check_drawable(video: pathlib.Path, config: Config, task: int) -> None:
    """Raises SettingError when the environment gives no picture. task: index of one of the config's tasks."""
    reason = "it gives no picture"
    try:
        environment = _make_environment(config, task, seed=0)
        environment.reset()
        picture: Any = environment.render()
        environment.close()
    except Exception as error:
        picture = None
        reason = one_line(error)[:200]
    if isinstance(picture, np.ndarray) and (picture.ndim != 3 or picture.shape[2] != 3):
        picture, reason = None, f"its picture has the shape {picture.shape}, not [height, width, 3]"
    if not isinstance(picture, np.ndarray):
        raise SettingError(f"--video={video}: {config.env_id} cannot be drawn ({reason})")


def _make_environment(config: Config, task: int, seed: int) -> environments.VectorEnvironment:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame needs no display to draw into an array.
    return environments.make_vector_environment(config, seed, task, 1, render_mode="rgb_array", whole_games=True)


def record(agent: Player, config: Config, task: int, seed: int, greedy: bool, path: pathlib.Path) -> None:
    """Plays one episode and writes it as it goes, in the format of the path's suffix.

    task: index of one of the config's tasks.
    """
    import imageio.v2 as imageio

    environment = _make_environment(config, task, seed)
    panel = Panel(environment.action_space, environment.action_names, task)
    fps = environment.frames_per_sec / config.num_action_repeats
    if path.suffix == ".gif":
        writer = imageio.get_writer(path, mode="I", duration=1000 / fps, loop=0)
    else:
        writer = imageio.get_writer(path, fps=fps, macro_block_size=2)

    def on_row(row: EnvOutput, step: dict) -> None:
        panel.add(row, step, "greedy_" if greedy else "")
        writer.append_data(panel.beside(environment.render()))

    with writer:
        play(agent, environment, 1, greedy, seed, on_row)
    environment.close()


class Panel:
    """Draws reward, return, the baseline over the last steps, and the policy.

    The policy of a Discrete space is drawn as the probabilities of its actions, that of other spaces as the numbers of
    the action that is taken.

    action_names: names in the order of the policy's logits; an empty list means that numbers are drawn.
    task: index of the task whose baseline is drawn, for an agent that has one of each task.
    """

    def __init__(self, action_space: gym.Space, action_names: list[str], task: int = 0):
        self._start = int(action_space.start) if isinstance(action_space, gym.spaces.Discrete) else None
        self._names = action_names
        self._task = task
        self._values: list[float] = []
        self._rewards: list[float] = []

    def add(self, row: EnvOutput, step: dict, prefix: str) -> None:
        """Takes in a row of one environment and the policy's outputs for it, as `ExportedAgent.step` gives them.

        prefix: "greedy_" or "", beginning of the name of the action that is taken.
        """
        values = np.ravel(step["baseline"][0])
        self._values.append(float(values[self._task if len(values) > 1 else 0]))
        self._rewards.append(float(row.reward[0]))
        self._return, self._steps = float(row.episode_return[0]), int(row.episode_steps[0])
        self._parameters = step["policy_parameters"].numpy()[0].astype(np.float64)
        self._action = step[f"{prefix}environment_action"].numpy()[0]

    def beside(self, frame: np.ndarray) -> np.ndarray:
        """Returns the frame, scaled, with the panel to its right: [HEIGHT, width, 3] uint8.

        frame: [height, width, 3] uint8, or floats from 0 to 1.
        """
        from PIL import Image, ImageDraw

        if frame.dtype.kind == "f":  # MinAtar gives floats.
            frame = np.clip(frame, 0, 1) * 255
        frame = frame.astype(np.uint8)
        height, width = frame.shape[:2]
        scale = min(HEIGHT / height, MAX_FRAME_WIDTH / width)
        width, height = max(2, round(width * scale / 2) * 2), max(1, min(HEIGHT, round(height * scale)))
        picture = Image.new("RGB", (width + PANEL_WIDTH, HEIGHT), (255, 255, 255))
        picture.paste(Image.fromarray(frame).resize((width, height), Image.Resampling.NEAREST))
        draw = ImageDraw.Draw(picture)
        left, right = width + MARGIN, width + PANEL_WIDTH - MARGIN
        draw.text((left, MARGIN), f"step {self._steps}   return {self._return:g}", BLACK)
        reward = self._rewards[-1]
        draw.text((left, MARGIN + LINE), f"reward {reward:g}", _colour(reward) if reward else BLACK)
        draw.text((left, MARGIN + 2 * LINE), f"baseline {self._values[-1]:.3f}", BLUE)
        self._draw_curve(draw, (left, MARGIN + 4 * LINE, right, HEIGHT // 2 - MARGIN))
        self._draw_policy(draw, (left, HEIGHT // 2, right, HEIGHT - MARGIN))
        return np.asarray(picture)

    def _draw_curve(self, draw, box: tuple[int, int, int, int]) -> None:
        left, top, right, bottom = box
        values = np.array(self._values[-CURVE_STEPS:])
        low, high = float(values.min()), float(values.max())
        span = max(high - low, 1e-3)
        xs = left + np.arange(len(values)) * (right - left) / (CURVE_STEPS - 1)
        for x, reward in zip(xs, self._rewards[-CURVE_STEPS:], strict=True):
            if reward:
                draw.line([(x, top), (x, bottom)], fill=_colour(reward))
        points = [(x, bottom - (value - low) / span * (bottom - top)) for x, value in zip(xs, values, strict=True)]
        if len(points) > 1:
            draw.line(points, fill=BLUE, width=2)
        draw.rectangle(box, outline=GREY)
        draw.text((left + 3, top + 1), f"{high:.2f}", GREY)
        draw.text((left + 3, bottom - LINE), f"{low:.2f}", GREY)

    def _draw_policy(self, draw, box: tuple[int, int, int, int]) -> None:
        left, top, right, bottom = box
        if self._start is None:
            for i, number in enumerate(np.ravel(self._action)[: (bottom - top) // LINE]):
                draw.text((left, top + i * LINE), f"action {i}: {number:.3f}", BLACK)
            return
        probabilities = np.exp(self._parameters - self._parameters.max())
        probabilities /= probabilities.sum()
        names = self._names
        if len(names) != len(probabilities):  # An agent of several games has actions that this one lacks.
            names = [str(self._start + i) for i in range(len(probabilities))]
        pitch = min(20.0, (bottom - top) / len(names))
        start = left + 100
        for i, (name, probability) in enumerate(zip(names, probabilities, strict=True)):
            y = top + i * pitch
            colour = BLUE if i == self._action - self._start else GREY
            draw.text((left, y), name[:14], BLACK)
            draw.rectangle((start, y + 2, start + probability * (right - start), y + max(2, pitch - 3)), fill=colour)


def _colour(reward: float) -> tuple[int, int, int]:
    return GREEN if reward > 0 else RED
