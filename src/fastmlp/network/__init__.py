"""The neural network: what it holds, computes, shows and learns."""
