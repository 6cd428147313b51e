"""PyTorch modules, trained by the user's own train step or a wrapped torch optimizer."""
