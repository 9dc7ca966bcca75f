"""Kernels at work: plans, training, prediction, threads."""
