"""Times this package's update and policy forward pass beside the same work in PyTorch, on the CPU.

python scripts/compare_pytorch.py --torch_python=/path/to/an/environment/with/torch/bin/python

PyTorch is needed for this comparison only. Each side runs in a process of its own, by turns, with the same number of
threads; the figures are medians. The machine must be idle otherwise: PyTorch's threads wait for each other, and where
another program takes a core its figures grow several times over.
"""

import argparse
import importlib.util
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import numpy as np

T, B, NUM_ACTIONS = 20, 32, 6
FRAME = (84, 84, 4)
ROWS = (32, 128)  # Of the forward passes.
HERE = pathlib.Path(__file__)
# PyTorch takes its memory from glibc, which by default gives big pieces back and gets them again, page by page, in
# every update: nearly half of its time. TensorFlow with oneDNN keeps its own.
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TOP_PAD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
}


def milliseconds(call, secs: float) -> float:
    """The median time of a call, which is made at least three times, after two that do not count."""
    call()
    call()
    times: list[float] = []
    while sum(times) < secs or len(times) < 3:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def time_tensorflow(network: str, threads: int, secs: float) -> list[float]:
    """Milliseconds of an update and of policy forward passes."""
    import gymnasium as gym

    from impala_tf.support.startup import import_tensorflow

    os.environ.update(TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS=str(threads))
    import_tensorflow()
    import tensorflow as tf

    from impala_tf.algorithms import make_algorithm
    from impala_tf.config import Config
    from impala_tf.experience.unroll_spec import unroll_spec
    from impala_tf.experience.unroll_writer import UnrollWriter
    from impala_tf.learning.learner import Learner
    from impala_tf.networks import make_agent
    from impala_tf.support.graphs import direct_call
    from impala_tf.types import ArraySpec

    space = gym.spaces.Box(0, 255, FRAME, np.uint8)
    config = Config(network=network, separate_value_network=False)
    agent = make_agent(config, space, gym.spaces.Discrete(NUM_ACTIONS))
    learner = Learner(config, agent, make_algorithm(config), "/CPU:0")
    spec = unroll_spec(T, ArraySpec(FRAME, np.dtype(np.uint8)), ArraySpec((), np.dtype(np.int64)), NUM_ACTIONS, 0)
    unroll = UnrollWriter(spec, B, B).unroll
    tf.nest.map_structure(lambda array: array.fill(0), unroll)
    random = np.random.default_rng(0)
    unroll.env_outputs.observation[:] = random.integers(256, size=unroll.env_outputs.observation.shape)
    unroll.env_outputs.reward[:] = random.normal(size=unroll.env_outputs.reward.shape)
    batch = tf.nest.map_structure(tf.convert_to_tensor, unroll)
    times = [milliseconds(lambda: learner.update(batch, 0).statistics.numpy(), secs)]
    for rows in ROWS:
        frames = tf.constant(random.integers(256, size=(rows, *FRAME)), tf.uint8)
        inputs = [frames, tf.zeros([rows]), tf.zeros([rows], tf.int64), tf.zeros([rows], tf.bool)]
        inputs += [agent.initial_state(rows), tf.zeros([2], tf.int32)]
        forward = direct_call(lambda *inputs: agent.step(*inputs).parameters, inputs)
        times.append(milliseconds(lambda call=forward, inputs=inputs: call(inputs)[0].numpy(), secs))
    return times


def torch_network(network: str) -> Any:
    """The network as a PyTorch module: frames [N, height, width, 4] -> logits [N, A], baselines [N]."""
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self, filters):
            super().__init__()
            self.one, self.two = (nn.Conv2d(filters, filters, 3, padding=1) for _ in range(2))

        def forward(self, x):
            return x + self.two(functional.relu(self.one(functional.relu(x))))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            if network == "shallow":
                layers = [nn.Conv2d(4, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU()]
            else:
                layers, channels = [], 4
                for filters in (16, 32, 32):
                    layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.MaxPool2d(3, 2, padding=1)]
                    layers += [Block(filters), Block(filters)]
                    channels = filters
                layers.append(nn.ReLU())
            self.torso = nn.Sequential(*layers)
            self.output = nn.LazyLinear(256)
            self.policy, self.baseline = nn.Linear(256, NUM_ACTIONS), nn.Linear(256, 1)

        def forward(self, frames):
            features = self.torso(frames.permute(0, 3, 1, 2).float() / 255.0)
            # Height, width, channels: the order in memory, so nothing is moved.
            features = functional.relu(self.output(features.permute(0, 2, 3, 1).flatten(1)))
            return self.policy(features), self.baseline(features)[:, 0]

    return Network()


def time_torch(network: str, threads: int, secs: float) -> list[float]:
    """The same in PyTorch, with its weights and frames in the channels-last order, which is its faster one here."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    frames = torch.from_numpy(random.integers(256, size=((T + 1) * B, *FRAME)).astype(np.uint8))
    rewards = torch.from_numpy(random.normal(size=(T, B)).astype(np.float32))
    behaviour, actions = torch.zeros(T, B, NUM_ACTIONS), torch.zeros(T, B, dtype=torch.int64)
    discounts, valid = torch.full((T, B), 0.99), torch.ones(T, B)
    model = torch_network(network)
    model(frames[:1])
    model = model.to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    mean_squares = [torch.ones_like(p) for p in parameters]

    def log_prob(logits):
        return functional.log_softmax(logits, -1).gather(-1, actions[..., None])[..., 0]

    def update():
        logits, values = model(frames)
        logits, values = logits.view(T + 1, B, NUM_ACTIONS)[:-1], values.view(T + 1, B)
        log_probs = log_prob(logits)
        with torch.no_grad():
            rhos = (log_probs - log_prob(behaviour)).exp()
            clipped = valid * rhos.clamp(max=1.0)
            deltas = clipped * (rewards + discounts * values[1:] - values[:-1])
            differences, after = [], torch.zeros(B)
            for t in reversed(range(T)):
                after = deltas[t] + discounts[t] * clipped[t] * after
                differences.insert(0, after)
            vs = torch.stack(differences) + values[:-1]
            vs_t_plus_1 = torch.cat([vs[1:], values[-1:]])
            advantages = clipped * (rewards + discounts * vs_t_plus_1 - values[:-1])
        probabilities = functional.softmax(logits, -1)
        negative_entropy = (probabilities * functional.log_softmax(logits, -1)).sum(-1)
        loss = (-log_probs * advantages * valid).sum() + 0.001 * (negative_entropy * valid).sum()
        loss = loss + 0.25 * ((vs - values[:-1]) ** 2 * valid).sum()
        for p in parameters:
            p.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 40.0)
        with torch.no_grad():  # RMSProp with epsilon inside the root, which torch.optim.RMSprop has not.
            for p, mean_square in zip(parameters, mean_squares, strict=True):
                mean_square.mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
                p.addcdiv_(p.grad, (mean_square + 0.01).sqrt_(), value=-3e-3)
            return loss.item(), torch.cat([p.flatten() for p in parameters])

    times = [milliseconds(update, secs)]
    with torch.inference_mode():
        for rows in ROWS:
            times.append(milliseconds(lambda rows=rows: model(frames[:rows]), secs))
    return times


def measure(side: str, python: str, arguments: argparse.Namespace) -> list[float]:
    """One round of one side, in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "PYTHONPATH": str(HERE.parent.parent)}
    environment |= KEEP_MEMORY if side == "torch" else {}
    command = [python, str(HERE), f"--side={side}", f"--network={arguments.network}"]
    command += [f"--threads={arguments.threads}", f"--secs={arguments.secs}"]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(result.returncode)
    return [float(x) for x in result.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="shallow", choices=("shallow", "deep"))
    parser.add_argument("--torch_python", default=sys.executable, help="An interpreter with torch and numpy.")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=float, default=2.0, help="How long each figure is measured, each round.")
    parser.add_argument("--side", choices=("tensorflow", "torch"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        if arguments.side == "torch" and importlib.util.find_spec("torch") is None:
            sys.exit(
                f"{sys.executable} has no PyTorch: pip install torch (for this comparison only), or --torch_python"
            )
        side = time_torch if arguments.side == "torch" else time_tensorflow
        print(*side(arguments.network, arguments.threads, arguments.secs))
        return
    pythons = {"torch": arguments.torch_python, "tensorflow": sys.executable}
    times: dict[str, list[list[float]]] = {side: [] for side in pythons}
    for _ in range(arguments.rounds):
        for side, python in pythons.items():
            times[side].append(measure(side, python, arguments))
    names = [f"update, T {T}, B {B}", *(f"policy forward, {rows} rows" for rows in ROWS)]
    for title, choose in (("the median round", np.median), ("the fastest round", np.min)):
        print(f"{arguments.network}, {arguments.threads} threads, {title}, ms: PyTorch, this package, ratio")
        chosen = (choose(times[side], axis=0) for side in ("torch", "tensorflow"))
        for name, theirs, ours in zip(names, *chosen, strict=True):
            print(f"  {name}: {theirs:.2f}, {ours:.2f}, {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
