"""Evaluation through the public API: what users get is what is measured."""
