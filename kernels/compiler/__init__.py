"""From Python to machine code: the table of kernels, both compilers, and functions that users write."""
