"""Times an update whose network is split over two devices, beside one device and beside two learners.

python scripts/measure_segmentation.py [--networks=shallow,deep] [--secs=20]

The devices are logical CPU devices of one core each. A network is a torso, an LSTM of 256 units and heads; the loss
is a sum of squares, since losses cost little beside networks. The forms, each in a process of its own, by turns:

one        the whole network on one device
torso      the torso alone, on one device
rest       the core and the heads alone, on one device
split      the torso on the first device, core and heads on the second
pipelined  the same with the batch in four parts: the second device works on one while the first does the next
learners   two learners: the whole network on each device, with half of the batch, gradients summed

Writes docs/results/segmentation.csv: medians, and what the model (impala_tf/benchmarks/cluster_model.py) says of a run
whose learner is the limit. In one process nothing is sent, so the network's time is the model's alone.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

from reproducing import ROOT, write

FORMS = ("one", "torso", "rest", "split", "pipelined", "learners")
T, B, UNITS, NUM_ACTIONS, PIPELINE = 20, 32, 256, 18, 4
BYTES_PER_SEC, LATENCY_SECS = 1.25e9, 1e-4  # 10 Gbit/s.


class Part:
    """A copy of the network: the torso's variables on one device, the others on another."""

    def __init__(self, network: str, torso_device: str, rest_device: str):
        import gymnasium as gym
        import numpy as np
        import tensorflow as tf

        from impala_tf.networks.cores import make_core
        from impala_tf.networks.encoders import make_torso
        from impala_tf.networks.torsos import dense

        self.torso_device, self.rest_device = torso_device, rest_device
        with tf.device(torso_device):
            self.torso = make_torso(gym.spaces.Box(0, 255, (84, 84, 4), np.uint8), network, (), "relu", False, 1)
            features = self.torso(tf.zeros([1, 84, 84, 4], tf.uint8))
        self.num_features = int(features.shape[-1])
        with tf.device(rest_device):
            self.core = make_core("lstm", UNITS, 2)
            self.head = dense(NUM_ACTIONS + 1, 3)
            # The layers make their variables when they are called for the first time.
            self.core.step(tf.zeros([1, self.num_features]), tf.ones([1], tf.bool), tf.zeros([1, 2 * UNITS]))
            self.head(tf.zeros([1, UNITS]))

    def features(self, frames):
        """[T + 1, B, ...] -> [T + 1, B, F]."""
        import tensorflow as tf

        with tf.device(self.torso_device):
            return tf.reshape(self.torso(tf.reshape(frames, [-1, 84, 84, 4])), [*frames.shape[:2], self.num_features])

    def rest(self, features):
        """[T + 1, B, F] -> the loss."""
        import tensorflow as tf

        with tf.device(self.rest_device):
            rows, batch = features.shape[:2]
            outputs = self.core.unroll(features, tf.zeros([rows, batch], tf.bool), tf.zeros([batch, 2 * UNITS]))
            return tf.reduce_sum(tf.square(self.head(tf.reshape(outputs, [-1, UNITS]))))

    @property
    def variables(self) -> list:
        layers = (self.torso, self.core, self.head)
        return [variable.value for layer in layers for variable in layer.trainable_variables]


def make_update(network: str, form: str):
    """A callable that computes the gradients of a batch of random frames, in the given form."""
    import numpy as np
    import tensorflow as tf

    devices = ("/CPU:0", "/CPU:1")
    random = np.random.default_rng(0)
    frames = tf.constant(random.integers(0, 256, [T + 1, B, 84, 84, 4], np.uint8))
    if form == "learners":
        parts = [Part(network, device, device) for device in devices]
        batches = tf.split(frames, 2, axis=1)
    else:
        parts = [Part(network, devices[0], devices[form in ("split", "pipelined")])]
        batches = tf.split(frames, PIPELINE if form == "pipelined" else 1, axis=1)
    features = tf.constant(random.normal(size=[T + 1, B, parts[0].num_features]).astype(np.float32))

    def gradients():
        totals = []
        for i, batch in enumerate(batches):
            part = parts[i % len(parts)]
            with tf.GradientTape() as tape:
                if form == "torso":
                    loss = tf.reduce_sum(part.features(batch))
                elif form == "rest":
                    tape.watch(features)  # A split network sends this gradient back.
                    loss = part.rest(features)
                else:
                    loss = part.rest(part.features(batch))
            variables = part.variables + ([features] if form == "rest" else [])
            # Each gradient is computed where its variable is.
            totals.append([g for g in tape.gradient(loss, variables) if g is not None])
        return [tf.add_n(list(gradients)) for gradients in zip(*totals, strict=True)]

    return tf.function(gradients, autograph=False)


def serve(network: str, form: str) -> None:
    """Makes an update for each line of stdin, and answers with its seconds."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    # Kernels of one core each; two at a time where there are two devices.
    tf.config.threading.set_inter_op_parallelism_threads(2 if form in ("split", "pipelined", "learners") else 1)
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    update = make_update(network, form)
    update()
    part = Part(network, "/CPU:0", "/CPU:0")
    weights_bytes = 4 * sum(int(tf.size(variable)) for variable in part.variables)
    print(json.dumps(dict(weights_bytes=weights_bytes, num_features=part.num_features)), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for gradient in update():
            gradient.numpy()
        print(time.perf_counter() - started, flush=True)


def measure(network: str, secs: float) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the median seconds of each form, called by turns, and the network's sizes."""
    processes, sizes = {}, {}
    for form in FORMS:
        command = [sys.executable, __file__, f"--serve={network},{form}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        processes[form] = process
        sizes = json.loads(process.stdout.readline())  # One after the other, since compiling takes all cores.
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    try:
        end = time.perf_counter() + secs
        while time.perf_counter() < end or len(times["one"]) < 3:
            for form, process in processes.items():
                print(file=process.stdin, flush=True)
                times[form].append(float(process.stdout.readline()))
    finally:
        for process in processes.values():
            process.stdin.close()
            process.wait(timeout=60)
    return {form: statistics.median(values) for form, values in times.items()}, sizes


def predicted(seconds: dict[str, float], sizes: dict[str, float]) -> dict[str, float]:
    """The updates' seconds on two machines with a network card between them, by the model."""
    from impala_tf.benchmarks.cluster_model import Costs, ring_secs

    torso, rest = seconds["torso"], seconds["rest"]
    # The features of all rows go one way, their gradients the other way.
    sent = 2 * (4 * (T + 1) * B * sizes["num_features"] / BYTES_PER_SEC + LATENCY_SECS)
    costs = Costs(
        act_secs=1.0, weights_bytes=sizes["weights_bytes"], bytes_per_sec=BYTES_PER_SEC, latency_secs=LATENCY_SECS
    )
    return {
        "split": torso + rest + sent,
        # The longer part works all the time; the other one is left over for one part of the batch.
        "pipelined": max(torso, rest) + min(torso, rest) / PIPELINE + sent,
        "learners": seconds["one"] / 2 + ring_secs(costs, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="shallow,deep")
    parser.add_argument("--secs", type=float, default=20.0, help="Measured for each network, all forms together.")
    parser.add_argument("--output", default=str(ROOT / "docs" / "results" / "segmentation.csv"))
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve.split(","))
        return
    rows = []
    for network in arguments.networks.split(","):
        seconds, sizes = measure(network, arguments.secs)
        model = predicted(seconds, sizes)
        for form in FORMS:
            row = dict(network=network, form=form, milliseconds=round(1000 * seconds[form], 1))
            row["speed"] = round(seconds["one"] / seconds[form], 2) if form not in ("torso", "rest") else ""
            row["model_speed"] = round(seconds["one"] / model[form], 2) if form in model else ""
            rows.append(row)
            print("  ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)
    write(pathlib.Path(arguments.output), rows)


if __name__ == "__main__":
    main()
