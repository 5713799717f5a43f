"""Evaluates exports: checks what was given, plays, prints, writes JSON and pictures."""

import dataclasses
import json
import os
import pathlib
import re
from typing import Any, NamedTuple

from impala_tf.config import Config, SettingError
from impala_tf.evaluation import playing, video
from impala_tf.support.startup import import_tensorflow


class Protocol(NamedTuple):
    """How to evaluate. settings: of `Config`, instead of those of the training."""

    num_episodes: int
    settings: dict[str, Any]


PROTOCOLS = {
    "training": Protocol(100, {}),
    # Section 5.3.2: 200 episodes after up to 30 no-ops, no sticky actions; 30 minutes at most.
    "paper": Protocol(200, dict(noop_max=30, sticky_actions=0.0, max_episode_frames=108_000)),
    # Machado et al. 2018: sticky actions instead of no-ops, all actions, 5 minutes at most.
    "machado": Protocol(
        100, dict(noop_max=0, sticky_actions=0.25, full_action_set=True, max_episode_frames=18_000)
    ),
}  # fmt: skip


class Options(NamedTuple):
    """What the flags say. num_episodes: None is the protocol's. env_id: empty is what the agent was trained on."""

    num_episodes: int | None = None
    seed: int = 1
    env_id: str = ""
    greedy: bool = False
    protocol: str = "training"

    @property
    def actions(self) -> str:
        return "greedy" if self.greedy else "sampled"


def run(
    saved_models: list[pathlib.Path],
    options: Options,
    *,
    video_path: pathlib.Path | None = None,
    output: pathlib.Path | None = None,
    picture: pathlib.Path | None = None,
    flag: str = "saved_model",
) -> None:
    """Loads, plays, prints, writes JSON. Raises SettingError for what a user can get wrong.

    flag: which the directories were given by, for the message.
    """
    from impala_tf import environments

    saved_models = [path.resolve() for path in saved_models]
    output = output or _default_output(saved_models, options)
    _check_files(output, picture, video_path, several=len(saved_models) > 1)
    configs = _check(saved_models, options, flag)
    if len(saved_models) > 1:
        _check_together(configs, options)
    if video_path and configs[0].vectorization == "envpool":
        raise SettingError(f"--video={video_path}: EnvPool's environments cannot be drawn")
    specs = [environments.spec_of(config) for config in configs]
    if video_path:
        video.check_drawable(video_path, configs[0], _task_indices(configs[0], options)[0])
    import_tensorflow()
    from impala_tf.evaluation.export import ExportedAgent

    agents = [ExportedAgent(path) for path in saved_models]
    for agent, config, spec in zip(agents, configs, specs, strict=True):
        agent.check_fits(spec, config.env_id)

    results = []
    for path, agent, config in zip(saved_models, agents, configs, strict=True):
        results.append(evaluate_agent(agent, config, options, path))
        _print_result(results[-1], options)
    together = _together(results, options) if len(results) > 1 else None
    content = results[0] if together is None else together | dict(models=results)
    output.write_text(json.dumps(content, indent=2) + "\n")
    print(f"written to {output}")
    if picture:
        from impala_tf.evaluation import aggregate

        estimates = together["aggregate"] if together else None
        aggregate.draw(results, estimates, together["score"] if together else "mean", picture)
        print(f"drawn to {picture}")
    if video_path:
        task = _task_indices(configs[0], options)[0]
        video.record(agents[0], configs[0], task, options.seed, options.greedy, video_path)
        print(f"one episode as a video: {video_path}")


def evaluate_agent(agent: playing.Player, config: Config, options: Options, path: pathlib.Path) -> dict[str, Any]:
    """One export on its tasks. With one task its statistics also stand at the top of the result."""
    from impala_tf import environments
    from impala_tf.environments import suites

    num_episodes = options.num_episodes or PROTOCOLS[options.protocol].num_episodes
    num_envs = min(playing.NUM_ENVIRONMENTS, num_episodes)
    names = suites.tasks_of(config)
    tasks: dict[str, dict] = {}
    for index in _task_indices(config, options):
        environment = environments.make_vector_environment(config, options.seed, index, num_envs, whole_games=True)
        result = playing.report(
            playing.play(agent, environment, num_episodes, options.greedy, options.seed), options.seed
        )
        environment.close()
        normalised = suites.normalised(names[index], result["mean"])
        tasks[names[index]] = result | (dict(normalised=normalised) if normalised == normalised else {})
    result = dict(
        env_id=options.env_id or config.env_id,
        saved_model=str(path),
        protocol=options.protocol,
        greedy=options.greedy,
        seed=options.seed,
    )
    if len(tasks) == 1:
        result |= next(iter(tasks.values()))
    else:
        scores = {task: x["mean"] for task, x in tasks.items()}
        result |= {f"normalised_{name}": x for name, x in suites.summarise(scores)._asdict().items() if x == x}
    return result | dict(tasks=tasks)


def _task_indices(config: Config, options: Options) -> list[int]:
    """All that the agent was trained on, or the one that --env_id names."""
    from impala_tf.environments import suites

    tasks = suites.tasks_of(config)
    return [tasks.index(options.env_id)] if options.env_id in tasks else list(range(len(tasks)))


def _check_together(configs: list[Config], options: Options) -> None:
    """Raises SettingError when the exports' results could not be taken together, before anything is played."""
    from impala_tf.environments import suites
    from impala_tf.evaluation import aggregate

    chosen = [[suites.tasks_of(config)[index] for index in _task_indices(config, options)] for config in configs]
    aggregate.matrix([dict(tasks={task: dict(mean=0.0) for task in tasks}) for tasks in chosen], "mean")


def _together(results: list[dict], options: Options) -> dict[str, Any]:
    """Prints and returns the aggregate of several exports: of their normalised scores, where all tasks have one."""
    from impala_tf.evaluation import aggregate

    tasks = [of_task for result in results for of_task in result["tasks"].values()]
    score = "normalised" if all("normalised" in of_task for of_task in tasks) else "mean"
    estimates = aggregate.aggregate(aggregate.matrix(results, score), options.seed)
    what = "normalised scores" if score == "normalised" else "returns"
    print(f"together, of the {what}:")
    for name, x in estimates.items():
        low_high = x["interval_95"]
        interval = f", 95 % interval [{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else " (one run: no interval)"
        print(f"  {name} {x['estimate']:.3f}{interval}")
    return dict(score=score, aggregate=estimates)


def _print_result(result: dict, options: Options) -> None:
    for task, x in result["tasks"].items():
        normalised = f", normalised {x['normalised']:.3f}" if "normalised" in x else ""
        print(
            f"{task}, {options.actions} actions, protocol {options.protocol}, {x['num_episodes']} episodes\n"
            f"return: mean {x['mean']:.2f}, standard error {x['standard_error']:.2f}, "
            f"95 % interval [{x['interval_95'][0]:.2f}, {x['interval_95'][1]:.2f}], "
            f"min {x['min']:g}, max {x['max']:g}{normalised}\n"
            f"length: mean {x['length_mean']:.1f}, min {x['length_min']}, max {x['length_max']} steps"
        )
    if "normalised_mean" in result:
        print(
            f"{len(result['tasks'])} tasks, normalised: mean {result['normalised_mean']:.3f}, "
            f"median {result['normalised_median']:.3f}, mean of scores capped at 1 "
            f"{result['normalised_mean_capped']:.3f}"
        )


def _default_output(saved_models: list[pathlib.Path], options: Options) -> pathlib.Path:
    suffix = options.actions + ("" if options.protocol == "training" else f"_{options.protocol}")
    suffix += re.sub(r"\W+", "_", f"_{options.env_id}") if options.env_id else ""
    if len(saved_models) == 1:
        return saved_models[0].with_name(f"{saved_models[0].name}_{suffix}.json")
    return pathlib.Path(os.path.commonpath([path.parent for path in saved_models])) / f"evaluation_{suffix}.json"


def _check(saved_models: list[pathlib.Path], options: Options, flag: str) -> list[Config]:
    """The settings to evaluate each export in."""
    from impala_tf.records.logdir import check_export

    if options.num_episodes is not None and options.num_episodes < 1:
        raise SettingError(f"--num_episodes={options.num_episodes}: must be at least 1")
    if options.protocol not in PROTOCOLS:
        raise SettingError(f"--protocol={options.protocol}: must be one of {', '.join(PROTOCOLS)}")
    for path in saved_models:
        check_export(path, flag)
    return [environment_of(path, options.env_id, options.protocol) for path in saved_models]


def _check_files(
    output: pathlib.Path, picture: pathlib.Path | None, video_path: pathlib.Path | None, several: bool
) -> None:
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise SettingError(f"--output={output}: must be a file in a directory that can be written")
    if picture and (picture.suffix not in (".png", ".svg", ".pdf") or not picture.parent.is_dir()):
        raise SettingError(f"--picture={picture}: must be a .png, .svg or .pdf file in a directory that exists")
    if video_path:
        video.check(video_path)
        if several:
            raise SettingError(f"--video={video_path}: give one --saved_model with it")
    if several or picture:
        from impala_tf.evaluation import aggregate

        aggregate.check_installed(several, picture is not None)


def environment_of(saved_model: pathlib.Path, env_id: str, protocol: str = "training") -> Config:
    """The settings to evaluate in: those of the training, changed by the protocol.

    env_id: another environment; the back end is chosen anew then. One of the tasks of the training changes nothing.
    """
    from impala_tf.environments import atari, suites
    from impala_tf.records.logdir import INFO_FILE

    try:
        settings = json.loads((saved_model / INFO_FILE).read_text())["environment"]
        config = Config(**settings)
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"--saved_model={saved_model}: cannot be loaded ({INFO_FILE}: {error})") from None
    if env_id and env_id not in suites.tasks_of(config):
        config = dataclasses.replace(config, env_id=env_id, vectorization="auto")
    if protocol != "training" and not all(task.startswith("ALE/") for task in suites.tasks_of(config)):
        raise SettingError(f"--protocol={protocol}: is for ALE ids; the agent plays {config.env_id}")
    changes = PROTOCOLS[protocol].settings
    if config.atari_ram or not config.atari_preprocessing:
        changes = {name: value for name, value in changes.items() if name not in atari.PREPROCESSING}
    if changes and config.vectorization == "envpool":  # ALE's vector does the same and knows all these settings.
        config = dataclasses.replace(config, vectorization="auto")
    if changes.get("full_action_set") and not config.full_action_set:
        raise SettingError(f"--protocol={protocol}: needs an agent that was trained with --full_action_set")
    return dataclasses.replace(config, **changes)
