"""Has the rules of population based training as in appendix F of the paper: who copies whom, and what changes.

A member that has finished a piece looks at one random other member. If that one is better by more than the margin, its
weights and hyperparameters are copied. Copied or not, each hyperparameter is then multiplied by 1.2 or by 1 / 1.2 with
probability 33 %.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from impala_tf.populations.history import Row

CHANGE_PROBABILITY = 0.33
FACTOR = 1.2


class Rules(NamedTuple):
    """The rules have these numbers.

    burn_in_frames: a member's scores before so many frames count for nobody.
    margin: how much better another member must be to be copied.
    is_relative: whether the margin is a share of the larger of the two absolute scores; for scores without a scale.
    """

    burn_in_frames: int
    margin: float
    is_relative: bool


class Decision(NamedTuple):
    """A decision is made for a member after each piece.

    compared_with: member that was looked at; None in the burn-in, and where no other has a score.
    copied_from: the same member where it was better, else None.
    hyperparameters: those of the next piece.
    """

    compared_with: int | None
    copied_from: int | None
    hyperparameters: dict[str, float]


def decide(own: Row, latest: Mapping[int, Row], rules: Rules, random: np.random.Generator) -> Decision:
    """Decides how a member goes on.

    own: the piece that the member has finished. latest: the last piece of each member.

    A member without a score (-inf), because it has diverged or no episode has ended, looks at another also in the
    burn-in, and copies it whatever its score is. Without a score nobody is looked at.
    """
    has_score = math.isfinite(own.score)
    if has_score and own.environment_frames < rules.burn_in_frames:
        return Decision(None, None, own.hyperparameters)
    others = [
        row
        for row in latest.values()
        if row.member != own.member
        and math.isfinite(row.score)
        and (row.environment_frames >= rules.burn_in_frames or not has_score)
    ]
    other = others[int(random.integers(len(others)))] if others else None
    copies = other is not None and is_better(other.score, own.score, rules)
    source = other if other is not None and copies else own
    return Decision(
        other.member if other else None,
        other.member if other and copies else None,
        perturbed(source.hyperparameters, random),
    )


def is_better(other: float, own: float, rules: Rules) -> bool:
    """Returns whether a finite score is better than one's own by more than the margin."""
    if not math.isfinite(own):
        return True
    scale = max(abs(other), abs(own)) if rules.is_relative else 1.0
    return other - own > rules.margin * scale


def perturbed(hyperparameters: Mapping[str, float], random: np.random.Generator) -> dict[str, float]:
    """Multiplies each hyperparameter by 1.2 or 1 / 1.2, with probability 33 %."""
    found = {}
    for name, value in hyperparameters.items():
        if random.random() < CHANGE_PROBABILITY:
            value = float(f"{value * (FACTOR if random.random() < 0.5 else 1 / FACTOR):.6g}")
        found[name] = value
    return found
