"""Has reference scores of the suites' tasks, which make their returns comparable."""

from typing import NamedTuple


class Reference(NamedTuple):
    """These are mean returns of whole games.

    random: the return of uniformly random actions, which counts as 0 after normalising.
    expert: the return that counts as 1.
    """

    random: float
    expert: float


# These are scores of random play and of a professional human tester, after 1 to 30 no-ops, from Wang et al. 2016
# (dueling networks), as in DeepMind's dqn_zoo, atari_data.py.
ATARI57 = {
    "ALE/Alien-v5": Reference(227.8, 7127.7),
    "ALE/Amidar-v5": Reference(5.8, 1719.5),
    "ALE/Assault-v5": Reference(222.4, 742.0),
    "ALE/Asterix-v5": Reference(210.0, 8503.3),
    "ALE/Asteroids-v5": Reference(719.1, 47388.7),
    "ALE/Atlantis-v5": Reference(12850.0, 29028.1),
    "ALE/BankHeist-v5": Reference(14.2, 753.1),
    "ALE/BattleZone-v5": Reference(2360.0, 37187.5),
    "ALE/BeamRider-v5": Reference(363.9, 16926.5),
    "ALE/Berzerk-v5": Reference(123.7, 2630.4),
    "ALE/Bowling-v5": Reference(23.1, 160.7),
    "ALE/Boxing-v5": Reference(0.1, 12.1),
    "ALE/Breakout-v5": Reference(1.7, 30.5),
    "ALE/Centipede-v5": Reference(2090.9, 12017.0),
    "ALE/ChopperCommand-v5": Reference(811.0, 7387.8),
    "ALE/CrazyClimber-v5": Reference(10780.5, 35829.4),
    "ALE/Defender-v5": Reference(2874.5, 18688.9),
    "ALE/DemonAttack-v5": Reference(152.1, 1971.0),
    "ALE/DoubleDunk-v5": Reference(-18.6, -16.4),
    "ALE/Enduro-v5": Reference(0.0, 860.5),
    "ALE/FishingDerby-v5": Reference(-91.7, -38.7),
    "ALE/Freeway-v5": Reference(0.0, 29.6),
    "ALE/Frostbite-v5": Reference(65.2, 4334.7),
    "ALE/Gopher-v5": Reference(257.6, 2412.5),
    "ALE/Gravitar-v5": Reference(173.0, 3351.4),
    "ALE/Hero-v5": Reference(1027.0, 30826.4),
    "ALE/IceHockey-v5": Reference(-11.2, 0.9),
    "ALE/Jamesbond-v5": Reference(29.0, 302.8),
    "ALE/Kangaroo-v5": Reference(52.0, 3035.0),
    "ALE/Krull-v5": Reference(1598.0, 2665.5),
    "ALE/KungFuMaster-v5": Reference(258.5, 22736.3),
    "ALE/MontezumaRevenge-v5": Reference(0.0, 4753.3),
    "ALE/MsPacman-v5": Reference(307.3, 6951.6),
    "ALE/NameThisGame-v5": Reference(2292.3, 8049.0),
    "ALE/Phoenix-v5": Reference(761.4, 7242.6),
    "ALE/Pitfall-v5": Reference(-229.4, 6463.7),
    "ALE/Pong-v5": Reference(-20.7, 14.6),
    "ALE/PrivateEye-v5": Reference(24.9, 69571.3),
    "ALE/Qbert-v5": Reference(163.9, 13455.0),
    "ALE/Riverraid-v5": Reference(1338.5, 17118.0),
    "ALE/RoadRunner-v5": Reference(11.5, 7845.0),
    "ALE/Robotank-v5": Reference(2.2, 11.9),
    "ALE/Seaquest-v5": Reference(68.4, 42054.7),
    "ALE/Skiing-v5": Reference(-17098.1, -4336.9),
    "ALE/Solaris-v5": Reference(1236.3, 12326.7),
    "ALE/SpaceInvaders-v5": Reference(148.0, 1668.7),
    "ALE/StarGunner-v5": Reference(664.0, 10250.0),
    "ALE/Surround-v5": Reference(-10.0, 6.5),
    "ALE/Tennis-v5": Reference(-23.8, -8.3),
    "ALE/TimePilot-v5": Reference(3568.0, 5229.2),
    "ALE/Tutankham-v5": Reference(11.4, 167.6),
    "ALE/UpNDown-v5": Reference(533.4, 11693.2),
    "ALE/Venture-v5": Reference(0.0, 1187.5),
    "ALE/VideoPinball-v5": Reference(16256.9, 17667.9),
    "ALE/WizardOfWor-v5": Reference(563.5, 4756.5),
    "ALE/YarsRevenge-v5": Reference(3092.9, 54576.9),
    "ALE/Zaxxon-v5": Reference(32.5, 9173.3),
}

# Scores of random play are means of 320 episodes (Freeway: 32), by scripts/measure_random_play.py. The expert is the
# actor-critic AC(0.8) of Young & Tian 2019 after 5 million steps, read off their figure 3; there is no human score.
MINATAR5 = {
    "MinAtar/Asterix-v0": Reference(0.47, 18.6),
    "MinAtar/Breakout-v0": Reference(0.54, 17.1),
    "MinAtar/Freeway-v0": Reference(0.12, 48.0),
    "MinAtar/Seaquest-v0": Reference(0.09, 15.4),
    "MinAtar/SpaceInvaders-v0": Reference(2.84, 185.0),
}

# These are scores of random play and of human players (google-deepmind/scalable_agent, dmlab30.py). Two levels have a
# held-out version for testing, and scores for that only, by which the code also normalises the training version.
DMLAB30_LEVELS = {
    "rooms_collect_good_objects_test": Reference(0.073, 10.0),
    "rooms_exploit_deferred_effects_test": Reference(8.501, 85.65),
    "rooms_select_nonmatching_object": Reference(0.312, 65.9),
    "rooms_watermaze": Reference(4.065, 54.0),
    "rooms_keys_doors_puzzle": Reference(4.135, 53.8),
    "language_select_described_object": Reference(-0.07, 389.5),
    "language_select_located_object": Reference(1.929, 280.7),
    "language_execute_random_task": Reference(-5.913, 254.05),
    "language_answer_quantitative_question": Reference(-0.33, 184.5),
    "lasertag_one_opponent_small": Reference(-0.224, 12.65),
    "lasertag_three_opponents_small": Reference(-0.214, 18.55),
    "lasertag_one_opponent_large": Reference(-0.083, 18.6),
    "lasertag_three_opponents_large": Reference(-0.102, 31.5),
    "natlab_fixed_large_map": Reference(2.173, 36.9),
    "natlab_varying_map_regrowth": Reference(2.989, 24.45),
    "natlab_varying_map_randomized": Reference(7.346, 42.35),
    "skymaze_irreversible_path_hard": Reference(0.1, 100.0),
    "skymaze_irreversible_path_varied": Reference(14.4, 100.0),
    "psychlab_arbitrary_visuomotor_mapping": Reference(0.163, 58.75),
    "psychlab_continuous_recognition": Reference(0.224, 58.3),
    "psychlab_sequential_comparison": Reference(0.129, 39.5),
    "psychlab_visual_search": Reference(0.085, 78.5),
    "explore_object_locations_small": Reference(3.575, 74.45),
    "explore_object_locations_large": Reference(4.673, 65.65),
    "explore_obstructed_goals_small": Reference(6.76, 206.0),
    "explore_obstructed_goals_large": Reference(2.61, 119.5),
    "explore_goal_locations_small": Reference(7.66, 267.5),
    "explore_goal_locations_large": Reference(3.14, 194.5),
    "explore_object_rewards_few": Reference(2.073, 77.7),
    "explore_object_rewards_many": Reference(2.438, 106.7),
}
DMLAB30 = {f"DMLab/{level.replace('_test', '_train')}-v0": reference for level, reference in DMLAB30_LEVELS.items()}
DMLAB30_TEST = {f"DMLabTest/{level}-v0": reference for level, reference in DMLAB30_LEVELS.items()}

REFERENCES = ATARI57 | MINATAR5 | DMLAB30 | DMLAB30_TEST
