"""Trains many runs at once on Ray Tune, which compare and copy each other's weights and settings."""
