"""Ahead of time: kernels as object files. The build of the package uses it, and nothing else: it is not installed."""
