"""Frozen vision encoders."""
