"""How several devices, or several machines, share each batch of a run."""
