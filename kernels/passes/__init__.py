"""A batch's way through a network: forward, backward, update; predictions; steps of training."""
