"""What the commands share: flags, exit codes and signals, and what is printed and drawn."""
