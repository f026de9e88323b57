"""What `benchmark` measures, and how the figures are shown."""
