"""The command `fastmlp`."""
