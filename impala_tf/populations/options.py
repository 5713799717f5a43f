"""Has the options of a population, and checks them against the settings of its members."""

import dataclasses
import math
from typing import Any, NamedTuple

from impala_tf.config import Config, SettingError, fields
from impala_tf.environments.reference_scores import REFERENCES
from impala_tf.environments.suites import tasks_of
from impala_tf.populations.ranges import Range
from impala_tf.settings.setting import NETWORK

SCHEDULERS = ("population", "asha", "random")
SCORES = ("auto", "capped", "return")
PAPER_BURN_IN_FRAMES = 20_000_000  # Appendix F.
# Settings of a single run that a population does without.
_NOT_HERE = ("evaluate_every_frames", "profile", "init_from")


class Options(NamedTuple):
    """A population has these options; `population.py` explains each as a flag.

    ranges: parsed --vary.
    burn_in_frames, interval_frames: frames of a member; 0 leaves the choice to `completed`.
    score: one of `SCORES`; `completed` replaces auto.
    """

    population: int
    scheduler: str
    ranges: tuple[Range, ...]
    burn_in_frames: int = 0
    interval_frames: int = 0
    interval_episodes: int = 5000
    score: str = "auto"
    margin: float = 0.05
    cpus_per_member: float = 1.0
    gpus_per_member: float = 0.0


def completed(options: Options, config: Config) -> Options:
    """Returns the options with every choice made.

    Raises SettingError when they contradict the settings of the members.
    """
    budget = config.total_environment_frames
    for name in _NOT_HERE:
        if getattr(config, name):
            raise SettingError(f"--{name}={getattr(config, name)}: is for a single run; leave it out")
    if config.actor_backend != "threads":
        raise SettingError(
            f"--actor_backend={config.actor_backend}: a member has its actors in its own process; leave it out"
        )
    if options.scheduler == "population" and options.population < 2:
        raise SettingError(f"--population={options.population}: members compare with others; give at least 2")
    for item in options.ranges:
        _check_range(item, options, config)
    has_references = set(tasks_of(config)) <= set(REFERENCES)
    if options.score == "capped" and not has_references:
        raise SettingError(f"--score=capped: {config.env_id} has no reference scores; give --score=return")
    return options._replace(
        burn_in_frames=options.burn_in_frames or min(PAPER_BURN_IN_FRAMES, math.ceil(budget / 10)),
        interval_frames=options.interval_frames or math.ceil(budget / 20),
        score=options.score if options.score != "auto" else "capped" if has_references else "return",
    )


def _check_range(item: Range, options: Options, config: Config) -> None:
    """Raises SettingError when a setting cannot be varied so."""
    known = {field.name: field for field in fields()}
    if item.name not in known:
        raise SettingError(f"--vary={item.text()}: there is no setting {item.name}; --helpfull shows all")
    field = known[item.name]
    if type(field.default) is not float:
        raise SettingError(f"--vary={item.text()}: must be a setting that is a number with a fraction")
    if options.scheduler == "population" and NETWORK in field.metadata["roles"]:
        raise SettingError(f"--vary={item.text()}: weights fit only networks with the same {item.name}; leave it out")
    for controller, controlled in (("target_entropy", "entropy_cost"), ("kl_target", "kl_cost")):
        if item.name == controlled and getattr(config, controller) != known[controller].default:
            raise SettingError(f"--vary={item.text()}: --{controller} sets {controlled}; leave one of them out")
    for value in item.choices or (item.low, item.high):
        try:
            with_values(config, {item.name: value})
        except SettingError as error:
            raise SettingError(f"--vary={item.text()}: {error}") from None


def with_values(config: Config, hyperparameters: dict[str, Any]) -> Config:
    """Returns the settings with these hyperparameters. Raises SettingError when they are not allowed."""
    return dataclasses.replace(config, **hyperparameters)


def within_settings(config: Config, hyperparameters: dict[str, float], old: dict[str, float]) -> dict[str, float]:
    """Returns the hyperparameters, but the old value of each that the settings do not allow."""
    allowed = dict(old)
    for name, value in hyperparameters.items():
        try:
            with_values(config, allowed | {name: value})
        except SettingError:
            continue
        allowed[name] = value
    return allowed
