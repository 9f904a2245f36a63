"""How models learn: data, steps, epochs."""
