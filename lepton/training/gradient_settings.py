"""What is tuned of a model that learns by gradients, in any framework, if the user gives no space.

One place, so that the frameworks are tuned alike: AdamW's settings (Loshchilov and Hutter,
"Decoupled weight decay regularization", ICLR 2019), the rows in a step, and where the gradients'
global norm is clipped (Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
networks", ICML 2013).

Example:
    >>> from lepton.training.gradient_settings import SPACE, START
    >>> SPACE.validate(START) == dict(START)
    True
"""

from __future__ import annotations

from lepton_core.canonical import Params
from lepton_core.domains import Choice, Float
from lepton_core.space import Space

SPACE = Space(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.5, 0.99),
        "weight_decay": Float(1e-6, 1.0, log=True),
        "batch_size": Choice([16, 32, 64, 128, 256]),
        "clip_norm": Float(0.1, 10.0, log=True),
    }
)
"""The settings by name; `momentum` is AdamW's beta 1."""

START: Params = {
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "weight_decay": 1e-6,
    "batch_size": 32,
    "clip_norm": 10.0,
}
"""The frameworks' own defaults as near as the space has them: nearly no decay, seldom a clip."""
