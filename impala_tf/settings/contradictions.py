"""Some combinations of settings are refused. One table says which."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from impala_tf.settings.learners import are_hosts, hosts_of, num_learners
from impala_tf.settings.learning import schedule_end_frames
from impala_tf.settings.replay import num_replayed
from impala_tf.settings.setting import SettingError, as_text
from impala_tf.settings.transfer import PARTS, are_parts, parts_in


class Contradiction(NamedTuple):
    """A contradiction is a pair of settings that cannot both be as they are.

    flag: the setting that the message names.
    holds: function that says whether a `Config` has the contradiction.
    advice: function that makes the second half of the message, which says what would be right.
    """

    flag: str
    holds: Callable[[Any], bool]
    advice: Callable[[Any], str]


def _request_flag(config: Any) -> str:
    """Returns the name of the setting that says how many rows one actor asks the policy for."""
    return "envs_per_step" if config.envs_per_step else "num_envs_per_actor"


def _learning_actors(config: Any) -> int:
    """Counts the actors whose unrolls make one batch where actors wait for the update."""
    return 1 if config.architecture == "a3c" else config.num_actors


def _unrolls(config: Any) -> int:
    """Counts the unrolls in one batch where actors wait for the update."""
    return _learning_actors(config) * config.num_envs_per_actor


def _batch_size(config: Any) -> int:
    """Returns the batch that has the unrolls of actors that wait for the update, and the replayed ones."""
    return round(_unrolls(config) / (1 - config.replay_fraction)) if config.replay_fraction < 1 else _unrolls(config)


def _is_whole(config: Any) -> bool:
    """Returns whether a batch has whole numbers of fresh and of replayed unrolls."""
    exact = config.batch_size * config.replay_fraction
    return abs(exact - num_replayed(config)) < 0.001 and num_replayed(config) < config.batch_size


def _thresholds(config: Any) -> tuple[float, float, float]:
    return config.clip_rho_threshold, config.clip_c_threshold, config.clip_pg_rho_threshold


def _not_with_architecture(flag: str, architectures: tuple[str, ...]) -> Contradiction:
    return Contradiction(
        flag,
        lambda c: bool(getattr(c, flag)) and c.architecture in architectures,
        lambda c: f"does not go with --architecture={c.architecture}; leave it out",
    )


def _not_in_other_processes(flag: str, unwanted: Any, why: str) -> Contradiction:
    """Refuses a setting where actors are outside of the learner's process. unwanted: its value; None: any but 0."""
    return Contradiction(
        flag,
        lambda c: (
            c.actor_backend != "threads"
            and (getattr(c, flag) == unwanted if unwanted is not None else bool(getattr(c, flag)))
        ),
        lambda c: f"does not go with --actor_backend={c.actor_backend}, {why}",
    )


def _not_with_several_learners(flag: str, holds: Callable[[Any], bool]) -> Contradiction:
    return Contradiction(
        flag,
        lambda c: num_learners(c) > 1 and holds(c),
        lambda c: f"does not go with {num_learners(c)} learners; leave it out",
    )


def _not_with_exact_resume(flag: str, holds: Callable[[Any], bool], advice: str) -> Contradiction:
    return Contradiction(
        flag,
        lambda c: c.exact_resume and holds(c),
        lambda c: f"does not go with --exact_resume=true, {advice}",
    )


def _any_of_the_parts(config: Any) -> str:
    return f"must be any of {', '.join(PARTS)}, with commas between them"


def _only_with_replay(flag: str) -> Contradiction:
    return Contradiction(
        flag,
        lambda c: getattr(c, flag) > 0 and c.replay_fraction == 0,
        lambda c: "is for replayed unrolls; give --replay_fraction too, or leave it out",
    )


# In these architectures actors wait for the update that their unrolls made.
WAITING = ("a2c_sync_step", "a2c_sync_trajectory", "a3c")
CONTRADICTIONS = (
    Contradiction("init_parts", lambda c: not c.init_parts or not are_parts(c.init_parts), _any_of_the_parts),
    Contradiction("freeze", lambda c: not are_parts(c.freeze), _any_of_the_parts),
    Contradiction(
        "freeze",
        lambda c: "core" in parts_in(c.freeze) and c.core == "none",
        lambda c: "the network has no core (--core=none); leave core out",
    ),
    Contradiction(
        "freeze",
        lambda c: "heads" in parts_in(c.freeze) and c.popart,
        lambda c: (
            "does not go with --popart, which changes the baseline's head with its targets; leave one of them out"
        ),
    ),
    Contradiction(
        "freeze",
        lambda c: {"torso", "heads"} <= set(parts_in(c.freeze)) and (c.core == "none" or "core" in parts_in(c.freeze)),
        lambda c: "leaves nothing that learns; name fewer parts",
    ),
    Contradiction(
        "dynamic_batching_min",
        lambda c: c.dynamic_batching_min > c.dynamic_batching_max,
        lambda c: f"must be at most --dynamic_batching_max={c.dynamic_batching_max}",
    ),
    Contradiction(
        "dynamic_batching_max",
        lambda c: c.dynamic_batching and c.dynamic_batching_max < getattr(c, _request_flag(c)),
        lambda c: (
            f"must be at least --{_request_flag(c)}={getattr(c, _request_flag(c))}, the rows of one actor's request"
        ),
    ),
    Contradiction(
        "envs_per_step",
        lambda c: c.envs_per_step > c.num_envs_per_actor,
        lambda c: f"must be at most --num_envs_per_actor={c.num_envs_per_actor}",
    ),
    Contradiction(
        "behaviour_spread",
        lambda c: c.behaviour_spread and c.num_actors == 1,
        lambda c: "there is nothing to spread over --num_actors=1; leave it out",
    ),
    Contradiction(
        "behaviour_spread",
        lambda c: c.behaviour_spread and c.behaviour_epsilon == 0 and c.behaviour_temperature == 1,
        lambda c: "there is nothing to spread; give --behaviour_epsilon or --behaviour_temperature",
    ),
    Contradiction(
        "batch_size",
        lambda c: c.architecture in WAITING and c.batch_size - num_replayed(c) != _unrolls(c),
        lambda c: (
            f"{c.architecture} learns from the {_unrolls(c)} unrolls of {_learning_actors(c)} x "
            f"{c.num_envs_per_actor} environments at once; give --batch_size={_batch_size(c)}"
        ),
    ),
    Contradiction(
        "replay_fraction",
        lambda c: c.replay_fraction > 0 and not _is_whole(c),
        lambda c: (
            f"must be one of 0, 1 / {c.batch_size}, 2 / {c.batch_size}, ..., {c.batch_size - 1} / {c.batch_size}, so "
            f"that a batch (--batch_size={c.batch_size}) has whole unrolls of both kinds"
        ),
    ),
    Contradiction(
        "replay_capacity",
        lambda c: c.replay_fraction > 0 and c.replay_capacity < c.batch_size - num_replayed(c),
        lambda c: f"must be at least {c.batch_size - num_replayed(c)}, the unrolls that are new in each batch",
    ),
    _not_with_architecture("replay_fraction", ("a3c",)),
    _only_with_replay("clone_policy_cost"),
    _only_with_replay("clone_baseline_cost"),
    Contradiction(
        "clone_baseline_cost",
        lambda c: c.clone_baseline_cost > 0 and c.popart,
        lambda c: "does not go with --popart; leave one out",
    ),
    Contradiction(
        "replay_fraction",
        lambda c: c.replay_fraction > 0 and c.algorithm == "ppo",
        lambda c: "ppo takes a batch for on-policy; give --algorithm=impact or impala",
    ),
    _not_with_architecture("policy_lag", WAITING),
    _not_with_architecture("max_policy_lag", ("a3c",)),
    Contradiction(
        "max_policy_lag",
        lambda c: 0 < c.max_policy_lag <= c.policy_lag,
        lambda c: f"must be above --policy_lag={c.policy_lag}, or every unroll would be dropped",
    ),
    Contradiction(
        "actor_backend",
        lambda c: c.actor_backend != "threads" and c.architecture != "impala",
        lambda c: f"does not go with --architecture={c.architecture}; give --architecture=impala",
    ),
    _not_in_other_processes("envs_per_step", None, "whose actors send whole unrolls; leave it out"),
    _not_in_other_processes("dynamic_batching", None, "whose actors share no memory; leave it out"),
    _not_in_other_processes("concurrent_actors", None, "where every process acts when it is asked; leave it out"),
    _not_in_other_processes("vectorization", "async", "which has processes already; give --vectorization=sync"),
    Contradiction(
        "actors_per_host",
        lambda c: c.actors_per_host > 1 and c.actor_backend == "threads",
        lambda c: "is for --actor_backend=processes and ray; give one of them too, or leave it out",
    ),
    Contradiction(
        "actors_per_host",
        lambda c: c.actors_per_host > c.num_actors,
        lambda c: f"must be at most --num_actors={c.num_actors}",
    ),
    Contradiction(
        "ray_address",
        lambda c: bool(c.ray_address) and "ray" not in (c.actor_backend, c.learner_backend),
        lambda c: "is for --actor_backend=ray and --learner_backend=ray; give one of them too, or leave it out",
    ),
    _not_with_architecture("envs_per_step", WAITING),
    _not_with_architecture("dynamic_batching", ("a2c_sync_step", "a3c")),
    _not_with_architecture("rnd", ("a3c",)),
    _not_with_architecture("normalise_observations", ("a3c",)),
    _not_with_architecture("normalise_returns", ("a3c",)),
    _not_with_architecture("centre_frames", ("a3c",)),
    _not_with_architecture("popart", ("a3c",)),
    Contradiction(
        "popart",
        lambda c: c.popart and c.normalise_returns,
        lambda c: "does not go with --normalise_returns=true; leave one of them out",
    ),
    Contradiction(
        "popart",
        lambda c: c.popart and c.reward_clipping != "none",
        lambda c: f"does not go with --reward_clipping={c.reward_clipping}; it is there for rewards of any size",
    ),
    Contradiction(
        "weight_decay",
        lambda c: c.weight_decay > 0 and c.optimizer != "adamw",
        lambda c: f"does not go with --optimizer={c.optimizer}; give --optimizer=adamw",
    ),
    Contradiction(
        "warmup_frames",
        lambda c: c.warmup_frames >= schedule_end_frames(c),
        lambda c: f"must be below {schedule_end_frames(c)}, the frames after which the schedule ends",
    ),
    Contradiction(
        "target_entropy",
        lambda c: c.target_entropy > -math.inf and c.entropy_cost_end_factor != 1,
        lambda c: f"does not go with --entropy_cost_end_factor={c.entropy_cost_end_factor}; leave one of them out",
    ),
    Contradiction(
        "kl_target",
        lambda c: c.kl_target > 0 and c.kl_cost == 0,
        lambda c: "adapts --kl_cost, which must be above 0 at the start; give --kl_cost=1",
    ),
    Contradiction(
        "correction",
        lambda c: c.correction != "vtrace" and c.algorithm != "impala" and ":" not in c.algorithm,
        lambda c: f"does not go with --algorithm={c.algorithm}; leave it out",
    ),
    Contradiction(
        "correction",
        lambda c: c.correction != "vtrace" and min(_thresholds(c)) < 1,
        lambda c: (
            "its targets have ratios of 1, which V-trace's thresholds may not clip; give thresholds of at least 1"
        ),
    ),
    Contradiction(
        "learner_hosts",
        lambda c: c.learner_hosts != "" and not are_hosts(c.learner_hosts),
        lambda c: "must be host:port of two or more learners, all different, with commas between them",
    ),
    Contradiction(
        "learner_index",
        lambda c: c.learner_index >= max(1, len(hosts_of(c))),
        lambda c: (
            f"must be below {len(hosts_of(c))}, the number of --learner_hosts"
            if c.learner_hosts
            else "says which of --learner_hosts this is; give these, or leave it out"
        ),
    ),
    Contradiction(
        "num_learners",
        lambda c: c.num_learners not in (1, num_learners(c)),
        lambda c: f"must be {num_learners(c)}, the number of --learner_hosts; or leave it out",
    ),
    Contradiction(
        "learner_backend",
        lambda c: c.learner_backend == "ray" and c.num_learners == 1,
        lambda c: "is for --num_learners of 2 or more; give it too, or leave it out",
    ),
    # A3C has no batches to join, and the statistics of novelty are not joined.
    _not_with_several_learners("architecture", lambda c: c.architecture == "a3c"),
    _not_with_several_learners("rnd", lambda c: c.rnd),
    _not_with_exact_resume(
        "architecture",
        lambda c: c.architecture == "impala",
        "which needs actors that wait for the update; give a2c_sync_trajectory or a2c_sync_step",
    ),
    _not_with_exact_resume(
        "num_actors",
        lambda c: c.architecture == "a3c" and c.num_actors > 1,
        "where several workers step as they come; give --num_actors=1",
    ),
    _not_with_exact_resume(
        "vectorization",
        lambda c: c.vectorization not in ("auto", "sync"),
        "which replays environments one by one; give --vectorization=sync",
    ),
    _not_with_exact_resume("dynamic_batching", lambda c: c.dynamic_batching, "where chance joins requests"),
    _not_with_exact_resume("replay_fraction", lambda c: c.replay_fraction > 0, "which saves no replay buffer"),
    _not_with_exact_resume(
        "max_env_restarts", lambda c: c.max_env_restarts > 0, "since chance makes environments anew; leave it out"
    ),
    _not_with_exact_resume(
        "on_nonfinite",
        lambda c: c.on_nonfinite == "skip",
        "which does not save how many updates were skipped; give --on_nonfinite=stop",
    ),
    _not_with_exact_resume("num_learners", lambda c: num_learners(c) > 1, "which is for one learner"),
    Contradiction(
        "stall_abort_secs",
        lambda c: c.stall_abort_secs > 0 and c.stall_secs == 0,
        lambda c: "needs the watchdog, which --stall_secs=0 turns off",
    ),
    Contradiction(
        "clip_rho_threshold",
        lambda c: c.clip_rho_threshold < c.clip_c_threshold,
        lambda c: f"must be at least --clip_c_threshold={c.clip_c_threshold} (V-trace needs rho_bar >= c_bar)",
    ),
)


def check_contradictions(config: Any) -> None:
    """Raises SettingError for the first contradiction in the table that the settings have."""
    for flag, holds, advice in CONTRADICTIONS:
        if holds(config):
            raise SettingError(f"--{flag}={as_text(getattr(config, flag))}: {advice(config)}")
