"""Says which settings contradict each other: each row of the table holds for settings that have it, and no others."""

import re
import types

import pytest

from impala_tf.config import Config, SettingError, fields
from impala_tf.settings.contradictions import CONTRADICTIONS

A2C = dict(architecture="a2c_sync_step", num_actors=2, num_envs_per_actor=8, batch_size=16)
TRAJECTORY = A2C | dict(architecture="a2c_sync_trajectory")
A3C = A2C | dict(architecture="a3c", batch_size=8)
LAG = "does not go with --architecture="
HOSTS = "a:1,b:2"
BAD_HOSTS = ("a:1", "a:1,a:1", "a:1,b", "a:1,b:0", "a:1,b:65536", "a:1,b:x", "a:1,", "a:1, b:2")
CASES = [
    *((dict(learner_hosts=hosts), f"--learner_hosts={hosts}: must be host:port of two or more learners, all different")
      for hosts in BAD_HOSTS),
    (dict(learner_index=1), "--learner_index=1: says which of --learner_hosts this is; give these, or leave it out"),
    (dict(learner_hosts=HOSTS, learner_index=2), "--learner_index=2: must be below 2, the number of --learner_hosts"),
    (dict(learner_hosts=HOSTS, num_learners=3), "--num_learners=3: must be 2, the number of --learner_hosts; or leave"),
    *((dict(rnd=True) | several, "--rnd=true: does not go with 2 learners; leave it out")
      for several in (dict(num_learners=2), dict(learner_hosts=HOSTS))),
    (A3C | dict(num_learners=2), "--architecture=a3c: does not go with 2 learners; leave it out"),
    (dict(stall_secs=0, stall_abort_secs=9), "--stall_abort_secs=9.0: needs the watchdog, which"),
    (dict(kl_target=0.1), "--kl_target=0.1: adapts --kl_cost, which must be above 0 at the start; give --kl_cost=1"),
    (dict(dynamic_batching_min=9, dynamic_batching_max=8), "--dynamic_batching_min=9: must be at most "
     "--dynamic_batching_max=8"),
    (dict(dynamic_batching=True, dynamic_batching_max=8), "--dynamic_batching_max=8: must be at least "
     "--num_envs_per_actor=64, the rows of one actor's request"),
    (dict(dynamic_batching=True, dynamic_batching_max=8, envs_per_step=9), "--dynamic_batching_max=8: must be at "
     "least --envs_per_step=9, the rows of one actor's request"),
    (dict(envs_per_step=65), "--envs_per_step=65: must be at most --num_envs_per_actor=64"),
    (dict(behaviour_spread=True, num_actors=1, behaviour_epsilon=0.1), "--behaviour_spread=true: there is nothing to "
     "spread over --num_actors=1; leave it out"),
    (dict(behaviour_spread=True), "--behaviour_spread=true: there is nothing to spread; give --behaviour_epsilon or "
     "--behaviour_temperature"),
    (A2C | dict(batch_size=8), "--batch_size=8: a2c_sync_step learns from the 16 unrolls of 2 x 8 environments at "
     "once; give --batch_size=16"),
    (TRAJECTORY | dict(batch_size=15), "--batch_size=15: a2c_sync_trajectory learns from the 16 unrolls of 2 x 8"),
    (A3C | dict(batch_size=16), "--batch_size=16: a3c learns from the 8 unrolls of 1 x 8 environments at once; give "
     "--batch_size=8"),
    *((settings | dict(actor_backend="ray"), "--actor_backend=ray: does not go with --architecture="
       f"{settings['architecture']}; give --architecture=impala") for settings in (A2C, TRAJECTORY, A3C)),
    *((settings | dict(actor_backend="processes"), f"--{flag}: does not go with --actor_backend=processes, ")
      for settings, flag in (
          (dict(envs_per_step=4), "envs_per_step=4"), (dict(concurrent_actors=1), "concurrent_actors=1"),
          (dict(dynamic_batching=True), "dynamic_batching=true"),
          (dict(vectorization="async"), "vectorization=async"))),
    (dict(actors_per_host=2), "--actors_per_host=2: is for --actor_backend=processes and ray; give one of them too"),
    (dict(actors_per_host=5, actor_backend="ray"), "--actors_per_host=5: must be at most --num_actors=4"),
    (dict(ray_address="auto", actor_backend="processes"), "--ray_address=auto: is for --actor_backend=ray and "
     "--learner_backend=ray; give one of them too, or leave it out"),
    (dict(learner_backend="ray"), "--learner_backend=ray: is for --num_learners of 2 or more; give it too, or leave it "
     "out"),
    *((settings | {"policy_lag": 1}, f"--policy_lag=1: {LAG}{settings['architecture']}; leave it out")
      for settings in (A2C, TRAJECTORY, A3C)),
    *((settings | {"envs_per_step": 4}, f"--envs_per_step=4: {LAG}{settings['architecture']}; leave it out")
      for settings in (A2C, TRAJECTORY, A3C)),
    *((settings | {"dynamic_batching": True}, f"--dynamic_batching=true: {LAG}{settings['architecture']}; leave it out")
      for settings in (A2C, A3C)),
    (A3C | dict(rnd=True), f"--rnd=true: {LAG}a3c; leave it out"),
    (A3C | dict(normalise_observations=True), f"--normalise_observations=true: {LAG}a3c; leave it out"),
    (A3C | dict(normalise_returns=True), f"--normalise_returns=true: {LAG}a3c; leave it out"),
    (A3C | dict(centre_frames=True), f"--centre_frames=true: {LAG}a3c; leave it out"),
    (TRAJECTORY | dict(replay_fraction=0.5), "--batch_size=16: a2c_sync_trajectory learns from the 16 unrolls of 2 x 8 "
     "environments at once; give --batch_size=32"),
    (dict(replay_fraction=0.3), "--replay_fraction=0.3: must be one of 0, 1 / 32, 2 / 32, ..., 31 / 32, so that a "
     "batch (--batch_size=32) has whole unrolls of both kinds"),
    (dict(replay_fraction=1.0), "--replay_fraction=1.0: must be one of 0, 1 / 32"),
    (dict(replay_fraction=0.5, replay_capacity=15), "--replay_capacity=15: must be at least 16, the unrolls that are "),
    (A3C | dict(batch_size=16, replay_fraction=0.5), f"--replay_fraction=0.5: {LAG}a3c"),
    (A3C | dict(popart=True), f"--popart=true: {LAG}a3c; leave it out"),
    (dict(popart=True, normalise_returns=True), "--popart=true: does not go with --normalise_returns=true; leave one "
     "of them out"),
    (dict(popart=True, reward_clipping="abs_one"), "--popart=true: does not go with --reward_clipping=abs_one; it is "
     "there for rewards of any size"),
    (dict(replay_fraction=0.5, algorithm="ppo"), "--replay_fraction=0.5: ppo takes a batch for on-policy; give "
     "--algorithm=impact or impala"),
    *(({flag: 0.01}, f"--{flag}=0.01: is for replayed unrolls; give --replay_fraction too, or leave it out")
      for flag in ("clone_policy_cost", "clone_baseline_cost")),
    (dict(clone_baseline_cost=0.01, replay_fraction=0.5, popart=True), "--clone_baseline_cost=0.01: does not go with "
     "--popart; leave one out"),
    (A3C | dict(max_policy_lag=3), f"--max_policy_lag=3: {LAG}a3c"),
    (dict(max_policy_lag=3, policy_lag=3), "--max_policy_lag=3: must be above --policy_lag=3, or every unroll would be "
     "dropped"),
    *((dict(init_parts=parts), f"--init_parts={parts}: must be any of torso, core, heads, with commas between them")
      for parts in ("", "torso,", "torso,head", "core,core")),
    (dict(weight_decay=0.1), "--weight_decay=0.1: does not go with --optimizer=rmsprop; give --optimizer=adamw"),
    (dict(warmup_frames=1000, schedule_frames=1000), "--warmup_frames=1000: must be below 1000, the frames after which "
     "the schedule ends"),
    (dict(target_entropy=0.5, entropy_cost_end_factor=0.0), "--target_entropy=0.5: does not go with "
     "--entropy_cost_end_factor=0.0; leave one of them out"),
    *((dict(freeze=parts), f"--freeze={parts}: must be any of torso, core, heads, with commas between them")
      for parts in ("torso,", "head", "torso,torso")),
    (dict(freeze="core"), "--freeze=core: the network has no core (--core=none); leave core out"),
    (dict(freeze="heads", popart=True), "--freeze=heads: does not go with --popart, which changes the baseline's head"),
    (dict(freeze="heads,torso"), "--freeze=heads,torso: leaves nothing that learns; name fewer parts"),
    (dict(freeze="heads,core,torso", core="gru"), "--freeze=heads,core,torso: leaves nothing that learns; name fewer"),
    (dict(correction="none", algorithm="impact"), "--correction=none: does not go with --algorithm=impact; leave "
     "it out"),
    (dict(correction="none", clip_pg_rho_threshold=0.5), "--correction=none: its targets have ratios of 1, which "
     "V-trace's thresholds may not clip; give thresholds of at least 1"),
    *((settings | dict(exact_resume=True), f"--{text}")
      for settings, text in (
          ({}, "architecture=impala: does not go with --exact_resume=true, which needs actors that wait for the "
           "update; give a2c_sync_trajectory or a2c_sync_step"),
          (A3C, "num_actors=2: does not go with --exact_resume=true, where several workers step as they come; give "
           "--num_actors=1"),
          *((A2C | dict(vectorization=kind), f"vectorization={kind}: does not go with --exact_resume=true, which "
             "replays environments one by one; give --vectorization=sync") for kind in ("native", "async", "ale")),
          (TRAJECTORY | dict(dynamic_batching=True), "dynamic_batching=true: does not go with --exact_resume=true, "
           "where chance joins requests"),
          (TRAJECTORY | dict(batch_size=32, replay_fraction=0.5), "replay_fraction=0.5: does not go with "
           "--exact_resume=true, which saves no replay buffer"),
          (A2C | dict(max_env_restarts=2), "max_env_restarts=2: does not go with --exact_resume=true, since chance "
           "makes environments anew; leave it out"),
          (A2C | dict(on_nonfinite="skip"), "on_nonfinite=skip: does not go with --exact_resume=true, which does not "
           "save how many updates were skipped; give --on_nonfinite=stop"),
          (A2C | dict(num_learners=2), "num_learners=2: does not go with --exact_resume=true, which is for one "
           "learner"))),
    (dict(clip_rho_threshold=0.5), "--clip_rho_threshold=0.5: must be at least --clip_c_threshold=1.0 (V-trace needs "
     "rho_bar >= c_bar)"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), CASES, ids=[message.partition(":")[0] for _, message in CASES])
def test_a_contradiction_is_refused_in_one_line(settings, message):
    with pytest.raises(SettingError, match=f"^{re.escape(message)}") as error:
        Config(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        A2C,
        TRAJECTORY,
        A3C,
        TRAJECTORY | dict(dynamic_batching=True),
        TRAJECTORY | dict(normalise_observations=True, normalise_returns=True, centre_frames=True),
        dict(dynamic_batching_min=8, dynamic_batching_max=8),
        dict(dynamic_batching=True, dynamic_batching_max=64),
        dict(dynamic_batching=True, dynamic_batching_max=9, envs_per_step=9),
        dict(envs_per_step=64, policy_lag=3),
        dict(init_parts="heads,torso"),
        dict(max_policy_lag=4, policy_lag=3),
        dict(replay_fraction=0.875, replay_capacity=4),
        dict(replay_fraction=0.3333, batch_size=3),
        TRAJECTORY | dict(batch_size=32, replay_fraction=0.5),
        dict(behaviour_spread=True, num_actors=2, behaviour_epsilon=0.1),
        dict(behaviour_spread=True, num_actors=2, behaviour_temperature=2.0),
        dict(optimizer="adamw", weight_decay=0.1),
        dict(warmup_frames=999, schedule_frames=1000),
        dict(target_entropy=-3.0),
        dict(freeze="torso,heads", core="gru"),
        dict(actor_backend="processes", actors_per_host=4, vectorization="sync"),
        dict(actor_backend="ray", ray_address="auto"),
        A2C | dict(exact_resume=True, vectorization="sync"),
        A3C | dict(exact_resume=True, num_actors=1),
        dict(freeze="core,heads", core="gru"),
        dict(freeze="torso", popart=True),
        dict(clip_rho_threshold=2.0, clip_c_threshold=2.0),
        dict(correction="none", algorithm="somewhere:my_impala"),
        dict(correction="one_step", clip_pg_rho_threshold=2.0),
    ],
    ids=str,
)
def test_what_lies_just_inside_is_taken(settings):
    Config(**settings)


def test_every_row_of_the_table_has_a_case():
    defaults = {field.name: field.default for field in fields()}
    configs = [types.SimpleNamespace(**(defaults | settings)) for settings, _ in CASES]
    seen = {next(i for i, row in enumerate(CONTRADICTIONS) if row.holds(config)) for config in configs}
    assert seen == set(range(len(CONTRADICTIONS)))
