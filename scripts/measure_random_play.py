"""Mean return of uniformly random actions on MinAtar's games: the `random` scores in environments/reference_scores.py.

python scripts/measure_random_play.py [--episodes=320]
"""

import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.environments.reference_scores import MINATAR5

LONG = "MinAtar/Freeway-v0"  # Its episodes take 2,500 steps each, so that a tenth of them is played.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=320, help="episodes of each game; of Freeway a tenth")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    for task in MINATAR5:
        config = environments.for_evaluation(Config(env_id=task, network="minatar"))
        environment = environments.make_vector_environment(config, 1, 0, 16)
        returns: list[float] = []
        environment.reset()
        while len(returns) < arguments.episodes / (10 if task == LONG else 1):
            row = environment.step(random.integers(6, size=16))
            returns.extend(row.episode_return[row.terminated | row.truncated].tolist())
        error = np.std(returns) / np.sqrt(len(returns))
        print(f"{task}: {np.mean(returns):.2f}, standard error {error:.2f}, {len(returns)} episodes", flush=True)


if __name__ == "__main__":
    main()
