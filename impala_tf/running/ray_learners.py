"""Has several learners on the machines of a Ray cluster. Nothing here imports Ray before it is needed."""

import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from impala_tf.config import Config, SettingError
from impala_tf.running.hosts.ray_hosts import LOSSES, check_ray, join
from impala_tf.running.local_learners import LocalLearner, check_gpus, free_ports

PLACE_SECS = 60.0  # Ray has so long to find a place for all learners.
ANSWER_SECS = 30.0  # A learner's machine that does not answer for so long is taken for lost.
GONE = -1000  # This stands for the exit code of a learner that is gone with its Ray actor or its machine.


class Keeper:
    """A Ray actor that keeps a learner's process on its machine. The process ends with the actor."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._file = pathlib.Path(self._directory.name) / "output.txt"
        self._learner: LocalLearner | None = None
        self._shown = 0

    def address(self) -> str:
        """Returns host:port on which the learner can listen."""
        import ray

        host = ray.util.get_node_ip_address()
        return f"{f'[{host}]' if ':' in host else host}:{free_ports(1)[0]}"

    def start(self, arguments: Sequence[str], directory: str, cluster: str) -> None:
        """Starts the process. directory: working directory, where there is such a one. cluster: Ray's address."""
        if os.path.isdir(directory):
            os.chdir(directory)
        self._learner = LocalLearner(arguments, self._file, {"RAY_ADDRESS": cluster})

    def look(self) -> tuple[int | None, bytes]:
        """Returns the exit code of the process, if it has ended, and what it has printed since the last look."""
        assert self._learner is not None
        code = self._learner.poll()
        with self._file.open("rb") as file:
            file.seek(self._shown)
            new = file.read()
        self._shown += len(new)
        return code, new

    def send_signal(self, number: int) -> None:
        assert self._learner is not None
        self._learner.send_signal(number)


class RayLearner:
    """A learner's process on the cluster, with the methods of `local_learners.LocalLearner`.

    keeper: handle of its `Keeper`. shows: whether its output is shown with ours.
    """

    def __init__(self, ray: Any, keeper: Any, shows: bool):
        self._ray = ray
        self._keeper = keeper
        self._shows = shows
        self._losses = tuple(getattr(ray.exceptions, name) for name in (*LOSSES, "GetTimeoutError"))
        self._code: int | None = None
        self._output = b""

    def poll(self) -> int | None:
        if self._code is None:
            self._code, new = self._call(self._keeper.look, default=(GONE, b""))
            if self._shows:
                sys.stderr.buffer.write(new)
                sys.stderr.flush()
            else:
                self._output += new
        return self._code

    def send_signal(self, number: int) -> None:
        self._call(self._keeper.send_signal, number, default=None)

    def kill(self) -> None:
        self._ray.kill(self._keeper)

    def output(self) -> str:
        return self._output.decode(errors="replace")

    def _call(self, method: Any, *arguments: Any, default: Any) -> Any:
        try:
            return self._ray.get(method.remote(*arguments), timeout=ANSWER_SECS)
        except self._losses:
            return default


class RayLearners:
    """These are the `Place` of learners on a Ray cluster; see `launcher.Place`.

    Ray spreads them over the machines. Each asks for a GPU where the cluster has any, and for one CPU.
    """

    def __init__(self, config: Config):
        check_ray(config)
        self._num = config.num_learners
        self._ray, self._is_ours = join(config, self._num)
        num_gpus = int(self._ray.cluster_resources().get("GPU", 0))
        check_gpus(self._num, num_gpus, "a cluster without")
        self._needs = {"CPU": 1} | ({"GPU": 1} if num_gpus else {})
        self._group: Any = None

    def start(self, arguments: Sequence[str]) -> list[RayLearner]:
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if self._group is None:  # Ray places what it has reserved anew where a machine is gone.
            self._group = placement_group([self._needs] * self._num, strategy="SPREAD")
        if not self._group.wait(PLACE_SECS):
            raise SettingError(
                f"--num_learners={self._num}: the cluster has no place for so many, each with "
                f"{' and '.join(f'1 {name}' for name in self._needs)}, within {PLACE_SECS:.0f} s"
            )
        make = self._ray.remote(num_cpus=1, num_gpus=self._needs.get("GPU", 0))(Keeper)
        keepers = [
            make.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=index)
            ).remote()
            for index in range(self._num)
        ]
        cluster = self._ray.get_runtime_context().gcs_address
        hosts = ",".join(self._ray.get([keeper.address.remote() for keeper in keepers]))
        for index, keeper in enumerate(keepers):
            own = [*arguments, f"--learner_hosts={hosts}", f"--learner_index={index}"]
            self._ray.get(keeper.start.remote(own, os.getcwd(), cluster))
        return [RayLearner(self._ray, keeper, shows=index == 0) for index, keeper in enumerate(keepers)]

    def close(self) -> None:
        if self._group is not None:
            self._ray.util.remove_placement_group(self._group)
        if self._is_ours:
            self._ray.shutdown()
