"""Which library steps the environments of an actor: gymnasium, ALE's vector or EnvPool."""

import dataclasses
import difflib
import functools
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from impala_tf import action_spaces, spaces
from impala_tf.config import Config, SettingError
from impala_tf.environments import atari, dmlab, suites
from impala_tf.environments.adapters import ActionRepeat, Ale, EnvPool, MaskedObservation
from impala_tf.environments.vector import PartialEnvironment, Task, VectorEnvironment

# Their threads step without Python's lock.
IN_THREADS = ("ale", "envpool")
# A step of CartPole's own vector takes as long as three single environments (docs/performance.md).
FEWEST_NATIVE = 4


class EnvironmentSpec(NamedTuple):
    """Spaces of one environment, what vectorization=auto has become, and the ids of the tasks.

    Several tasks have the same action space; smaller observations are filled up with zeros to the largest.
    """

    observation_space: Any
    action_space: Any
    vectorization: str
    tasks: tuple[str, ...]


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_vector_environment(
    config: Config, seed: int, actor: int, num_envs: int, render_mode: str | None = None
) -> VectorEnvironment:
    """The environments of one actor. Environment i is seeded by (seed, actor, i).

    With several tasks the actors take turns: actor 0 has task 0, actor 1 task 1, and so on, and from the first again.
    `spec_of` has checked the settings.
    """
    config, task = _task_of(config, actor)
    how = "sync" if render_mode else _vectorization(config)
    settings: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    seeds = _seeds(seed, actor, num_envs)
    return VectorEnvironment(_make_vector(config, how, num_envs, seeds, settings), seeds, task)


def _make_vector(config: Config, how: str, num_envs: int, seeds: list[int], settings: dict[str, Any]) -> Any:
    if how in IN_THREADS:
        return _make_in_threads(config, how, num_envs, num_envs, seeds)
    if how == "native":
        return gym.make_vec(_gym_spec(config), num_envs, "vector_entry_point", **settings)
    make = functools.partial(_make_one, config, settings)
    if how == "sync":
        return SyncVectorEnv([make] * num_envs)
    # "spawn" starts clean processes: forking one that runs TensorFlow's threads can hang.
    makers = [functools.partial(_in_process, make)] * num_envs
    # gymnasium reads texts in shared memory once only, when the vector is made.
    texts = any(spaces.is_text(part) for part in spaces.leaves(_known_spec(config).observation_space).values())
    return AsyncVectorEnv(makers, context="spawn", shared_memory=not texts)


def make_partial_environment(config: Config, seed: int, actor: int, num_envs: int) -> PartialEnvironment:
    """The same for --envs_per_step, handed out that many at a time."""
    config, task = _task_of(config, actor)
    env = _make_in_threads(
        config, _vectorization(config), num_envs, config.envs_per_step, _seeds(seed, actor, num_envs)
    )
    return PartialEnvironment(env, num_envs, config.envs_per_step, task)


def _task_of(config: Config, actor: int) -> tuple[Config, Task]:
    """The settings of an actor's environments and which task they are."""
    tasks = suites.tasks_of(config)
    index = actor % len(tasks)
    config_of_task = dataclasses.replace(config, env_id=tasks[index])
    spec = _known_spec(config_of_task)
    to_environment = action_spaces.to_environment(spec.action_space, config.action_bounds)
    shape = None
    if len(tasks) > 1:
        shape, action_space = _joint_spaces(config)
        if spec.action_space != action_space:
            to_environment = np.array(atari.WITHOUT_FIRE).__getitem__
    return config_of_task, Task(
        index, shape, to_environment, config.life_loss_ends_episode, discounting=config.discounting
    )


@functools.lru_cache(maxsize=64)  # Every actor asks.
def _known_spec(config: Config) -> EnvironmentSpec:
    return _spec_of_task(config)


@functools.lru_cache(maxsize=8)  # Every actor asks, and every task is looked at.
def _joint_spaces(config: Config) -> tuple[tuple[int, ...] | None, gym.Space]:
    spec = spec_of(config)
    return None if spaces.is_nested(spec.observation_space) else spec.observation_space.shape, spec.action_space


def _seeds(seed: int, actor: int, num_envs: int) -> list[int]:
    return [int(np.random.SeedSequence([seed, actor, i]).generate_state(1)[0]) for i in range(num_envs)]


def _make_in_threads(config: Config, how: str, num_envs: int, num_ready: int, seeds: list[int]) -> "Ale | EnvPool":
    return (_make_ale if how == "ale" else _make_envpool)(config, num_envs, num_ready, seeds)


def _make_one(config: Config, settings: dict) -> gym.Env:
    spec = _gym_spec(config)  # In a process of its own, the module of a module:id is not imported yet.
    if atari.is_ale(config):
        return atari.make_one(spec.id, config, settings)
    if dmlab.is_dmlab(config):
        return dmlab.make_one(spec.id, config, settings)
    with warnings.catch_warnings():
        if spec.id.startswith("MinAtar/"):  # gymnasium takes v0, all six actions, for an old form of v1, those in use.
            warnings.simplefilter("ignore")
        env = gym.make(spec.id, max_episode_steps=config.max_episode_frames or None, **settings)
    if _masks_actions(spec.id):
        env = MaskedObservation(env)
    return ActionRepeat(env, config.num_action_repeats) if config.num_action_repeats > 1 else env


@functools.lru_cache(maxsize=64)  # Asked for every environment.
def _masks_actions(spec_id: str) -> bool:
    """Whether the environment says in `info` which actions are possible; its own observation may say it already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gym.make(spec_id)
        space = env.observation_space
        masks = action_spaces.mask_size(env.action_space) > 0 and not spaces.has_mask(space)
        masks = masks and spaces.unsupported(space) is None and env.reset(seed=0)[1].get(spaces.ACTION_MASK) is not None
        env.close()
    return masks


def _in_process(make: Callable[[], gym.Env]) -> gym.Env:
    # Ctrl-C goes to every process of the terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return make()


def _make_ale(config: Config, num_envs: int, num_ready: int, seeds: list[int]) -> Ale:
    game = _gym_spec(config).kwargs["game"]
    return Ale(atari.make_ale(game, config, num_envs, num_ready, config.env_threads or cores()), seeds)


def _make_envpool(config: Config, num_envs: int, num_ready: int, seeds: list[int]) -> EnvPool:
    envpool, name, settings = _envpool(config)
    with warnings.catch_warnings():  # Of rounded bounds.
        warnings.simplefilter("ignore")
        env = envpool.make_gymnasium(
            name,
            num_envs=num_envs,
            batch_size=num_ready,
            num_threads=config.env_threads or cores(),
            env_seed=[seed >> 1 for seed in seeds],
            **settings,
        )
        _ = env.observation_space  # Made here and kept, so that later calls have nothing to warn of.
    return EnvPool(env, num_envs)


def _envpool(config: Config) -> tuple[Any, str, dict]:
    """The library, its name for the environment and the settings of that. Raises SettingError when it has none."""
    try:
        import envpool
    except ImportError:
        raise SettingError(
            "--vectorization=envpool: EnvPool is not installed: pip install 'impala_tf[envpool]'"
        ) from None
    name = config.env_id.removeprefix("ALE/")
    if name not in envpool.list_all_envs():
        raise SettingError(f"--env_id={config.env_id}: EnvPool has no such environment; see envpool.list_all_envs()")
    if atari.is_ale(config) and not atari.is_preprocessed(config):
        flag = "--atari_ram=true" if config.atari_ram else "--atari_preprocessing=false"
        raise SettingError(f"{flag}: EnvPool always preprocesses; use --vectorization=sync or async")
    if atari.is_ale(config):
        if config.noop_max < 1:  # EnvPool 1.2 crashes.
            raise SettingError(f"--noop_max={config.noop_max}: must be at least 1 with --vectorization=envpool")
        return envpool, name, atari.envpool_settings(config)
    if config.num_action_repeats > 1:
        raise SettingError(
            f"--num_action_repeats={config.num_action_repeats}: EnvPool repeats actions on Atari only; "
            "use --vectorization=sync or async"
        )
    if hasattr(_envpool_spec(envpool, config.env_id, name, {}).config, "full_action_space"):
        raise SettingError(f"--env_id={config.env_id}: a game of Atari; give --env_id=ALE/{name}")
    return envpool, name, {"max_episode_steps": config.max_episode_frames} if config.max_episode_frames else {}


def _envpool_spec(envpool: Any, env_id: str, name: str, settings: dict) -> Any:
    try:
        with warnings.catch_warnings():  # Of rounded bounds.
            warnings.simplefilter("ignore")
            spec = envpool.make_spec(name, **settings)
            _ = spec.gymnasium_observation_space
            return spec
    except Exception as error:
        raise SettingError(f"--env_id={env_id}: EnvPool could not make it: {_one_line(error)}") from error


def _vectorization(config: Config) -> str:
    """What --vectorization=auto means: the fastest that does what the single environment does.

    EnvPool is never taken unasked: its environments are its own, not those that gymnasium's id names.
    """
    if config.vectorization != "auto":
        return config.vectorization
    if atari.is_preprocessed(config):
        return "ale"
    if dmlab.is_dmlab(config):
        return "async"  # A step holds Python's lock.
    if config.num_envs_per_actor >= FEWEST_NATIVE and _offers_native(_gym_spec(config), config):
        return "native"
    return "sync"


def _offers_native(spec: gym.envs.registration.EnvSpec, config: Config) -> bool:
    """Whether the id has a vector form that does what its single form does, in the reset mode that we understand."""
    changed = config.num_action_repeats > 1 or config.max_episode_frames
    if spec.vector_entry_point is None or spec.additional_wrappers or changed:
        return False
    try:
        vector, single = gym.make_vec(spec, 1, "vector_entry_point"), gym.make(spec)
    except Exception:  # Its packages are not installed, or it wants settings of its own.
        return False
    fits = (
        vector.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
        and not _masks_actions(spec.id)
        and vector.single_observation_space == single.observation_space
        and vector.single_action_space == single.action_space
    )
    vector.close()
    single.close()
    return fits


def spec_of(config: Config) -> EnvironmentSpec:
    """Looks at the environments' spaces. Raises SettingError when an id, a space or a back end cannot be used."""
    tasks = suites.tasks_of(config)
    specs = [_spec_of_task(dataclasses.replace(config, env_id=task)) for task in tasks]
    spec = _joint_spec(config, specs)._replace(tasks=tasks) if len(tasks) > 1 else specs[0]
    _check_network(config, spec.observation_space)
    _check_statistics(config, spec.observation_space)
    return spec


def _check_statistics(config: Config, observation_space: gym.Space) -> None:
    """Raises SettingError for settings that would do nothing."""
    parts = list(spaces.leaves(spaces.without_mask(observation_space)).values())
    numbers = any(spaces.is_normalised(part) for part in parts)
    frames = any(part.dtype == np.uint8 and spaces.network_for(config, part) in spaces.SMALLEST_IMAGE for part in parts)
    texts = any(spaces.is_text(part) for part in parts)
    for flag, wrong, why in (
        ("normalise_observations", config.normalise_observations and not numbers, "has no numbers but bytes and bits"),
        ("centre_frames", config.centre_frames and not frames, "has no frames of bytes that convolutions see"),
        ("xla", config.xla == "on" and texts, "has texts, which XLA cannot compile"),
    ):
        if wrong:
            value = str(getattr(config, flag)).lower()
            raise SettingError(f"--{flag}={value}: {config.env_id} {why}; leave it out")


def for_evaluation(config: Config) -> Config:
    """The settings to evaluate in: whole games, which end at 108,000 frames, where the id has no limit of its own.

    Else an agent that repeats itself could play without an end.
    """
    has_own = ("ALE/", *dmlab.NAMESPACES)
    limited = all(task.startswith(has_own) or _has_limit(config, task) for task in suites.tasks_of(config))
    limit = 0 if limited or config.vectorization == "envpool" else atari.MAX_FRAMES
    if limit and config.vectorization == "native":  # It takes no limit.
        config = dataclasses.replace(config, vectorization="auto")
    return dataclasses.replace(
        config, life_loss_ends_episode=False, max_episode_frames=config.max_episode_frames or limit
    )


def _has_limit(config: Config, task: str) -> bool:
    return _gym_spec(dataclasses.replace(config, env_id=task)).max_episode_steps is not None


def spec_for_training(config: Config) -> EnvironmentSpec:
    """As `spec_of`; raises SettingError too when a task would get no actor or is for testing only."""
    dmlab.check_training(config)
    spec = spec_of(config)
    if config.num_actors < len(spec.tasks):
        raise SettingError(
            f"--num_actors={config.num_actors}: must be at least {len(spec.tasks)}, one for each task of "
            f"--env_id={config.env_id}"
        )
    return spec


def _joint_spec(config: Config, specs: list[EnvironmentSpec]) -> EnvironmentSpec:
    """The largest observation and, of ALE's games with the full action set, the most actions."""

    def num_actions(spec: EnvironmentSpec) -> int:
        return int(spec.action_space.n) if isinstance(spec.action_space, gym.spaces.Discrete) else 0

    first = max(specs, key=num_actions)
    for spec in specs:
        what = f"--env_id={config.env_id}: {spec.tasks[0]} and {first.tasks[0]} do not go together"
        are_ale = all(task.startswith("ALE/") for task in (*spec.tasks, *first.tasks))
        lacks_fire = are_ale and config.full_action_set and num_actions(spec) == max(atari.WITHOUT_FIRE) + 1
        if spec.action_space != first.action_space and not lacks_fire:
            advice = "; give --full_action_set" if are_ale else ""
            raise SettingError(
                f"{what}: actions {_one_line(spec.action_space)} and {_one_line(first.action_space)}{advice}"
            )
        seen = (spec.observation_space, first.observation_space)
        are_boxes = all(isinstance(space, gym.spaces.Box) for space in seen)
        fit = are_boxes and seen[0].dtype == seen[1].dtype and len(seen[0].shape) == len(seen[1].shape)
        if seen[0] != seen[1] and not fit:
            raise SettingError(f"{what}: observations {_one_line(seen[0])} and {_one_line(seen[1])}")
    space = first.observation_space
    if any(spec.observation_space != space for spec in specs):
        space = _largest_box([spec.observation_space for spec in specs])
    how = first.vectorization if len({spec.vectorization for spec in specs}) == 1 else "sync"
    return EnvironmentSpec(space, first.action_space, how, ())


def _largest_box(boxes: list[gym.spaces.Box]) -> gym.spaces.Box:
    """The Box that all fit into when they are filled up with zeros."""
    shape = np.max([box.shape for box in boxes], axis=0)
    low = min(0.0, *(float(box.low.min()) for box in boxes))
    high = max(0.0, *(float(box.high.max()) for box in boxes))
    return gym.spaces.Box(low, high, tuple(int(size) for size in shape), boxes[0].dtype.type)


def _spec_of_task(config: Config) -> EnvironmentSpec:
    _check_backend(config)
    vectorization = _vectorization(config)
    for name in ("envs_per_step", "env_threads"):
        if getattr(config, name) and vectorization not in IN_THREADS:
            raise SettingError(
                f"--{name}={getattr(config, name)}: works with --vectorization=ale or envpool; "
                f"{config.env_id} is stepped by {vectorization}"
            )
    observation_space, action_space = _look(config)
    part = spaces.unsupported(observation_space)
    if part is not None:
        raise SettingError(
            f"--env_id={config.env_id}: {'a part of ' if part is not observation_space else ''}its observation space "
            f"{_one_line(part)} is not supported; supported: {', '.join(spaces.SUPPORTED)}"
        )
    try:
        action_spaces.check(action_space)
    except NotImplementedError as error:
        raise SettingError(f"--env_id={config.env_id}: its {error}") from None
    _check_mask(config, observation_space, action_space)
    return EnvironmentSpec(observation_space, action_space, vectorization, (config.env_id,))


def _check_network(config: Config, observation_space: gym.Space) -> None:
    if ":" in config.network:
        spaces.own_function(config.network)
    smallest = spaces.SMALLEST_IMAGE.get(config.network)
    parts = [part for part in spaces.leaves(observation_space).values() if not spaces.is_text(part)]
    if smallest is None or any(spaces.is_image(part, config.network) for part in parts):
        return
    best = next((name for name in ("shallow", "minatar") if any(spaces.is_image(p, name) for p in parts)), "mlp")
    raise SettingError(
        f"--network={config.network}: needs an observation of shape [height, width, channels] with at least "
        f"{smallest}x{smallest} pixels, but {config.env_id} has {_one_line(observation_space)}; use --network={best}"
    )


def _check_mask(config: Config, observation_space: gym.Space, action_space: gym.Space) -> None:
    if not isinstance(observation_space, gym.spaces.Dict) or not spaces.has_mask(observation_space):
        return
    has = np.size(spaces.zeros(observation_space[spaces.ACTION_MASK]))
    wanted = action_spaces.mask_size(action_space)
    if has != wanted:
        raise SettingError(
            f"--env_id={config.env_id}: its action_mask has {has} entries, but {_one_line(action_space)} needs {wanted}"
        )


def _check_backend(config: Config) -> None:
    atari.check(config)
    dmlab.check(config)
    how = config.vectorization
    if how == "envpool":
        _envpool(config)
        return
    spec = _gym_spec(config)
    if how == "ale" and not atari.is_preprocessed(config):
        raise SettingError(
            f"--vectorization=ale: needs an ALE id, such as ALE/Pong-v5, and --atari_preprocessing; "
            f"given: {config.env_id}"
        )
    if how == "native" and (atari.is_ale(config) or not _offers_native(spec, config)):
        raise SettingError(
            f"--vectorization=native: {config.env_id} has no vector form of its own"
            f"{' that repeats actions' if config.num_action_repeats > 1 else ''}"
            f"{' that takes --max_episode_frames' if config.max_episode_frames else ''}; use auto, sync or async"
        )


def _look(config: Config) -> tuple[Any, Any]:
    if config.vectorization == "envpool":
        envpool, name, settings = _envpool(config)
        spec = _envpool_spec(envpool, config.env_id, name, settings)
        return spec.gymnasium_observation_space, spec.gymnasium_action_space
    if _vectorization(config) == "ale":
        vector = _make_ale(config, 1, 1, [0])
        vector.close()
        return vector.spaces
    try:
        env = _make_one(config, {})
    except SettingError:
        raise
    except Exception as error:
        raise SettingError(f"--env_id={config.env_id}: gymnasium could not make it: {_one_line(error)}") from error
    found = env.observation_space, env.action_space
    env.close()
    return found


def _gym_spec(config: Config) -> gym.envs.registration.EnvSpec:
    env_id = config.env_id
    try:
        if env_id.startswith("ALE/"):
            atari.register(env_id)
        if env_id.startswith("MinAtar/"):
            _register_minatar(env_id)
        if env_id.startswith(("MiniGrid-", "BabyAI-")) and env_id not in gym.registry:
            _register_minigrid(env_id)
        # gym.spec alone would not import the module of a "module:id".
        module, _, name = env_id.rpartition(":")
        if module:
            __import__(module)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        names = sorted(gym.registry)
        close = difflib.get_close_matches(env_id, names, n=3, cutoff=0.6)
        lowered = {name.lower(): name for name in names}
        close = close or suites.similar(env_id)
        close = close or [lowered[name] for name in difflib.get_close_matches(env_id.lower(), lowered, n=3, cutoff=0.4)]
        hint = f"did you mean {' or '.join(close)}?" if close else "see gymnasium.pprint_registry()"
        raise SettingError(f"--env_id={env_id}: unknown environment ({_one_line(error)}); {hint}") from error


def _register_minigrid(env_id: str) -> None:
    try:
        import minigrid  # noqa: F401 (registers them)
    except ImportError:
        raise SettingError(f"--env_id={env_id}: MiniGrid is not installed: pip install 'impala_tf[minigrid]'") from None


def _register_minatar(env_id: str) -> None:
    try:
        import minatar.gym
    except ImportError:
        raise SettingError(f"--env_id={env_id}: MinAtar is not installed: pip install 'impala_tf[minatar]'") from None
    if "MinAtar/Breakout-v0" not in gym.registry:
        minatar.gym.register_envs()


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
