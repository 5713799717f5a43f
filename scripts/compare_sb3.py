"""Trains Stable-Baselines3's PPO on a task with the settings of CleanRL's PPO on MuJoCo, to compare with our runs.

  python -m venv sb3 && sb3/bin/pip install stable-baselines3 "gymnasium[mujoco]"
  sb3/bin/python scripts/compare_sb3.py --env_id=Hopper-v5 --seed=1

Writes, or appends to, docs/results/sb3.csv: steps, seconds of training and the mean return of the last 100 episodes.
It needs Stable-Baselines3 and not impala_tf.
"""

import argparse
import collections
import csv
import pathlib
import time

import numpy as np

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "results" / "sb3.csv"


def train(env_id: str, seed: int, steps: int) -> dict:
    """Trains, and returns a row of the table. The settings are those of CleanRL's ppo_continuous_action.py."""
    import stable_baselines3
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    envs = VecNormalize(make_vec_env(env_id, n_envs=1, seed=seed))
    model = PPO(
        "MlpPolicy",
        envs,
        learning_rate=lambda left: 3e-4 * left,
        n_steps=2048,
        batch_size=64,
        n_epochs=10,
        clip_range=0.2,
        ent_coef=0.0,
        policy_kwargs=dict(activation_fn=torch.nn.Tanh),
        seed=seed,
        device="cpu",
    )
    returns: collections.deque[float] = collections.deque(maxlen=100)  # As they are before normalisation.

    def keep_returns(variables: dict, _: dict) -> bool:
        returns.extend(info["episode"]["r"] for info in variables["infos"] if "episode" in info)
        return True

    started = time.perf_counter()
    model.learn(steps, callback=keep_returns)
    return {
        "env_id": env_id,
        "seed": seed,
        "steps": model.num_timesteps,
        "seconds": f"{time.perf_counter() - started:.0f}",
        "mean_return": f"{np.mean(returns):.1f}",
        "versions": f"stable-baselines3 {stable_baselines3.__version__}, torch {torch.__version__}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env_id", default="Hopper-v5")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    row = train(arguments.env_id, arguments.seed, arguments.steps)
    is_new = not arguments.results.exists()
    with arguments.results.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    print(row)


if __name__ == "__main__":
    main()
