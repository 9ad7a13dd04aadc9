"""Adapters: find_core, the two ends of the scale, frozen encoders alone, and models of transformers."""
