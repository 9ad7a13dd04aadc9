"""Recordings that the camera player plays."""
