"""Folders of posed frames in; files and pictures out."""
