"""FIND-Bench for any model: suites of the paper's tables, adapters, reports."""
