"""Folders of posed frames in; files and images out."""
