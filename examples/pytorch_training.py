"""Tune a PyTorch model while it trains: ``python examples/pytorch_training.py``.

Eight models train side by side on scikit-learn's digits. At intervals the worst go on from copies
of the better ones, with a learning rate, momentum, weight decay, batch size and clipping that
Lepton proposes. The train step is that of any training loop, but for `optimizer.step`.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

import lepton

STEPS = 400

x, y = load_digits(return_X_y=True)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
optimizer = lepton.Optimizer(seed=0)


def train_step(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """One gradient step on a batch; returns its loss."""
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.step(model, loss)
    return loss


if __name__ == "__main__":
    optimizer.minimize(train_step, steps=STEPS, model=model, data=(x / 16, y))
    print("Best loss: ", optimizer.best_loss)
    print("Best model:", optimizer.best_model)
    print(optimizer.schedule.tail(3).to_string(index=False))
