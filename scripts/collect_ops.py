"""Exports an agent of every kind and lists the TensorFlow operations that the exports have.

  python scripts/collect_ops.py            prints the list
  python scripts/collect_ops.py --check    prints what impala_tf/evaluation/model_ops.py lacks; ends with 1 if anything

Nothing is run of the exports. The kinds are all networks, cores, spaces of observations and of actions, and statistics.
"""

import argparse
import pathlib
import sys
import tempfile
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import gymnasium as gym
import numpy as np

from impala_tf.config import Config
from impala_tf.spaces.observation_spaces import ACTION_MASK

VECTOR = gym.spaces.Box(-1, 1, (4,), np.float32)
FRAMES = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
PIXELS = gym.spaces.Box(0, 255, (72, 96, 3), np.uint8)
PLANES = gym.spaces.Box(0, 1, (10, 10, 4), bool)
TWO = gym.spaces.Discrete(2, start=1)
BOX = gym.spaces.Box(np.array([-1, -2], np.float32), np.array([1, np.inf], np.float32))
MANY = gym.spaces.MultiDiscrete([2, 3])
BITS = gym.spaces.MultiBinary(3)
MIXED = gym.spaces.Dict(
    bits=BITS, double=gym.spaces.Box(-1, 1, (2, 2), np.float64), frame=PIXELS, many=MANY, number=TWO,
    text=gym.spaces.Text(20), whole=gym.spaces.Box(0, 9, (3,), np.int32), half=gym.spaces.Box(-1, 1, (2,), np.float16),
)  # fmt: skip
MASKED = gym.spaces.Dict({ACTION_MASK: gym.spaces.MultiBinary(2), "vector": VECTOR})
STATISTICS = dict(normalise_observations=True, normalise_returns=True)
# Observation space, action space, settings.
KINDS: dict[str, tuple[gym.Space, gym.Space, dict]] = {
    "mlp": (VECTOR, TWO, {}),
    "relu": (VECTOR, TWO, dict(activation="relu", separate_value_network=False)),
    "lstm": (VECTOR, TWO, dict(core="lstm", core_size=8, use_last_action_and_reward=True)),
    "gru": (VECTOR, MANY, dict(core="gru", core_size=8, use_last_action_and_reward=True)),
    "statistics": (VECTOR, TWO, STATISTICS),
    "popart": (VECTOR, TWO, dict(popart=True)),
    "shallow": (FRAMES, TWO, dict(network="shallow", centre_frames=True)),
    "nature": (FRAMES, TWO, dict(network="nature", core="lstm", core_size=8)),
    "deep": (PIXELS, TWO, dict(network="deep", centre_frames=True, use_last_action_and_reward=True)),
    "minatar": (PLANES, TWO, dict(network="minatar", **STATISTICS)),
    "mixed": (MIXED, TWO, dict(core="lstm", core_size=8, use_last_action_and_reward=True)),
    "mixed_statistics": (MIXED, BITS, dict(use_last_action_and_reward=True, **STATISTICS)),
    "masked": (MASKED, TWO, {}),
    "discrete": (TWO, MANY, {}),
    "tuple": (gym.spaces.Tuple([VECTOR, MANY, TWO]), gym.spaces.Tuple([TWO, BOX, BITS]), {}),
    "dict_actions": (VECTOR, gym.spaces.Dict(a=TWO, b=BOX, c=MANY), dict(use_last_action_and_reward=True)),
    "box": (VECTOR, BOX, dict(use_last_action_and_reward=True)),
    "predicted": (VECTOR, BOX, dict(action_scale="predicted")),
    "tanh": (VECTOR, gym.spaces.Box(-2, 1, (2, 2)), dict(action_bounds="tanh", core="gru", core_size=8)),
    "tanh_predicted": (VECTOR, gym.spaces.Box(-2, 1, (3,)), dict(action_bounds="tanh", action_scale="predicted")),
}


def ops_of_kind(name: str) -> set[str]:
    """Exports a freshly initialised agent of a kind, and returns the operations of its export."""
    from impala_tf.evaluation.export import export
    from impala_tf.evaluation.model_ops import ops_of
    from impala_tf.networks import make_agent

    observation, action, settings = KINDS[name]
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "saved_model"
        num_tasks = 2 if settings.get("popart") else 1
        export(make_agent(Config(**settings), observation, action, num_tasks=num_tasks), path, {})
        return ops_of(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    from impala_tf.evaluation.model_ops import KNOWN_OPS

    found: set[str] = set()
    for name in KINDS:
        ops = ops_of_kind(name)
        found |= ops
        print(f"{name}: {len(ops)}", file=sys.stderr, flush=True)
    shown = sorted(found - KNOWN_OPS) if check else sorted(found)
    print("\n".join(textwrap.wrap(" ".join(shown), 110)))
    sys.exit(1 if check and shown else 0)


if __name__ == "__main__":
    main()
