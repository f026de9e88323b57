"""A run on disk: what decides it, its folder, its checkpoints."""
