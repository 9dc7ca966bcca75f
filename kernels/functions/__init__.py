"""Functions of numbers and their tables: activations, losses, optimizers, initializers, random numbers."""
