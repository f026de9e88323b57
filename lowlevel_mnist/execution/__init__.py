"""How steps are executed: eagerly, as a graph, or by XLA."""
