"""Declares the settings of algorithms/."""

import dataclasses
import math

from impala_tf.settings.setting import CODE, COMMON, IMPACT, NETWORK, PAPER, PPO, above, at_least, between, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlgorithmSettings:
    """The loss of a batch has three terms, whose targets V-trace corrects."""

    algorithm: str = setting(
        "impala",
        "The loss. impala: policy gradient and baseline on V-trace. impact: the clipped surrogate against a target "
        "network, from a circular buffer of batches. ppo: the clipped surrogate against the policy that acted, for "
        "--architecture=a2c_sync_trajectory. module:function: your own, from the settings to an `Algorithm` "
        "(impala_tf/interfaces.py).",
        source=f"{PAPER}; {IMPACT}; {PPO}",
        choices=("module:function", "impala", "impact", "ppo"),
        roles=(COMMON,),
    )
    discounting: float = setting(
        0.99, "Discount gamma, per agent step.", source=f"{PAPER}: 0.99", bounds=between(0, 1), roles=(COMMON,)
    )
    entropy_cost: float = setting(
        0.001, "Weight of the entropy bonus.", source=f"{PAPER}: 0.01 on Atari", bounds=at_least(0), roles=(COMMON,)
    )
    entropy_cost_end_factor: float = setting(
        1.0,
        "At the end of --schedule_frames the entropy cost is --entropy_cost times this; it goes there linearly. 1: it "
        "stays. 0: to 0.",
        bounds=at_least(0),
    )
    target_entropy: float = setting(
        -math.inf,
        "After each update the entropy cost grows where the policy's mean entropy is below this, and falls where it is "
        "above; --entropy_cost is the start. -inf: the entropy cost is not controlled.",
        "nats",
        bounds=at_least(-math.inf, infinite=True),
    )
    target_entropy_step: float = setting(
        0.01,
        "With --target_entropy: how much the logarithm of the entropy cost changes in an update for each nat between "
        "the mean entropy and the target.",
        bounds=above(0),
    )
    baseline_cost: float = setting(
        0.5, "Weight of the baseline loss 0.5 (vs - V)^2.", source=f"{PAPER}: 0.5", bounds=at_least(0), roles=(COMMON,)
    )
    reward_clipping: str = setting(
        "none",
        "How the learner clips rewards. abs_one: clip(r, -1, 1). soft_asymmetric: 5 tanh(r / 5), below 0 times 0.3. "
        "With --normalise_returns rewards are divided first and clipped then, in units of the spread of returns.",
        source=f"{CODE}; the paper's caption prints 5 tanh(r) and 0.3 tanh(r)",
        choices=("none", "abs_one", "soft_asymmetric"),
        roles=(COMMON,),
    )
    normalise_returns: bool = setting(
        False,
        "Divide rewards in the learner by the standard deviation of the task's discounted returns, so that baselines "
        "are near 1.",
        roles=(NETWORK,),
    )
    popart: bool = setting(
        False,
        "The baseline learns targets that are normalised by their mean and scale, of each task apart; rewards are "
        "divided by the scale. When these change, the last layer is rescaled, so that no value changes.",
        source="Hessel et al. 2018",
        roles=(NETWORK,),
    )
    popart_step: float = setting(
        3e-4,
        "With --popart: weight of one step's target in the moving averages of mean and scale.",
        source="Hessel et al. 2018: 3e-4",
        bounds=above(0)._replace(high=0.1),
    )
    bootstrap_at_time_limits: bool = setting(
        True,
        "Where a time limit cuts an episode off, go on with the value of its last observation. false: take it for an "
        "end, as the released code does; only to compare (docs/environments.md).",
    )
    correction: str = setting(
        "vtrace",
        "How the policy lag is corrected (Table 2). one_step: the clipped ratio of a step weighs its policy gradient, "
        "targets are not corrected. epsilon: no ratio, 1e-6 is added to pi in log pi. none: no ratio.",
        source=f"{PAPER} section 4.1: vtrace",
        choices=("vtrace", "one_step", "epsilon", "none"),
    )
    clip_rho_threshold: float = setting(
        1.0, "V-trace rho_bar; inf: no clipping.", source=f"{PAPER} section 4.1: 1", bounds=at_least(0, infinite=True)
    )
    clip_c_threshold: float = setting(
        1.0, "V-trace c_bar; inf: no clipping.", source=f"{PAPER}: 1", bounds=at_least(0, infinite=True)
    )
    clip_pg_rho_threshold: float = setting(
        1.0,
        "Clips rho in the policy gradient; inf: no clipping.",
        source=f"{CODE}: 1",
        bounds=at_least(0, infinite=True),
    )
    clip_ratio: float = setting(
        0.2,
        "impact, ppo: the surrogate clips the ratio of the policy and its reference to 1 +- this.",
        source=f"{PPO}: 0.2; {IMPACT}: 0.2 to 0.4",
        bounds=above(0),
    )
    kl_cost: float = setting(
        0.0,
        "impact, ppo: weight of KL(reference policy || policy) in the loss.",
        source="RLlib's IMPACT: 1 on MuJoCo",
        bounds=at_least(0),
    )
    kl_target: float = setting(
        0.0,
        "impact, ppo: adapt --kl_cost so that the mean of KL(reference policy || policy) is near this; 0: off.",
        "nats",
        f"{IMPACT}: 0.04 on MuJoCo",
        bounds=at_least(0),
    )
    impact_beta: float = setting(
        0.5,
        "impact: the reference is max(target, beta mu), with the policy mu that acted.",
        source=f"{IMPACT}: 0.5",
        bounds=between(1e-6, 1),
    )
    target_update_period: int = setting(
        0,
        "impact: updates between copies of the weights to the target network; 0: one round of the buffer, N K M.",
        "updates",
        f"{IMPACT}: N K",
        bounds=at_least(0),
    )
    trust_region: float = setting(
        math.inf,
        "Learn nothing from the steps of an unroll, or of an episode in it, from the first on at which "
        "KL(behaviour policy || policy) is at least this; inf: learn from all.",
        "nats",
        "Schmitt et al. 2019's code: 1",
        bounds=at_least(0, infinite=True),
    )
    normalise_advantages: bool = setting(
        False,
        "Shift and scale the advantages of a batch to mean 0 and variance 1.",
        source="Schulman et al. 2017's code: true",
    )
    vtrace_lambda: float = setting(1.0, "V-trace lambda.", source=f"{PAPER} remark 2: 1", bounds=between(0, 1))
