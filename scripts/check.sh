#!/usr/bin/env bash
# Every check: format, lint, types, tests. The same locally and in CI. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m ruff format --check .
python -m ruff check .
python -m mypy
python -m pytest "$@"
