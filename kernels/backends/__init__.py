"""Who computes: compiled, jit, interpreted or reference."""
