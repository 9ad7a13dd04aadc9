"""Measures a field against ground truth. The product imports nothing from here."""
