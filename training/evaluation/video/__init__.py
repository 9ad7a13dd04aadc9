"""Rendered, labelled clips and what is measured on them: when, where, and which one."""
