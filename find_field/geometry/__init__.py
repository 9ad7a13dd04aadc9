"""Pinhole cameras and boxes, for the localizer and the field alike."""
