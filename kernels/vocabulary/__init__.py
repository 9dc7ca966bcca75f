"""The words that kernels are written in, in plain Python and as LLVM instructions, and the CPUs that run them."""
