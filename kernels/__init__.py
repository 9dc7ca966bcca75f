"""Kernels of multilayer perceptrons, written once in Python: see `simd.py` for their vocabulary, `interface.py` for the table."""
