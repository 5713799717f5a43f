"""Trains for a few thousand frames in every environment below and plays the export: which work, and what is refused.

  pip install 'impala_tf[atari,box2d,minigrid,mujoco]'
  python scripts/try_environments.py                   all, about ten minutes on two cores
  python scripts/try_environments.py --only=Pendulum   ids that contain this

Each line goes through what `python -m impala_tf.experiment` and `python -m impala_tf.evaluate` call, with the default
settings but for a small run. Writes docs/results/environments.json, or what --output names, after each;
scripts/fill_tables.py makes the table of docs/environments.md from it. The table shows that the spaces work, not that
the task is learned.
"""

import argparse
import contextlib
import io
import json
import pathlib
import sys
import tempfile
import time

import gymnasium as gym
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import impala_tf  # noqa: E402
from impala_tf.support.startup import import_tensorflow  # noqa: E402

OUTPUT = ROOT / "docs" / "results" / "environments.json"
FRAMES = 2000
SMALL = dict(
    num_actors=1, num_envs_per_actor=4, unroll_length=10, batch_size=4, total_environment_frames=FRAMES, xla="off",
    log_every_secs=5.0,
)  # fmt: skip
GROUPS = {"classic control": "classic_control", "toy text": "toy_text", "Box2D": "box2d"}
CHOSEN = {
    "MuJoCo": ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"),
    "MiniGrid": (
        "MiniGrid-Empty-8x8-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-MemoryS7-v0", "MiniGrid-FourRooms-v0",
        "MiniGrid-GoToObject-6x6-N2-v0",
    ),
    "Atari, --atari_ram": ("ALE/Pong-v5", "ALE/Breakout-v5"),
}  # fmt: skip
BOX = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
TEXT = gym.spaces.Text(30)
OBSERVATIONS = {
    "Box-vector": BOX,
    "Box-matrix-float64": gym.spaces.Box(-np.inf, np.inf, (4, 5), np.float64),
    "Box-int32": gym.spaces.Box(0, 9, (3, 3), np.int32),
    "Box-frames": gym.spaces.Box(0, 255, (48, 64, 3), np.uint8),
    "Box-frames-channels-first": gym.spaces.Box(0, 255, (4, 84, 84), np.uint8),
    "Box-rank-4": gym.spaces.Box(0, 1, (2, 4, 4, 3), np.float32),
    "Discrete": gym.spaces.Discrete(5, start=3),
    "MultiDiscrete": gym.spaces.MultiDiscrete([3, 5]),
    "MultiBinary": gym.spaces.MultiBinary((2, 3)),
    "Text": TEXT,
    "Tuple": gym.spaces.Tuple([BOX, gym.spaces.Discrete(3)]),
    "Dict-nested": gym.spaces.Dict(
        frame=gym.spaces.Box(0, 255, (24, 24, 3), np.uint8), words=TEXT, rest=gym.spaces.Tuple([BOX])
    ),
    "Sequence": gym.spaces.Sequence(BOX),
    "Graph": gym.spaces.Graph(BOX, None),
}
ACTIONS = {
    "Discrete-start": gym.spaces.Discrete(3, start=-1),
    "MultiDiscrete": gym.spaces.MultiDiscrete([2, 5]),
    "MultiDiscrete-2d": gym.spaces.MultiDiscrete([[2, 3], [4, 5]]),
    "MultiBinary": gym.spaces.MultiBinary(4),
    "Box": gym.spaces.Box(np.array([-3.0, 0.0]), np.array([1.0, 9.0]), dtype=np.float32),
    "Box-infinite": gym.spaces.Box(-np.inf, np.inf, (2, 2), np.float32),
    "Box-half-infinite-float64": gym.spaces.Box(0.0, np.inf, (2,), np.float64),
    "Box-int": gym.spaces.Box(0, 5, (2,), np.int64),
    "Tuple": gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (2,))]),
    "Dict": gym.spaces.Dict(move=gym.spaces.MultiDiscrete([3, 3]), fire=gym.spaces.Dict(x=gym.spaces.MultiBinary(1))),
    "Sequence": gym.spaces.Sequence(gym.spaces.Discrete(2)),
}


class MadeUp(gym.Env):
    """Random observations of a space; an action that is not of its space is an error. Episodes of 10 steps."""

    def __init__(self, observation_space=BOX, action_space=None):
        self.observation_space = observation_space
        self.action_space = action_space or gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        self._steps += 1
        return self.observation_space.sample(), 1.0, self._steps == 10, False, {}


def made_up() -> dict[str, str]:
    """Registers one for each space: group by id."""
    found = {}
    for kind, all_spaces in (("observation", OBSERVATIONS), ("action", ACTIONS)):
        for name, space in all_spaces.items():
            env_id = f"{kind}/{name}-v0"
            gym.register(env_id, MadeUp, kwargs={f"{kind}_space": space}, disable_env_checker=True)
            found[env_id] = f"made up, {kind}s"
    return found


def all_ids() -> dict[str, str]:
    """Group by id."""
    found = {}
    for group, module in GROUPS.items():
        for env_id, spec in sorted(gym.registry.items()):
            if str(spec.entry_point).startswith(f"gymnasium.envs.{module}"):
                found[env_id] = group
    for group, ids in CHOSEN.items():
        found |= dict.fromkeys(ids, group)
    return found | made_up()


def attempt(env_id: str) -> dict:
    """Trains and plays: what came of it."""
    from impala_tf import environments
    from impala_tf.evaluation import evaluate_exports

    settings = SMALL | (dict(atari_ram=True, num_action_repeats=4) if env_id.startswith("ALE/") else {})
    known = gym.registry.get(env_id)
    if known and known.max_episode_steps is None and not env_id.startswith("ALE/"):
        settings |= dict(max_episode_frames=200)  # An agent that has learned nothing may never reach an end.
    started = time.perf_counter()
    result: dict = dict(env_id=env_id, works=False)
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stderr(io.StringIO()):
        try:
            config = impala_tf.Config(env_id=env_id, logdir=directory, **settings)
            spec = environments.spec_of(config)
            result |= dict(observation=_short(spec.observation_space), action=_short(spec.action_space))
            summary = impala_tf.train(config)
            output = pathlib.Path(directory) / "out.json"
            with contextlib.redirect_stdout(io.StringIO()):
                evaluate_exports.evaluate(
                    [pathlib.Path(directory) / "saved_model"],
                    evaluate_exports.Options(2, env_id=env_id),
                    evaluate_exports.Files(output),
                )
            played = json.loads(output.read_text())
            result |= dict(works=True, frames=summary.environment_frames, evaluation=round(played["mean"], 2))
        except impala_tf.SettingError as error:
            result["line"] = str(error)
        except Exception as error:  # Not refused: broken. The table must show it.
            result["line"] = f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return result | dict(secs=round(time.perf_counter() - started, 1))


def _short(space: gym.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) < 90 else text[:87] + "..."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the ids to try; the results of the others are kept")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="JSON file; default: %(default)s")
    arguments = parser.parse_args()
    output = arguments.output
    import_tensorflow()
    ids = all_ids()
    known = {row["env_id"]: row for row in json.loads(output.read_text())["rows"]} if output.exists() else {}
    chosen = [env_id for env_id in ids if arguments.only in env_id]
    for number, env_id in enumerate(chosen, 1):
        known[env_id] = dict(group=ids[env_id]) | attempt(env_id)
        row = known[env_id]
        print(
            f"{number}/{len(chosen)} {env_id}: {'works' if row['works'] else row['line']} ({row['secs']} s)", flush=True
        )
        content = dict(frames=FRAMES, rows=[known[name] for name in ids if name in known])
        output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
