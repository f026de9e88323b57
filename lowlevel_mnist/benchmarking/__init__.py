"""The contenders that `benchmark` measures, and its results."""
