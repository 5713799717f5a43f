"""Where the checkout is. Tests that need no TensorFlow can import this file without importing it."""

import pathlib

ROOT = pathlib.Path(__file__).parent.parent.parent
