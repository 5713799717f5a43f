"""A setting has a default, a help text, a source, and a rule for which values are right."""

import dataclasses
import math
import numbers
import os
from typing import Any, NamedTuple

PAPER = "Espeholt et al. 2018"
CODE = "google-deepmind/scalable_agent"
IMPACT = "Luo et al. 2020"
PPO = "Schulman et al. 2017"
OWN = "module:function"  # This choice stands for any module:function of the user's.

# A setting may have these roles.
COMMON = "common"  # Many people use it, so --help shows it; --helpfull shows all.
NETWORK = "network"  # A checkpoint fits only settings with the same value.
ENVIRONMENT = "environment"  # It defines the environment, so it is exported with the agent.

LONGEST_VALUE = 60  # A message shows at most so many characters of a value.


class SettingError(ValueError):
    """A setting is wrong. The message is one line, which names the flag, what was given and what would be right."""


class Bounds(NamedTuple):
    """A number must be >= low, > above and <= high, and finite unless `infinite`."""

    low: float | None = None
    above: float | None = None
    high: float | None = None
    infinite: bool = False


UNBOUNDED = Bounds()


def at_least(low: float, infinite: bool = False) -> Bounds:
    """Allows numbers >= low."""
    return Bounds(low=low, infinite=infinite)


def above(limit: float) -> Bounds:
    """Allows numbers > limit."""
    return Bounds(above=limit)


def between(low: float, high: float) -> Bounds:
    """Allows numbers >= low and <= high."""
    return Bounds(low=low, high=high)


def setting(
    default: Any,
    help: str,
    unit: str = "",
    source: str = "",
    bounds: Bounds = UNBOUNDED,
    choices: tuple[str, ...] = (),
    roles: tuple[str, ...] = (),
) -> Any:
    """Makes a field of a settings class.

    default: the value in `flags/cartpole.flags`; its type is the setting's type.
    help, unit, source: text for --help. The help's first sentence is all that --help shows.
    bounds: limits of a number.
    choices: the allowed strings.
    roles: any of COMMON, NETWORK and ENVIRONMENT.
    """
    assert set(roles) <= {COMMON, NETWORK, ENVIRONMENT}, roles
    metadata = dict(help=help, unit=unit, source=source, bounds=bounds, choices=choices, roles=roles)
    return dataclasses.field(default=default, metadata=metadata)


def as_text(value: Any) -> str:
    """Writes a value as it stands behind the = of a flag."""
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def checked(field: dataclasses.Field, value: Any) -> Any:
    """Returns the value in the setting's own type.

    Numbers of numpy become Python's, whole numbers become floats where the setting is one, a list becomes a tuple, and
    a path becomes text, so that a flag file that is written and read again gives the same value.

    Raises SettingError when the type is wrong or the value is out of bounds.
    """
    value = _TYPES[type(field.default)](field.name, value)
    if isinstance(value, tuple):
        if not value or min(value) < 1:
            raise SettingError(f"--{field.name}={as_text(value)}: give one or more sizes of at least 1")
    elif isinstance(value, str):
        _check_choice(field, value)
    elif not isinstance(value, bool):
        _check_bounds(field.name, value, field.metadata["bounds"])
    return value


def is_value(field: dataclasses.Field, text: str) -> bool:
    """Returns whether the text is what `as_text` makes of a value that the setting may have."""
    readers = {
        bool: lambda text: {"true": True, "false": False}[text],
        tuple: lambda text: tuple(map(int, text.split(","))),
    }
    kind = type(field.default)
    try:
        checked(field, readers.get(kind, kind)(text))
    except (ValueError, KeyError):
        return False
    return True


def _wrong_type(name: str, value: Any, right: str) -> SettingError:
    text = " ".join(repr(value).split())
    text = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
    return SettingError(f"--{name}={text}: must be {right}")


def _as_bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(name, value, "true or false")
    return value


def _as_int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _wrong_type(name, value, "a whole number")
    return int(value)


def _as_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _wrong_type(name, value, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _wrong_type(name, value, "a number below 1e308") from None


def _as_str(name: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise _wrong_type(name, value, "text")
    return text


def _as_ints(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong_type(name, value, "whole numbers, such as (64, 64)")
    return tuple(_as_int(name, item) for item in value)


_TYPES = {bool: _as_bool, int: _as_int, float: _as_float, str: _as_str, tuple: _as_ints}


def _check_choice(field: dataclasses.Field, value: str) -> None:
    choices = field.metadata["choices"]
    is_own = OWN in choices and ":" in value
    if choices and value not in choices and not is_own:
        raise SettingError(f"--{field.name}={value}: must be one of {', '.join(choices)}")


def _check_bounds(name: str, value: float, bounds: Bounds) -> None:
    wanted = []  # NaN fails, because no comparison with it holds.
    if bounds.low is not None:
        wanted.append((value >= bounds.low, f"at least {bounds.low}"))
    if bounds.above is not None:
        wanted.append((value > bounds.above, f"above {bounds.above}"))
    if bounds.high is not None:
        wanted.append((value <= bounds.high, f"at most {bounds.high}"))
    if math.isinf(value) and not bounds.infinite:
        wanted.append((False, "finite"))
    if not all(holds for holds, _ in wanted):
        raise SettingError(f"--{name}={value}: must be " + " and ".join(text for _, text in wanted))
