"""Kernels of multilayer perceptrons, written once in Python.

Each package imports from those above it only: `base`, `vocabulary`, `functions`, `layers`, `passes`, `compiler`,
`runtime`, `backends`.
"""
