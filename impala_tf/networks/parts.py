"""Names weights and statistics by the part of the network that they belong to, so that another network can take them.

A name is the part's and the variable's, such as `torso/mlp_torso/dense/kernel.1`. The parts of a second trunk, which
only the baseline has (--separate_value_network), are `value_torso`, `value_core` and `value_frames`.
"""

import collections
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras
import numpy as np

# Parts with these names belong to a part that the user names (settings/transfer.py).
PARTS_OF = {
    "torso": ("torso", "value_torso", "observations", "frames", "value_frames"),
    "core": ("core", "value_core"),
    "heads": ("policy_head", "baseline_head", "returns"),
}
_SECOND_TRUNK = "value_"
LONGEST_LIST = 3  # A message names at most so many variables.


def names_of(variables: Sequence[keras.Variable]) -> list[str]:
    """Returns a name for each variable that is the same in every process.

    Keras counts layers of a kind over the whole process (dense, dense_1, ...), so the counters are taken out of a
    path, and variables whose paths are equal then are numbered in order.
    """
    counts: collections.Counter[str] = collections.Counter()
    names = []
    for variable in variables:
        path = "/".join(re.sub(r"_\d+$", "", part) for part in variable.path.split("/"))
        names.append(f"{path}.{counts[path]}")
        counts[path] += 1
    return names


def by_part(parts: dict[str, list[keras.Variable]]) -> dict[str, keras.Variable]:
    """Returns the variables of the parts by PART/NAME. parts: variables of each part, in order."""
    return {
        f"{part}/{name}": variable
        for part, variables in parts.items()
        for name, variable in zip(names_of(variables), variables, strict=True)
    }


def belongs_to(name: str, parts: Iterable[str]) -> bool:
    """Returns whether the variable PART/NAME belongs to one of the parts that a user names."""
    return any(name.partition("/")[0] in PARTS_OF[part] for part in parts)


class Taken(NamedTuple):
    """A network took some of another's arrays, by PART/NAME.

    fitted: names of the variables that took an array.
    others: names of those that fit in name but not in shape, with both shapes in words.
    missing: names of those for which there is no array.
    unused: names of the arrays that no variable takes.
    """

    fitted: list[str]
    others: list[str]
    missing: list[str]
    unused: list[str]

    def in_words(self) -> str:
        """Says in one line what fitted and what did not."""
        total = len(self.fitted) + len(self.others) + len(self.missing)
        text = f"{len(self.fitted)} of {total} weights and statistics were taken"
        for names, what in (
            (self.others, "of another shape"),
            (self.missing, "not there"),
            (self.unused, "there but not used"),
        ):
            if names:
                more = f" and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else ""
                text += f"; {what}: {', '.join(names[:LONGEST_LIST])}{more}"
        return text


def take(variables: dict[str, keras.Variable], arrays: dict[str, np.ndarray], parts: Iterable[str]) -> Taken:
    """Gives the variables every array that fits by name and shape.

    variables, arrays: by PART/NAME. parts: parts that the user names; all others stay as they are.

    Where only the arrays' network has one trunk for both heads, that trunk is taken twice. Where only this one has,
    it takes the policy's trunk, and the baseline's head stays as it is, because it was made for other features.
    """
    was_shared, is_shared = (
        not any(name.startswith(f"{_SECOND_TRUNK}torso/") for name in names) for names in (arrays, variables)
    )
    taken = Taken([], [], [], [])
    used = set()
    for name, variable in variables.items():
        if not belongs_to(name, parts):
            continue
        source = name.removeprefix(_SECOND_TRUNK) if was_shared else name
        if source not in arrays or (is_shared and not was_shared and name.startswith("baseline_head/")):
            taken.missing.append(name)
            continue
        used.add(source)
        array = arrays[source]
        if array.shape != tuple(variable.shape):
            taken.others.append(f"{name} {list(variable.shape)} (there {list(array.shape)})")
            continue
        variable.assign(array)
        taken.fitted.append(name)
    taken.unused.extend(name for name in arrays if belongs_to(name, parts) and name not in used)
    return taken
