"""Running a training: optimiser, checkpoints, processes, curves."""
