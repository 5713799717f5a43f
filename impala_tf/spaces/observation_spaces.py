"""Handles observation spaces without TensorFlow: their leaves, the network for a leaf, and batches as arrays."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

SUPPORTED = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Text", "Tuple", "Dict")
_ARRAYS = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
# The convolutions without padding need at least this height and width.
SMALLEST_IMAGE = {"minatar": 3, "shallow": 20, "nature": 36, "deep": 1}
# This key of a Dict observation, or of info, says which actions are possible; see `distributions/`.
ACTION_MASK = "action_mask"


def is_text(space: gym.Space) -> bool:
    """Returns whether a space's elements are strings: Text, or a library's own space such as MiniGrid's missions."""
    return space.dtype is not None and np.dtype(space.dtype).kind == "U"


def zeros(space: gym.Space) -> Any:
    """Returns an element of an observation space, as numpy: the smallest of discrete ones, empty texts, else zeros."""
    if isinstance(space, gym.spaces.Dict):
        return {name: zeros(part) for name, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(zeros(part) for part in space.spaces)
    if is_text(space):
        return np.asarray(b"", dtype=object)
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return np.asarray(space.start, space.dtype)
    return np.zeros(space.shape, space.dtype)


def leaves(space: gym.Space, name: str = "") -> dict[str, gym.Space]:
    """Returns the parts of a nested space that are not nested themselves, by name.

    They have the order of tf.nest.flatten, which sorts the names of a Dict. The name of a part of a part is that of
    both with _ between. A space that is not nested is its own and only leaf, with the name "".
    """
    if isinstance(space, gym.spaces.Dict):
        parts = {key: space.spaces[key] for key in sorted(space.spaces)}
    elif isinstance(space, gym.spaces.Tuple):
        parts = {str(i): part for i, part in enumerate(space.spaces)}
    else:
        return {name: space}
    found: dict[str, gym.Space] = {}
    for key, part in parts.items():
        # A SavedModel's inputs have names of ASCII, and do not differ in case only.
        key = re.sub(r"[^A-Za-z0-9_]", "_", str(key))
        for leaf_name, leaf in leaves(part, f"{name}_{key}" if name else key).items():
            while leaf_name.lower() in map(str.lower, found):
                leaf_name += "_"
            found[leaf_name] = leaf
    return found


def unsupported(space: gym.Space) -> gym.Space | None:
    """Returns the first leaf that no network takes; None when all are taken."""
    return next((leaf for leaf in leaves(space).values() if not isinstance(leaf, _ARRAYS) and not is_text(leaf)), None)


def as_arrays(space: gym.Space, batch: Any) -> Any:
    """Returns a vector's observations [B, ...] as a nest of arrays; texts become bytes in an array of objects."""
    if isinstance(space, gym.spaces.Dict):
        return {name: as_arrays(part, batch[name]) for name, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(as_arrays(part, values) for part, values in zip(space.spaces, batch, strict=True))
    if is_text(space):
        return np.array([text.encode() for text in batch], dtype=object)
    return np.asarray(batch, space.dtype)


def named_arrays(observation: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Returns the arrays of a nest and their names: "", or the keys on the way with / between."""
    if isinstance(observation, dict | tuple):
        for key, part in observation.items() if isinstance(observation, dict) else enumerate(observation):
            yield from named_arrays(part, f"{name}/{key}" if name else str(key))
    else:
        yield name, observation


def misfit(space: gym.Space, observation: Any, name: str = "") -> str | None:
    """Says in words why an observation does not fit the space: its parts, dtype or shape. Returns None if it fits.

    name: name of the part of a larger observation that this is; "" where it is no part.
    """
    whose = f"its part {name!r} " if name else ""
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        is_dict = isinstance(space, gym.spaces.Dict)
        if not isinstance(observation, Mapping if is_dict else tuple | list):
            return f"{whose}is a {type(observation).__name__}, not a {'dict' if is_dict else 'tuple'}"
        both: tuple[Any, Any] = (space.spaces, observation)
        wanted, given = (x if is_dict else dict(enumerate(x)) for x in both)
        if not set(wanted) <= set(given):  # Other parts are dropped.
            return f"{whose}has the parts {sorted(given, key=str)}, not {sorted(wanted, key=str)}"
        words = (misfit(wanted[key], given[key], f"{name}/{key}" if name else str(key)) for key in wanted)
        return next(filter(None, words), None)
    if is_text(space):
        return None if isinstance(observation, str) else f"{whose}is a {type(observation).__name__}, not a text"
    array = np.asarray(observation)
    assert space.dtype is not None, space  # It is a Box, Discrete, MultiDiscrete or MultiBinary.
    if array.dtype == object or not np.can_cast(array.dtype, space.dtype, "same_kind"):
        return f"{whose}has dtype {array.dtype}, not {space.dtype}"
    return None if array.shape == space.shape else f"{whose}has shape {array.shape}, not {space.shape}"


def is_frame(space: gym.Space) -> bool:
    """Returns whether a leaf is a picture: bytes in three axes, large enough for the network for frames.

    Smaller arrays are maps, whose bytes may count anything.
    """
    return space.dtype == np.uint8 and is_image(space, "shallow")


def is_normalised(space: gym.Space) -> bool:
    """Returns whether --normalise_observations applies to a leaf: to numbers, not to frames and bits."""
    return isinstance(space, gym.spaces.Box) and space.dtype != np.bool_ and not is_frame(space)


def has_mask(space: gym.Space) -> bool:
    """Returns whether an observation tells which actions are possible."""
    return isinstance(space, gym.spaces.Dict) and ACTION_MASK in space.spaces


def without_mask(space: gym.Space) -> gym.Space:
    """Returns the part of an observation space that the network gets."""
    if not isinstance(space, gym.spaces.Dict) or not has_mask(space):
        return space
    return gym.spaces.Dict({name: part for name, part in space.spaces.items() if name != ACTION_MASK})


def is_nested(space: gym.Space) -> bool:
    """Returns whether a batch of observations is not one array as a vector emits it."""
    return isinstance(space, gym.spaces.Dict | gym.spaces.Tuple) or is_text(space)


def is_image(space: gym.Space, network: str) -> bool:
    """Returns whether the convolutions of `network` take it: large enough, channels last or first."""
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 3:
        return False
    return min(space.shape[1:] if has_channels_first(space.shape) else space.shape[:2]) >= SMALLEST_IMAGE[network]


def has_channels_first(shape: Sequence[int]) -> bool:
    """Returns whether the first of three axes is the channels', the smallest one; of equal axes the last one is."""
    return shape[0] < min(shape[1:])


def network_for(network: str, space: gym.Space) -> str:
    """Returns the network that --network means for a leaf that is no text; what is no image gets the mlp.

    auto becomes the paper's shallow network, for small images MinAtar's; module:function stays as it is.
    """
    if ":" in network:
        return network
    candidates = ("shallow", "minatar") if network == "auto" else (network,)
    return next((name for name in candidates if name in SMALLEST_IMAGE and is_image(space, name)), "mlp")
