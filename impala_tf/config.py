"""Every setting, once: type, default, unit, source, bounds, help. Flags are derived from this in `command_line.py`."""

import dataclasses
import math
from typing import Any

PAPER = "Espeholt et al. 2018"
CODE = "google-deepmind/scalable_agent"
MIN_ACTION_SCALE = 1e-3  # Of a normal: keeps densities and their gradients finite.


class SettingError(ValueError):
    """A setting is wrong. The message is one line: which flag, what was given, what would be right."""


def setting(
    default: Any,
    help: str,
    unit: str = "",
    source: str = "",
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    network: bool = False,
    environment: bool = False,
) -> Any:
    """A field of `Config`.

    default: its value in `flags/cartpole.flags`.
    help, unit, source: become the flag's help text.
    low, above, high: the value must be >= low, > above, <= high.
    choices: the allowed strings.
    network: a checkpoint only fits settings with the same value.
    environment: belongs to the task, so it is exported with the agent.
    """
    metadata = dict(
        help=help,
        unit=unit,
        source=source,
        low=low,
        above=above,
        high=high,
        choices=choices,
        network=network,
        environment=environment,
    )
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run. The defaults solve CartPole-v1 in seconds on two cores.

    Raises SettingError when a value is out of bounds or two settings contradict each other.
    """

    # Run.
    mode: str = setting("train", "train, or test: evaluate the log directory's export.", choices=("train", "test"))
    logdir: str = setting("", "Log directory. Empty: a new one, runs/ENVIRONMENT-DATE. One with a checkpoint: resume.")
    seed: int = setting(1, "Seeds weights, action sampling and every environment.", low=0)
    total_environment_frames: int = setting(
        1_000_000, "Budget of the run; the learning rate reaches 0 here.", "environment frames", low=1
    )
    test_num_episodes: int = setting(100, "Episodes that --mode=test plays.", "episodes", low=1)

    # Architecture.
    architecture: str = setting(
        "impala",
        "Who waits for whom. impala: nobody. a2c_sync_trajectory: all actors for the update from all their unrolls. "
        "a2c_sync_step: also for each other at every step. a3c: actors compute gradients themselves.",
        source=f"{PAPER} figure 2, table 1",
        choices=("impala", "a2c_sync_step", "a2c_sync_trajectory", "a3c"),
    )

    # Environment.
    env_id: str = setting(
        "CartPole-v1",
        "A gymnasium id, or module:id; several with commas between them, or a suite (atari57, minatar5, dmlab30), for "
        "one agent that learns all, with the actors spread over them.",
        network=True,
        environment=True,
    )
    num_action_repeats: int = setting(
        1,
        "Frames that each action is repeated for; rewards are summed.",
        "frames",
        f"{PAPER}: 4 on Atari, DMLab",
        low=1,
        environment=True,
    )
    vectorization: str = setting(
        "auto",
        "How the environments of one actor step. auto: ale for preprocessed ALE ids, else the id's own vector form if "
        "it has one and there are at least 4, else sync. native: the id's own. sync: one after the other. async: a "
        "process each. ale, envpool: the vectors of these libraries, in C++ threads.",
        choices=("auto", "native", "sync", "async", "ale", "envpool"),
        environment=True,
    )
    env_threads: int = setting(
        0,
        "Threads that step one actor's environments, with ale and envpool; 0: one per core.",
        "threads",
        low=0,
        high=1024,
    )
    envs_per_step: int = setting(
        0,
        "With ale and envpool, environments that an actor's policy call takes, whichever are ready first, while the "
        "others step; 0: all, which waits for the slowest.",
        "environments",
        low=0,
    )
    atari_preprocessing: bool = setting(
        True,
        "ALE ids: grey 84x84 frames, the maximum over the last two, stacked; false: the id as it is.",
        source=f"{PAPER} table G.1",
        environment=True,
        network=True,
    )
    atari_ram: bool = setting(
        False,
        "ALE ids: the 128 bytes of the console's memory instead of frames.",
        environment=True,
        network=True,
    )
    frame_stack: int = setting(
        4,
        "ALE ids: frames in an observation.",
        "frames",
        f"{PAPER} table G.1: 4",
        low=1,
        environment=True,
        network=True,
    )
    max_episode_frames: int = setting(
        0,
        "Episodes are cut off after this many frames; 0: where the id says, of ALE's 108,000.",
        "environment frames",
        "dqn_zoo: 108,000 on Atari, 30 minutes; Machado et al. 2018: 18,000",
        low=0,
        environment=True,
    )
    noop_max: int = setting(
        30, "ALE ids: an episode begins with up to this many no-ops.", "frames", f"{PAPER}: 30", low=0, environment=True
    )
    life_loss_ends_episode: bool = setting(
        False,
        "ALE ids: for the learner a lost life ends the episode; returns are still those of whole games, and "
        "evaluation does not do it.",
        source=f"{PAPER} table G.1: true in training",
    )
    sticky_actions: float = setting(
        0.0,
        "ALE ids: probability that the action before is repeated.",
        source=f"{PAPER}: 0; Machado et al. 2018: 0.25",
        low=0,
        high=1,
        environment=True,
    )
    full_action_set: bool = setting(
        False,
        "ALE ids: all 18 actions instead of the game's own.",
        source=f"{PAPER}: false",
        environment=True,
        network=True,
    )
    dmlab_renderer: str = setting(
        "software",
        "DMLab ids: how frames are drawn. hardware: by the GPU, if DeepMind Lab was built for it.",
        choices=("software", "hardware"),
        environment=True,
    )
    dmlab_dataset_path: str = setting(
        "", "DMLab ids: directory of the pictures that psychlab levels show.", source=CODE, environment=True
    )

    # Actors.
    num_actors: int = setting(4, "Actor threads.", source=f"{CODE}: 4", low=1)
    num_envs_per_actor: int = setting(64, "Environments in each actor's vector.", source=f"{PAPER}: 1", low=1)
    unroll_length: int = setting(
        20, "T, steps in an unroll.", "agent steps", f"{PAPER}: 20 on Atari, 100 on DMLab", low=1
    )
    concurrent_actors: int = setting(
        0,
        "Actors that act at the same time; the others wait for a turn of one unroll. 0: as many as there are cores but "
        "one, since threads that step Python environments hinder each other; all with async, ale, envpool and with "
        "dynamic batching.",
        "actors",
        low=0,
    )
    policy_lag: int = setting(
        0, "Makes actors use weights this many updates old, for experiments (figure E.1).", "updates", PAPER, low=0
    )
    dynamic_batching: bool = setting(False, "Let all actors share policy calls.", source=f"{PAPER} section 3.1")
    dynamic_batching_min: int = setting(
        1, "A shared call with fewer rows is padded up to this many.", "rows", f"{CODE}: 1", low=1
    )
    dynamic_batching_max: int = setting(1024, "Rows of a shared call at most.", "rows", f"{CODE}: 1024", low=1)
    dynamic_batching_timeout_ms: float = setting(
        1.0, "How long a shared call waits for more rows.", "milliseconds", f"{CODE}: 100", low=0
    )

    # Network.
    network: str = setting(
        "auto",
        "For images: shallow or deep, the paper's two (figure 3); nature, the three convolutions that the paper's text "
        "on Atari may mean instead of shallow; minatar, Conv 16 3x3, FC 128. auto: shallow, below 20x20 pixels "
        "minatar. Other parts of an observation have an mlp, and texts the paper's LSTM; mlp: images too. "
        "module:function: your own, from the observation space to a Keras layer.",
        choices=("module:function", "auto", "mlp", "shallow", "deep", "nature", "minatar"),
        network=True,
    )
    hidden_sizes: tuple[int, ...] = setting((64, 64), "Layer sizes of the mlp.", "units", network=True)
    activation: str = setting("tanh", "Activation of the mlp.", choices=("tanh", "relu"), network=True)
    separate_value_network: bool = setting(
        True, "Give the baseline a torso and core of its own instead of sharing the policy's.", network=True
    )
    core: str = setting(
        "none",
        "Recurrent core after the torso. gru: a quarter fewer weights than lstm and half the state.",
        source=f"{PAPER} figure 3: lstm",
        choices=("none", "lstm", "gru"),
        network=True,
    )
    core_size: int = setting(
        256, "Units of the recurrent core.", "units", f"{PAPER} figure 3: 256", low=1, network=True
    )
    use_last_action_and_reward: bool = setting(
        False, "Feed the last action and clip(last reward, -1, 1) beside the observation.", source=PAPER, network=True
    )
    normalise_observations: bool = setting(
        False,
        "Give the network observations with mean 0 and variance 1, of all that was learned from; frames (bytes, at "
        "least 20x20) excepted.",
        network=True,
    )
    centre_frames: bool = setting(
        False,
        "Subtract the mean frame, over one row of each unroll. A grey background, as Pong's, else moves all weights "
        "of a filter together, and large steps leave it without any activation.",
        source=f"{PAPER}: false",
        network=True,
    )
    normalise_returns: bool = setting(
        False,
        "Divide rewards in the learner by the standard deviation of the task's discounted returns, so that baselines "
        "are near 1.",
        network=True,
    )
    policy_init_scale: float = setting(
        0.01, "Multiplies the initial weights of the policy head; 1 is the paper's initialisation.", above=0
    )
    action_bounds: str = setting(
        "clip",
        "Box actions: how samples of a normal distribution meet the bounds. clip: the environment gets the nearest "
        "allowed action. tanh: they are squashed, where both bounds are finite.",
        source="Schulman et al. 2017: clip; Haarnoja et al. 2018: tanh",
        choices=("clip", "tanh"),
        network=True,
        environment=True,
    )
    action_scale: str = setting(
        "learned",
        "Box actions: scale of the normal distribution. learned: the same for every observation. predicted: the "
        "network makes it.",
        source="Schulman et al. 2017: learned; Haarnoja et al. 2018: predicted",
        choices=("learned", "predicted"),
        network=True,
    )
    action_scale_init: float = setting(
        0.5,
        "Box actions: scale at the start.",
        "half the distance of the bounds, or 1 where one is infinite",
        "ours",
        above=MIN_ACTION_SCALE,
        network=True,
    )

    # Learner.
    batch_size: int = setting(
        32,
        "B, unrolls in a batch; with a2c_* those of all environments, with a3c those of one actor.",
        "unrolls",
        f"{PAPER}: 32",
        low=1,
    )
    queue_capacity: int = setting(
        0,
        "Unrolls that wait for the learner at most, in whole groups (unroll_queue.py), at least one; 0: one batch.",
        "unrolls",
        f"{CODE}: 1",
        low=0,
    )
    xla: str = setting("auto", "Compile the update with XLA. auto: where it was faster.", choices=("auto", "on", "off"))
    learning_rate: float = setting(3e-3, "At the start; falls linearly to 0.", "", f"{PAPER}: 6e-4 on Atari", above=0)
    decay: float = setting(0.99, "RMSProp: decay of the mean square.", source=f"{CODE}: 0.99", low=0, high=1)
    momentum: float = setting(0.0, "RMSProp: momentum.", source=f"{PAPER}: 0", low=0, high=1)
    epsilon: float = setting(0.01, "RMSProp: added inside the square root.", source=f"{PAPER}: 0.01 on Atari", above=0)
    initial_mean_square: float = setting(
        1.0,
        "RMSProp: mean square before the first update; 0 makes the first hundreds of updates larger.",
        source="TensorFlow 1, which the paper used: 1",
        low=0,
    )
    clip_norm: float = setting(
        40.0, "Gradients are scaled to this global norm at most.", source=f"{PAPER}: 40", above=0
    )
    entropy_cost: float = setting(0.001, "Weight of the entropy bonus.", source=f"{PAPER}: 0.01 on Atari", low=0)
    baseline_cost: float = setting(0.5, "Weight of the baseline loss 0.5 (vs - V)^2.", source=f"{PAPER}: 0.5", low=0)
    discounting: float = setting(0.99, "Discount gamma, per agent step.", source=f"{PAPER}: 0.99", low=0, high=1)
    bootstrap_at_time_limits: bool = setting(
        True,
        "Where a time limit cuts an episode off, go on with the value of its last observation. false: take it for an "
        "end, as the released code does; only to compare (docs/environments.md).",
    )
    reward_clipping: str = setting(
        "none",
        "In the learner only. abs_one: clip(r, -1, 1). soft_asymmetric: 5 tanh(r / 5), below 0 times 0.3.",
        source=f"{CODE}; the paper's caption prints 5 tanh(r) and 0.3 tanh(r)",
        choices=("none", "abs_one", "soft_asymmetric"),
    )
    clip_rho_threshold: float = setting(
        1.0, "V-trace rho_bar; inf: no clipping.", source=f"{PAPER} section 4.1: 1", low=0
    )
    clip_c_threshold: float = setting(1.0, "V-trace c_bar; inf: no clipping.", source=f"{PAPER}: 1", low=0)
    clip_pg_rho_threshold: float = setting(
        1.0, "Clips rho in the policy gradient; inf: no clipping.", source=f"{CODE}: 1", low=0
    )
    vtrace_lambda: float = setting(1.0, "V-trace lambda.", source=f"{PAPER} remark 2: 1", low=0, high=1)

    # What a run shows and leaves.
    evaluate_every_frames: int = setting(
        0,
        "Play episodes with the newest weights in environments of their own, in between, and keep the best; 0: off.",
        "environment frames",
        low=0,
    )
    evaluate_num_episodes: int = setting(20, "Of --evaluate_every_frames, for each task.", "episodes", low=1)
    evaluate_greedy: bool = setting(False, "Of --evaluate_every_frames: the most probable action instead of a sample.")
    log_every_secs: float = setting(0.5, "Between rows of metrics.csv and TensorBoard.", "seconds", above=0)
    checkpoint_every_secs: float = setting(600.0, "Between checkpoints; 0: off.", "seconds", f"{CODE}: 600", low=0)
    checkpoint_every_updates: int = setting(0, "Updates between checkpoints; 0: off.", "updates", low=0)
    keep_checkpoints: int = setting(3, "The newest checkpoints that are kept.", low=1)
    profile: bool = setting(False, "Trace two seconds of training into the log directory (docs/performance.md).")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_bounds(field, getattr(self, field.name))
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise SettingError(f"--hidden_sizes={_text(self.hidden_sizes)}: give one or more sizes of at least 1")
        if self.dynamic_batching_min > self.dynamic_batching_max:
            raise SettingError(
                f"--dynamic_batching_min={self.dynamic_batching_min}: must be at most "
                f"--dynamic_batching_max={self.dynamic_batching_max}"
            )
        rows = "envs_per_step" if self.envs_per_step else "num_envs_per_actor"
        if self.dynamic_batching and self.dynamic_batching_max < getattr(self, rows):
            raise SettingError(
                f"--dynamic_batching_max={self.dynamic_batching_max}: must be at least "
                f"--{rows}={getattr(self, rows)}, the rows of one actor's request"
            )
        if self.envs_per_step > self.num_envs_per_actor:
            raise SettingError(
                f"--envs_per_step={self.envs_per_step}: must be at most --num_envs_per_actor={self.num_envs_per_actor}"
            )
        if self.architecture != "impala":
            self._check_architecture()
        if self.clip_rho_threshold < self.clip_c_threshold:
            raise SettingError(
                f"--clip_rho_threshold={self.clip_rho_threshold}: must be at least "
                f"--clip_c_threshold={self.clip_c_threshold} (V-trace needs rho_bar >= c_bar)"
            )

    def _check_architecture(self) -> None:
        name = self.architecture
        num_actors = 1 if name == "a3c" else self.num_actors
        num_unrolls = num_actors * self.num_envs_per_actor
        if self.batch_size != num_unrolls:
            raise SettingError(
                f"--batch_size={self.batch_size}: {name} learns from the {num_unrolls} unrolls of "
                f"{num_actors} x {self.num_envs_per_actor} environments at once; give --batch_size={num_unrolls}"
            )
        for flag, wrong in (
            ("policy_lag", self.policy_lag > 0),
            ("envs_per_step", self.envs_per_step > 0),
            ("dynamic_batching", self.dynamic_batching and name != "a2c_sync_trajectory"),
            ("normalise_observations", self.normalise_observations and name == "a3c"),
            ("normalise_returns", self.normalise_returns and name == "a3c"),
            ("centre_frames", self.centre_frames and name == "a3c"),
        ):
            if wrong:
                value = _text(getattr(self, flag))
                raise SettingError(f"--{flag}={value}: does not go with --architecture={name}; leave it out")


def fields() -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(Config)


def environment_settings(config: Config) -> dict[str, Any]:
    """The settings that define the task, by name."""
    return {field.name: getattr(config, field.name) for field in fields() if field.metadata["environment"]}


def to_flag_lines(config: Config) -> list[str]:
    """The settings as lines of a flag file. `logdir` and `mode` are left out: they say where and what, not how."""
    lines = []
    for field in fields():
        if field.name not in ("logdir", "mode"):
            lines.append(f"--{field.name}={_text(getattr(config, field.name))}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def differences(config: Config, flag_lines: list[str], network: bool) -> list[str]:
    """Settings in which a saved flag file and `config` differ, as "--flag=saved (given: value)".

    network: those that a checkpoint depends on, or the others.
    """
    saved = dict(line[2:].strip().split("=", 1) for line in flag_lines if line.startswith("--") and "=" in line)
    found = []
    for field in fields():
        here = _text(getattr(config, field.name))
        if field.metadata["network"] == network and saved.get(field.name, here) != here:
            found.append(f"--{field.name}={saved[field.name]} (given: {here})")
    return found


def _check_bounds(field: dataclasses.Field, value: Any) -> None:
    rule = field.metadata
    is_own = "module:function" in rule["choices"] and ":" in str(value) and value != "module:function"
    if rule["choices"] and value not in rule["choices"] and not is_own:
        raise SettingError(f"--{field.name}={value}: must be one of {', '.join(rule['choices'])}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    wanted = []
    if rule["low"] is not None:
        wanted.append((value >= rule["low"], f"at least {rule['low']}"))
    if rule["above"] is not None:
        wanted.append((value > rule["above"], f"above {rule['above']}"))
    if rule["high"] is not None:
        wanted.append((value <= rule["high"], f"at most {rule['high']}"))
    if math.isinf(value) and not field.name.endswith("_threshold"):
        wanted.append((False, "finite"))
    if math.isnan(value) or not all(holds for holds, _ in wanted):
        raise SettingError(f"--{field.name}={value}: must be " + " and ".join(text for _, text in wanted))
