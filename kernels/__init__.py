"""Kernels of multilayer perceptrons, written once in Python. `simd.py` is the vocabulary, `interface.py` the table."""
