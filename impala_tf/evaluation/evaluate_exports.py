"""Evaluates exports: checks the options, plays, prints, writes JSON and pictures."""

import os
import pathlib
import re
import signal
import sys
from typing import Any, NamedTuple

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.environments import suites
from impala_tf.evaluation import aggregate, playing, reports, video
from impala_tf.evaluation.protocols import PROTOCOLS, evaluation_config, tasks_to_play
from impala_tf.records.exports import check_export, unchecked
from impala_tf.support import signals
from impala_tf.support.messages import warn
from impala_tf.support.startup import import_tensorflow


class Options(NamedTuple):
    """These options say what is played.

    num_episodes: number of episodes of each task; None means the protocol's number.
    env_id: id of the environment; empty means all on which the agent was trained.
    trusted_modules: modules that may be imported to make the environment, besides those in `env_id`.
    """

    num_episodes: int | None = None
    seed: int = 1
    env_id: str = ""
    greedy: bool = False
    protocol: str = "training"
    trusted_modules: frozenset[str] = frozenset()


class Files(NamedTuple):
    """These files are written.

    output: path of the JSON file; None means a file beside the exports.
    picture, video: paths of these files; None means that there is none.
    """

    output: pathlib.Path | None = None
    picture: pathlib.Path | None = None
    video: pathlib.Path | None = None


def evaluate(
    saved_models: list[pathlib.Path], options: Options, files: Files | None = None, flag: str = "saved_model"
) -> None:
    """Evaluates the exports. Raises SettingError for what a user can get wrong.

    flag: name of the flag that gave the directories, for messages.
    """
    files = files or Files()
    saved_models = [path.resolve() for path in saved_models]
    output = files.output or _default_output(saved_models, options)
    _check_files(output, files, several=len(saved_models) > 1)
    _check_options(options)
    infos = [check_export(path, flag) for path in saved_models]
    configs = [
        evaluation_config(path, options.env_id, options.protocol, options.trusted_modules) for path in saved_models
    ]
    if len(saved_models) > 1:
        _check_can_be_aggregated(configs, options)
    specs = [environments.spec_of(config) for config in configs]
    if files.video:
        _check_can_be_drawn(files.video, configs[0], options)
    import_tensorflow()
    from impala_tf.evaluation.export import ExportedAgent

    agents = [ExportedAgent(path) for path in saved_models]
    for agent, config, spec in zip(agents, configs, specs, strict=True):
        agent.check_fits(spec, config.env_id)
    for path, info in zip(saved_models, infos, strict=True):
        for line in unchecked(path, info, flag):
            warn(line)

    results = []
    with signals.requests("stopping; the episodes so far follow") as request:
        for path, agent, config in zip(saved_models, agents, configs, strict=True):
            results.append(evaluate_agent(agent, config, options, path, request))
            reports.print_result(results[-1])
            if request.made:
                ended = any(result["tasks"] for result in results)
                what = "short episodes end first, so means of those so far lean to them" if ended else "none has ended"
                warn(f"stopped early: {what}; {output} was not written")
                sys.exit(128 + signal.SIGINT)
    aggregated = reports.aggregate_results(results, options.seed) if len(results) > 1 else None
    if aggregated:
        reports.print_aggregate(aggregated)
    reports.write_json(aggregated | dict(models=results) if aggregated else results[0], output)
    if files.picture:
        aggregate.draw(results, aggregated, files.picture)
        print(f"drawn to {files.picture}")
    if files.video:
        task = tasks_to_play(configs[0], options.env_id)[0]
        video.record(agents[0], configs[0], task, options.seed, options.greedy, files.video)
        print(f"one episode as a video: {files.video}")


def evaluate_agent(
    agent: playing.Player,
    config: Config,
    options: Options,
    path: pathlib.Path,
    request: signals.Request = playing.NEVER,
) -> dict[str, Any]:
    """Plays one export on its tasks, and returns its `reports.result_of`.

    request: request to stop; tasks of which no episode has ended by then are left out.
    """
    num_episodes = options.num_episodes or PROTOCOLS[options.protocol].num_episodes
    num_envs = min(playing.NUM_ENVIRONMENTS, num_episodes)
    names = suites.tasks_of(config)
    tasks: dict[str, dict] = {}
    for index in tasks_to_play(config, options.env_id):
        environment = environments.make_vector_environment(config, options.seed, index, num_envs, whole_games=True)
        episodes = playing.play(agent, environment, num_episodes, options.greedy, options.seed, request=request)
        environment.close()
        if len(episodes.returns):
            tasks[names[index]] = playing.episode_statistics(episodes, options.seed)
        if request.made:
            break
    description = dict(
        env_id=options.env_id or config.env_id,
        saved_model=str(path),
        protocol=options.protocol,
        greedy=options.greedy,
        seed=options.seed,
    )
    return reports.result_of(description, tasks)


def _check_options(options: Options) -> None:
    if options.num_episodes is not None and options.num_episodes < 1:
        raise SettingError(f"--num_episodes={options.num_episodes}: must be at least 1")
    if options.protocol not in PROTOCOLS:
        raise SettingError(f"--protocol={options.protocol}: must be one of {', '.join(PROTOCOLS)}")


def _check_files(output: pathlib.Path, files: Files, several: bool) -> None:
    picture = files.picture
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise SettingError(f"--output={output}: must be a file in a directory that can be written")
    if picture and (picture.suffix not in (".png", ".svg", ".pdf") or not picture.parent.is_dir()):
        raise SettingError(f"--picture={picture}: must be a .png, .svg or .pdf file in a directory that exists")
    if files.video:
        video.check(files.video)
        if several:
            raise SettingError(f"--video={files.video}: give one --saved_model with it")
    aggregate.check_installed(several, picture is not None)


def _check_can_be_aggregated(configs: list[Config], options: Options) -> None:
    """Raises SettingError when the exports do not all have the same number of runs of each task."""
    chosen = [[suites.tasks_of(config)[index] for index in tasks_to_play(config, options.env_id)] for config in configs]
    aggregate.matrix([dict(tasks={task: dict(mean=0.0) for task in tasks}) for tasks in chosen], "mean")


def _check_can_be_drawn(path: pathlib.Path, config: Config, options: Options) -> None:
    if config.vectorization == "envpool":
        raise SettingError(f"--video={path}: EnvPool's environments cannot be drawn")
    video.check_drawable(path, config, tasks_to_play(config, options.env_id)[0])


def _default_output(saved_models: list[pathlib.Path], options: Options) -> pathlib.Path:
    """Returns a name for each way to evaluate, so that results do not replace each other."""
    suffix = "greedy" if options.greedy else "sampled"
    if options.protocol != "training":
        suffix += f"_{options.protocol}"
    if options.env_id:
        suffix += re.sub(r"\W+", "_", f"_{options.env_id}")
    if len(saved_models) == 1:
        return saved_models[0].with_name(f"{saved_models[0].name}_{suffix}.json")
    return pathlib.Path(os.path.commonpath([path.parent for path in saved_models])) / f"evaluation_{suffix}.json"
