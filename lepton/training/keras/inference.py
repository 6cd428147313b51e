"""The model that a train step is given while it is judged."""

from __future__ import annotations

import inspect
from typing import Any


class InferenceModel:
    """A model that computes in inference mode, whatever it is told.

    Dropout is off, and batch normalization uses its moving statistics. All but calling it is the
    model's: its variables are the same ones.

    Args:
        model: A Keras model.

    Attributes:
        called: Whether it ever was.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.called = False

    @property  # type: ignore[misc]  # so that isinstance(model, keras.Model) holds
    def __class__(self) -> Any:
        return type(self._model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the model computes."""
        args, kwargs = self._calm(args, kwargs)
        self.called = True
        return self._model(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the model's own `call` computes."""
        args, kwargs = self._calm(args, kwargs)
        self.called = True
        return self._model.call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _calm(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of a call with `training` False, if the model knows of that."""
        names = list(inspect.signature(self._model.call).parameters)
        if "training" not in names:
            return args, ({**kwargs, "training": False} if "training" in kwargs else kwargs)
        at = names.index("training")
        if len(args) > at:
            return (*args[:at], False, *args[at + 1 :]), kwargs
        return args, {**kwargs, "training": False}
