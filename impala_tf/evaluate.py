"""Plays episodes with an exported agent and reports their returns.

  python -m impala_tf.evaluate --saved_model=runs/NAME/saved_model --num_episodes=100 --greedy

Needs the SavedModel only, not the log directory that it came from.
"""

import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tqdm
from absl import flags

from impala_tf import command_line
from impala_tf.config import Config, SettingError
from impala_tf.startup import import_tensorflow

NUM_ENVIRONMENTS = 16
NUM_RESAMPLES = 10_000  # Of the bootstrap.


class Episodes(NamedTuple):
    """returns: [E] float, undiscounted. lengths: [E] int, agent steps."""

    returns: np.ndarray
    lengths: np.ndarray


def quotas(num_episodes: int, num_envs: int) -> np.ndarray:
    """How many episodes each environment plays, [num_envs]: fixed beforehand.

    Taking the first `num_episodes` that end anywhere would favour short ones.
    """
    return np.full(num_envs, num_episodes // num_envs) + (np.arange(num_envs) < num_episodes % num_envs)


def play(agent, environment, num_episodes: int, greedy: bool, on_row=lambda row, step: None) -> Episodes:
    """Plays `num_episodes`, spread over the environments by `quotas`.

    agent: an `ExportedAgent`. environment: a `VectorEnvironment`.
    on_row(EnvOutput, step outputs) is called after each policy call.
    """
    left = quotas(num_episodes, environment.num_envs)
    returns, lengths = [], []
    state = agent.initial_state(environment.num_envs)
    action = agent.initial_action(environment.num_envs)
    row = environment.reset()
    bar = tqdm.tqdm(total=num_episodes, unit="episodes", disable=None, leave=False)  # On a terminal only.
    while True:
        step = agent.step(row.observation, row.reward, action, row.first, state)
        on_row(row, step)
        ended = (row.terminated | row.truncated) & (left > 0)
        returns.extend(row.episode_return[ended].tolist())
        lengths.extend(row.episode_steps[ended].tolist())
        left -= ended
        bar.update(int(ended.sum()))
        if not left.any():
            bar.close()
            return Episodes(np.asarray(returns), np.asarray(lengths))
        state = step["core_state"]
        action = step["greedy_action" if greedy else "action"].numpy()
        row = environment.step(action)


def report(episodes: Episodes, seed: int) -> dict:
    """Mean, standard error, 95 % interval (bootstrap of the mean), min and max of the returns; lengths."""
    returns = episodes.returns
    random = np.random.default_rng(seed)
    means = np.mean(random.choice(returns, (NUM_RESAMPLES, len(returns))), axis=1)
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


def run(
    saved_model: pathlib.Path,
    *,
    num_episodes: int,
    seed: int,
    env_id: str = "",
    greedy: bool = False,
    video: pathlib.Path | None = None,
    output: pathlib.Path | None = None,
    flag: str = "saved_model",
) -> None:
    """Loads, plays, prints, writes JSON. Raises SettingError for what a user can get wrong.

    flag: which the directory was given by, for the message.
    """
    from impala_tf import environments
    from impala_tf.logdir import check_export

    if num_episodes < 1:
        raise SettingError(f"--num_episodes={num_episodes}: must be at least 1")
    saved_model = saved_model.resolve()
    output = output or saved_model.with_name(f"{saved_model.name}_{'greedy' if greedy else 'sampled'}.json")
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise SettingError(f"--output={output}: must be a file in a directory that can be written")
    if video:
        _check_video(video)
    check_export(saved_model, flag)
    config = environment_of(saved_model, env_id)
    if video and config.vectorization == "envpool":
        raise SettingError(f"--video={video}: EnvPool's environments cannot be drawn")
    spec = environments.spec_of(config)
    import_tensorflow()
    from impala_tf.export import ExportedAgent

    agent = ExportedAgent(saved_model)
    agent.check_fits(spec, config.env_id)

    environment = environments.make_vector_environment(config, seed, 0, min(NUM_ENVIRONMENTS, num_episodes))
    result: dict[str, Any] = dict(env_id=config.env_id, saved_model=str(saved_model), greedy=greedy, seed=seed)
    result |= report(play(agent, environment, num_episodes, greedy), seed)
    environment.close()
    print(
        f"{config.env_id}, {'greedy' if greedy else 'sampled'} actions, {num_episodes} episodes\n"
        f"return: mean {result['mean']:.2f}, standard error {result['standard_error']:.2f}, "
        f"95 % interval [{result['interval_95'][0]:.2f}, {result['interval_95'][1]:.2f}], "
        f"min {result['min']:g}, max {result['max']:g}\n"
        f"length: mean {result['length_mean']:.1f}, min {result['length_min']}, max {result['length_max']} steps"
    )
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {output}")
    if video:
        record(agent, config, seed, greedy, video)
        print(f"one episode as a video: {video}")


def environment_of(saved_model: pathlib.Path, env_id: str) -> Config:
    """The settings that the agent was trained in. In another environment than that the back end is chosen anew."""
    from impala_tf.logdir import INFO_FILE

    try:
        settings = json.loads((saved_model / INFO_FILE).read_text())["environment"]
        if env_id and env_id != settings["env_id"]:
            settings |= {"env_id": env_id, "vectorization": "auto"}
        return Config(**settings)
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"--saved_model={saved_model}: cannot be loaded ({INFO_FILE}: {error})") from None


def record(agent, config: Config, seed: int, greedy: bool, path: pathlib.Path) -> None:
    """Plays one episode and writes its frames as MP4 or GIF, by the path's suffix."""
    import imageio.v3 as imageio

    from impala_tf import environments

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame needs no display to draw into an array.
    environment = environments.make_vector_environment(config, seed, 0, 1, render_mode="rgb_array")
    frames: list[np.ndarray] = []
    play(agent, environment, 1, greedy, on_row=lambda row, step: frames.append(environment.render()))
    environment.close()
    fps = environment.frames_per_sec
    gif, mp4 = {"duration": 1000 / fps, "loop": 0}, {"fps": fps, "macro_block_size": 2}
    settings: dict[str, Any] = gif if path.suffix == ".gif" else mp4
    imageio.imwrite(path, np.stack(frames), **settings)


def _check_video(video: pathlib.Path) -> None:
    if video.suffix not in (".mp4", ".gif") or not video.parent.is_dir():
        raise SettingError(f"--video={video}: must be a .mp4 or .gif file in a directory that exists")
    try:
        import imageio.v3  # noqa: F401
        import imageio_ffmpeg  # noqa: F401 (imageio's MP4 writer)
    except ImportError as error:
        raise SettingError(f"--video={video}: {error.name} is not installed: pip install 'impala_tf[video]'") from None


def main() -> None:
    values = flags.FLAGS
    if not values.saved_model:
        raise SettingError("--saved_model=: give the saved_model directory of a run")
    run(
        pathlib.Path(values.saved_model),
        num_episodes=values.num_episodes,
        seed=values.seed,
        env_id=values.env_id,
        greedy=values.greedy,
        video=pathlib.Path(values.video) if values.video else None,
        output=pathlib.Path(values.output) if values.output else None,
    )


if __name__ == "__main__":
    flags.DEFINE_string("saved_model", "", "Directory of the export.")
    flags.DEFINE_string("env_id", "", "A gymnasium id. Empty: the one that the agent was trained on.")
    flags.DEFINE_integer("num_episodes", 100, "Episodes to play.")
    flags.DEFINE_boolean("greedy", False, "Take the most probable action instead of sampling.")
    flags.DEFINE_integer("seed", 1, "Of the environments.", lower_bound=0)
    flags.DEFINE_string("video", "", "Also play one episode into this .mp4 or .gif file (extra: video).")
    flags.DEFINE_string("output", "", "JSON file with the result. Empty: beside the export.")
    command_line.run(main, usage=__doc__)
