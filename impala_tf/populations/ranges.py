"""Reads --vary: which settings differ between the members of a population, and where they start."""

import math
from typing import NamedTuple

import numpy as np

from impala_tf.config import SettingError

# Table D.1 of the paper.
PAPER = "learning_rate:5e-6:5e-3,entropy_cost:5e-5:1e-2,epsilon:1e-1/1e-3/1e-5/1e-7"
_FORM = "give NAME:LOW:HIGH (log-uniform) or NAME:A/B/C (one of these), with commas between them"


class Range(NamedTuple):
    """A setting starts log-uniformly between `low` and `high`, or at one of `choices` where there are any."""

    name: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[float, ...] = ()

    def draw(self, random: np.random.Generator) -> float:
        """Returns a value to start with, rounded to four digits."""
        if self.choices:
            return self.choices[int(random.integers(len(self.choices)))]
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def text(self) -> str:
        """Returns the item of --vary."""
        values = "/".join(f"{x:g}" for x in self.choices) if self.choices else f"{self.low:g}:{self.high:g}"
        return f"{self.name}:{values}"


def parse(vary: str) -> tuple[Range, ...]:
    """Reads the text of --vary. Raises SettingError when it has another form."""
    ranges = tuple(_item(vary, item) for item in vary.split(","))
    if len({item.name for item in ranges}) < len(ranges):
        raise SettingError(f"--vary={vary}: names a setting twice")
    return ranges


def _item(vary: str, item: str) -> Range:
    name, *values = item.strip().split(":")
    try:
        if len(values) == 2:
            found = Range(name, float(values[0]), float(values[1]))
            if 0 < found.low < found.high < math.inf:
                return found
            raise SettingError(f"--vary={vary}: the range of {name} must have 0 < LOW < HIGH")
        if len(values) == 1:
            return Range(name, choices=tuple(float(value) for value in values[0].split("/")))
    except SettingError:
        raise
    except ValueError:
        pass
    raise SettingError(f"--vary={vary}: {item!r} cannot be read; {_FORM}")


def start_values(ranges: tuple[Range, ...], seed: int, member: int) -> dict[str, float]:
    """Returns the hyperparameters that a member starts with. They depend on (seed, member) only."""
    random = np.random.default_rng([seed, member])
    return {item.name: item.draw(random) for item in ranges}
