"""A trainer for Forge runs in PyTorch: the same streams, fences, weights and checkpoints as the built-in one."""
