"""Installation. The ranges below were resolved and run together; requirements.txt installs them with the extras."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "impala_tf" / "__init__.py").read_text()).group(1)

setuptools.setup(
    name="impala_tf",
    version=VERSION,
    description="IMPALA, the importance weighted actor-learner architecture, in TensorFlow 2 and Keras 3",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["impala_tf", "impala_tf.*"]),
    python_requires=">=3.10,<3.14",
    install_requires=[
        "absl-py>=2.1",
        "cloudpickle>=2.2",
        "gymnasium>=1.1,<2",
        "keras>=3.10,<4",
        "numpy>=2.0,<3",
        "psutil>=5.9",
        "tensorboard>=2.20,<2.22",
        "tensorflow>=2.20,<2.22",
        "tensorflow-probability[tf]>=0.25,<0.26",
        "tqdm>=4.66",
    ],
    extras_require={
        "atari": ["ale-py>=0.11,<0.13", "opencv-python-headless>=4.8"],
        # No wheel for Python 3.10.
        "envpool": ["envpool>=1.2,<1.3; python_version >= '3.11'"],
        "evaluation": ["scipy>=1.11"],
        "minatar": ["MinAtar>=1.0.15"],
        "box2d": ["gymnasium[box2d]>=1.1"],
        "minigrid": ["minigrid>=3.0"],
        "mujoco": ["gymnasium[mujoco]>=1.1"],
        "plots": ["matplotlib>=3.8"],
        "ray": ["ray[train,tune]>=2.60,<3"],
        "profile": ["xprof>=2.20"],
        "video": ["gymnasium[classic-control]>=1.1", "imageio>=2.31", "imageio-ffmpeg>=0.5", "pillow>=10"],
        "dev": ["hypothesis>=6.100", "mypy>=1.11", "pytest>=9", "pytest-xdist>=3.6", "ruff>=0.6"],
    },
)
