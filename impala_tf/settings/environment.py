"""Declares the settings of environments/."""

import dataclasses

from impala_tf.settings.setting import CODE, COMMON, ENVIRONMENT, NETWORK, PAPER, at_least, between, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvironmentSettings:
    """These settings choose the task, and how its environments step."""

    env_id: str = setting(
        "CartPole-v1",
        "A gymnasium id, or module:id, or a suite (atari57, minatar5, dmlab30). Several ids with commas between them, "
        "or a suite: one agent learns all, with the actors spread over them.",
        roles=(COMMON, NETWORK, ENVIRONMENT),
    )
    num_action_repeats: int = setting(
        1,
        "Frames that each action is repeated for; rewards are summed.",
        "frames",
        f"{PAPER}: 4 on Atari, DMLab",
        bounds=at_least(1),
        roles=(
            COMMON,
            ENVIRONMENT,
        ),
    )
    vectorization: str = setting(
        "auto",
        "How the environments of one actor step. auto: ale for preprocessed ALE ids, else the id's own vector form if "
        "it has one and there are at least 4, else sync. native: the id's own. sync: one after the other. async: a "
        "process each. ale, envpool: the vectors of these libraries, in C++ threads.",
        choices=("auto", "native", "sync", "async", "ale", "envpool"),
        roles=(
            COMMON,
            ENVIRONMENT,
        ),
    )
    env_threads: int = setting(
        0,
        "Threads that step one actor's environments, with ale and envpool; 0: one per core.",
        "threads",
        bounds=between(0, 1024),
    )
    max_env_restarts: int = setting(
        0,
        "Environments that raise, die or hang are made anew, at most so many times in an hour; past that the run ends. "
        "With sync an exception only, with async also the end of an environment's process and --env_timeout_secs. In "
        "other processes each has its own hour.",
        "restarts",
        bounds=at_least(0),
    )
    env_timeout_secs: float = setting(
        0.0,
        "With async, a step or reset that takes longer is a failure of the environment; 0: none is.",
        "seconds",
        bounds=at_least(0),
    )
    max_episode_frames: int = setting(
        0,
        "Episodes are cut off after this many frames; 0: where the id says, and ALE's after 108,000.",
        "environment frames",
        "dqn_zoo: 108,000 on Atari, 30 minutes; Machado et al. 2018: 18,000",
        bounds=at_least(0),
        roles=(ENVIRONMENT,),
    )
    atari_preprocessing: bool = setting(
        True,
        "ALE ids: grey 84x84 frames, the maximum over the last two, stacked; false: the id as it is.",
        source=f"{PAPER} table G.1",
        roles=(NETWORK, ENVIRONMENT),
    )
    atari_ram: bool = setting(
        False,
        "ALE ids: the 128 bytes of the console's memory instead of frames.",
        roles=(NETWORK, ENVIRONMENT),
    )
    frame_stack: int = setting(
        4,
        "ALE ids: frames in an observation.",
        "frames",
        f"{PAPER} table G.1: 4",
        bounds=at_least(1),
        roles=(NETWORK, ENVIRONMENT),
    )
    noop_max: int = setting(
        30,
        "ALE ids: an episode begins with up to this many no-ops.",
        "frames",
        f"{PAPER}: 30",
        bounds=at_least(0),
        roles=(ENVIRONMENT,),
    )
    life_loss_ends_episode: bool = setting(
        False,
        "ALE ids: for the learner a lost life ends the episode; returns are still those of whole games, and "
        "evaluation does not do it.",
        source=f"{PAPER} table G.1: true in training",
    )
    sticky_actions: float = setting(
        0.0,
        "ALE ids: probability that the action before is repeated.",
        source=f"{PAPER}: 0; Machado et al. 2018: 0.25",
        bounds=between(0, 1),
        roles=(ENVIRONMENT,),
    )
    full_action_set: bool = setting(
        False,
        "ALE ids: all 18 actions instead of the game's own.",
        source=f"{PAPER}: false",
        roles=(NETWORK, ENVIRONMENT),
    )
    dmlab_renderer: str = setting(
        "software",
        "DMLab ids: how frames are drawn. hardware: by the GPU, if DeepMind Lab was built for it.",
        choices=("software", "hardware"),
        roles=(ENVIRONMENT,),
    )
    dmlab_dataset_path: str = setting(
        "", "DMLab ids: directory of the pictures that psychlab levels show.", source=CODE, roles=(ENVIRONMENT,)
    )
