"""Names the learner's state, weights, statistics and the optimizer's variables, for the arrays of a checkpoint.

Format 2 names a variable by its path, such as `weights/mlp_torso/dense/kernel.1` and
`optimizer/velocity/mlp_torso/dense/kernel.1` (`networks/parts.py`). The array `parts` has the names by part of all
weights and statistics, for --init_from. Format 1 named variables by their position; it is still read.
"""

import io
from collections.abc import Iterable, Sequence

import keras
import numpy as np

from impala_tf.networks.parts import names_of

FORMAT = 2
# The variables that Keras' RMSprop keeps for each weight, in its order. Its Adam keeps both, in the other order.
ROLES = ("velocity", "momentum")
# Optimizers whose variables mean the same, so that one can go on where the other was.
FAMILIES = {"rmsprop": "rmsprop", "adam": "adam", "adamw": "adam"}


def optimizer_variables(
    optimizer: keras.optimizers.Optimizer, weights: Sequence[keras.Variable]
) -> dict[str, keras.Variable]:
    """Returns the optimizer's variables for the weights by role and the weight's name: velocity/NAME, momentum/NAME.

    For Adam they include `iterations`, its number of steps.
    """
    found: dict[str, keras.Variable] = {}
    for role in ROLES:
        # They are in the order of the weights. Their own names are not enough: layers of the same name share them.
        role_variables = [variable for variable in optimizer.variables if variable.name.endswith(f"_{role}")]
        if role_variables:
            found |= zip((f"{role}/{name}" for name in names_of(weights)), role_variables, strict=True)
    if isinstance(optimizer, keras.optimizers.Adam):
        found["iterations"] = optimizer.iterations
    return found


def arrays_by_part(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights and statistics of a checkpoint by PART/NAME.

    Raises KeyError for a checkpoint of a version that did not write the names by part.
    """
    saved = [array for name, array in arrays.items() if name.startswith(("weights/", "statistics/"))]
    return dict(zip(map(str, arrays["parts"]), saved, strict=True))


def for_optimizer(
    arrays: dict[str, np.ndarray], family: str, wanted: Iterable[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Leaves out of a checkpoint's arrays in format 2 what another optimizer left in it.

    family: optimizer that is to go on, a value of `FAMILIES`.
    wanted: names of the variables of the learner that goes on.

    Returns the arrays, and a line for each thing of the optimizer's that did not fit.
    """
    saved_family = str(arrays.get("optimizer", "rmsprop"))  # In the beginning there was no other.
    if saved_family != family:
        others = {name: array for name, array in arrays.items() if not name.startswith("optimizer/")}
        return others, [f"the checkpoint has the state of {saved_family}; that of {family} starts anew"]
    notes = []
    for role in ROLES:
        saved, given = (any(name.startswith(f"optimizer/{role}/") for name in names) for names in (arrays, wanted))
        if given and not saved:
            notes.append(f"the checkpoint has no {role} of the optimizer; it starts anew")
        if saved and not given:
            notes.append(f"the optimizer's {role} in the checkpoint is not used")
    return arrays, notes


def check_fits(name: str, array: np.ndarray, variable: keras.Variable) -> None:
    """Raises ValueError when an array of a checkpoint is no value of the variable."""
    shape, dtype = tuple(variable.shape), np.dtype(keras.backend.standardize_dtype(variable.dtype))
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} is {array.dtype} {array.shape} instead of {dtype} {shape}")


def in_format_2(arrays: dict[str, np.ndarray], weight_names: list[str], statistic_names: list[str]) -> dict:
    """Returns the arrays of a checkpoint in format 2, whatever format they had."""
    if int(arrays.get("format", 1)) == FORMAT:
        return arrays
    renamed = {name: array for name, array in arrays.items() if "/" not in name}
    for kind, names in (("weights", weight_names), ("statistics", statistic_names)):
        if sum(name.startswith(f"{kind}/") for name in arrays) != len(names):
            raise ValueError(f"it has other {kind}")
        renamed |= {f"{kind}/{name}": arrays[f"{kind}/{i}"] for i, name in enumerate(names)}
    # Positions 0 and 1 were the number of updates and the learning rate, which are known from elsewhere.
    num_roles = (sum(name.startswith("optimizer/") for name in arrays) - 2) // len(weight_names)
    for i, role in enumerate(ROLES[:num_roles]):
        for j, name in enumerate(weight_names):
            renamed[f"optimizer/{role}/{name}"] = arrays[f"optimizer/{2 + i * len(weight_names) + j}"]
    return renamed


def to_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Writes arrays as the content of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def from_bytes(content: bytes) -> dict[str, np.ndarray]:
    """Inverts `to_bytes`. Pickles are never loaded."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
