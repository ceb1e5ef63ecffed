"""Training: the loop, its schedules and optimizer, checkpoints, and what a run leaves in its folder."""
