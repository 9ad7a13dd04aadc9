"""Labelled data sets as records."""
