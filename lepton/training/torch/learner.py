"""PyTorch: `optimizer.step(model, loss)` in the train step, or wrapped torch optimizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from lepton.training import generators, under_way
from lepton.training.gradient_settings import SPACE, START
from lepton.training.keras.inference import InferenceModel
from lepton.training.learner import Batch, Evaluate, TrainStep
from lepton.training.own_settings import JUDGING, checked_judge
from lepton.training.rows import check_rows, parts_of
from lepton.training.torch import checkpoint, keras_modules
from lepton.training.torch.judging import evaluation_mode, modes_kept, training_mode
from lepton.training.torch.settings import Groups, found_in, space_of
from lepton.training.torch.tensors import as_tensor
from lepton.training.torch.wrapper import WrappedOptimizer
from lepton_core.canonical import Params, shown
from lepton_core.errors import InputError, SweepError

CHUNK = 1024
"""Rows that are judged at a time: the memory for them is bounded, whatever the data."""
BUILDING = 2
"""Rows that a model which has no parameters yet is called on: batch normalisation needs two."""

BaseOptimizer = Callable[[Any], Any] | Sequence[WrappedOptimizer]


class TorchLearner:
    """A PyTorch module that trains by AdamW, or by the user's own torch optimizers.

    AdamW is Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019. Of a user's
    space the names `learning_rate`, `momentum` (AdamW's beta 1), `weight_decay`, `clip_norm` and
    `batch_size` mean something here; all others are for the train step to read.

    Args:
        model: Any module, a compiled one and Keras's on the torch backend included.
        train_step: ``train_step(model, *batch) -> loss``, which calls `step`, or the `step` of a
            wrapped optimizer.
        evaluate: ``evaluate(model, *data) -> loss``, called once with all of the data, without
            gradients; None: the train step judges, with everything that it would change kept.
        base_optimizer: Makes a torch optimizer of the list of parameters, as ``torch.optim.SGD``
            does; or the wrapped optimizers. None: AdamW.

    Raises:
        InputError: The model has parameters that are not there yet, or the base optimizer makes
            none.

    Example:
        >>> import torch
        >>> from lepton.training.torch.learner import TorchLearner
        >>> model = torch.nn.Linear(2, 1)
        >>> def train_step(model, x, y):
        ...     loss = torch.nn.functional.mse_loss(model(x), y)
        ...     learner.step(model, loss)  # in a program: optimizer.step(model, loss)
        ...     return loss
        >>> learner = TorchLearner(model, train_step)
        >>> data = learner.prepare(([[0.0, 1.0], [1.0, 0.0]], [[1.0], [0.0]]))
        >>> before = learner.evaluate(data)
        >>> loss = learner.train({"learning_rate": 0.1}, iter([data] * 9), 9, seed=0)
        >>> learner.evaluate(data) < before
        True
    """

    row_sets = True

    def __init__(
        self,
        model: Any,
        train_step: TrainStep,
        evaluate: Evaluate | None = None,
        base_optimizer: BaseOptimizer | None = None,
    ) -> None:
        self._model, self._train_step, self._evaluate = model, train_step, checked_judge(evaluate)
        self._base = _checked_base(base_optimizer)
        self._clip: float | None = None
        self._judges = False
        self._updates = 0
        self._groups: list[Groups] = []
        self._clipped: list[list[Any]] = []
        self._is_built = _is_built(model)
        # What the train step is given to be judged: Keras's may be told to train in each call.
        self._judged = InferenceModel(model) if keras_modules.is_keras(model) else model
        self.space, self.start = SPACE, START
        if self._is_built:
            self._make_optimizers()
        elif base_optimizer is not None:
            self._tune([Groups(self._made([torch.nn.Parameter(torch.zeros(1, 1))]))])

    def prepare(self, data: Batch) -> Batch:
        """The data as tensors on the model's device: see `as_tensor`.

        A model that waits for its first input is given it.
        """
        if not self._is_built:
            self._build(self._tensors(data))
        return self._tensors(data)

    def _tensors(self, data: Batch) -> Batch:
        like = self._like()
        parts = parts_of(data)
        prepared = tuple(as_tensor(part, device=like.device, floats=like.dtype) for part in parts)
        check_rows(prepared)
        return prepared

    def rows(self, data: Batch, indices: Any) -> Batch:
        """Some rows of each part."""
        at = torch.as_tensor(indices, dtype=torch.int64, device=data[0].device)
        return tuple(part.index_select(0, at) for part in data)

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Python's, NumPy's and PyTorch's generators, that of the model's device included."""
        device = self._like().device
        devices = [device.index or 0] if device.type == "cuda" else []
        of_keras = keras_modules.is_keras(self._model)
        with (
            generators.seeded(seed),
            torch.random.fork_rng(devices=devices),
            keras_modules.seeded(seed) if of_keras else nullcontext(),
        ):
            torch.manual_seed(seed)
            yield

    def train(self, settings: Params, batches: Iterator[Batch], steps: int, seed: int) -> float:
        """Call the train step so often; its generators are those of `seeded`.

        Raises:
            InputError: The train step updated nothing, or returned no loss to judge by.
        """
        del seed  # the train step draws from the global generators
        clip = settings.get("clip_norm")
        self._clip = None if clip is None else float(clip)
        greatest = found_in(self._groups)
        for groups in self._groups:
            groups.apply(settings, greatest)
        self._updates = 0
        losses = []
        with training_mode(self._model):
            for _ in range(steps):
                losses.append(self._loss(self._train_step(self._model, *next(batches))))
                if not self._updates and not self._wrapped():  # those may gather gradients
                    raise _no_update()
        if not self._updates:
            raise _no_update()
        return _mean(losses)

    def step(self, model: Any, loss: Any) -> None:
        """What `optimizer.step(model, loss)` does in a train step: gradients, clip, update.

        Raises:
            InputError: It is another model, or no loss of it.
        """
        if model is not (self._judged if self._judges else self._model):
            raise InputError(
                f"optimizer.step(model, loss) got another model, {shown(type(model))}; expected "
                "the one that the train step was given"
            )
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise InputError(
                f"optimizer.step(model, loss) got {shown(loss)} ({type(loss).__name__}) as the "
                "loss; expected a tensor of one number"
            )
        if self._judges:
            return
        if self._wrapped():
            raise InputError(
                "optimizer.step(model, loss) was called beside wrapped optimizers; call "
                "zero_grad(), loss.backward() and their step(), or wrap none"
            )
        if not loss.requires_grad:
            raise InputError(
                "the loss has no gradients: it was detached, made by .item(), or computed under "
                "torch.no_grad(); give optimizer.step(model, loss) the loss as it was computed"
            )
        optimizer = self._groups[0].optimizer
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._update(0)

    def update(self, wrapped: WrappedOptimizer) -> None:
        """What a wrapped optimizer's own `step` does: clip, update.

        Raises:
            InputError: It is not one of this model's.
        """
        places = [i for i, groups in enumerate(self._groups) if groups is wrapped.groups]
        if not places:
            raise InputError(
                "a wrapped optimizer that this training does not know took a step; wrap it before "
                "minimize, outside of the train step, with the parameters of the model trained"
            )
        if not self._judges:
            self._update(places[0])

    def _update(self, i: int) -> None:
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self._clipped[i], self._clip)
        self._groups[i].optimizer.step()
        self._updates += 1

    def evaluate(self, data: Batch) -> float:
        """The user's `evaluate` of all the data; or the train step's loss, in evaluation mode.

        Gradients are allowed in the train step, which may need them to compute its loss.

        Raises:
            InputError: What it returned is no number.
        """
        self._judges = True
        try:
            with self.seeded(JUDGING), evaluation_mode(self._model):
                if self._evaluate is not None:
                    with torch.no_grad():
                        return _number(self._evaluate(self._model, *data), "evaluate")
                total, rows = 0.0, len(data[0])
                for first in range(0, rows, CHUNK):
                    chunk = tuple(part[first : first + CHUNK] for part in data)
                    loss = _number(self._train_step(self._judged, *chunk), "train_step")
                    total += loss * len(chunk[0])
                return total / rows
        finally:
            self._judges = False

    def save(self, folder: Path) -> None:
        """Parameters, buffers and the optimizers' state: see `checkpoint`."""
        optimizers = [groups.optimizer for groups in self._groups]
        checkpoint.save(self._model, optimizers, folder)

    def load(self, folder: Path) -> None:
        """Go on from there; nothing else of what was before is left."""
        optimizers = [groups.optimizer for groups in self._groups]
        checkpoint.load(self._model, optimizers, folder)

    def model(self) -> Any:
        """The module that was handed over."""
        return self._model

    def _like(self) -> Any:
        """A parameter of the model that is a float."""
        there = (p for p in self._model.parameters() if not torch.nn.parameter.is_lazy(p))
        found = (p for p in there if p.is_floating_point())
        return next(found, torch.zeros(()))

    def _wrapped(self) -> list[WrappedOptimizer]:
        """Those of the wrapped optimizers that update this model."""
        if self._base is None or not isinstance(self._base, Sequence):
            return []
        own = {id(parameter) for parameter in self._model.parameters()}
        return [w for w in self._base if _parameters(w.optimizer) and own & _ids(w.optimizer)]

    def _made(self, parameters: list[Any]) -> Any:
        if self._base is None or isinstance(self._base, Sequence):
            return torch.optim.AdamW(parameters)
        return self._base(parameters)

    def _make_optimizers(self) -> None:
        """The optimizers of a model that has its parameters, and the space around them."""
        wrapped = self._wrapped()
        own = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        if not own:
            raise InputError("the model has no parameters that gradients update")
        self._groups = [w.groups for w in wrapped] or [Groups(self._made(own))]
        for groups in self._groups:
            if not _ids(groups.optimizer) <= {id(p) for p in self._model.parameters()}:
                raise InputError(
                    f"the {type(groups.optimizer).__name__} updates parameters that are not in the "
                    "model; make them a part of it, so that the checkpoints have them"
                )
        self._clipped = [_parameters(groups.optimizer) for groups in self._groups]
        if self._base is not None:
            self._tune(self._groups)

    def _tune(self, groups: list[Groups]) -> None:
        self.space, self.start = space_of(found_in(groups))

    def _build(self, data: Batch) -> None:
        """Give a model that waits for its first input its parameters."""
        few = tuple(part[:BUILDING] for part in data)
        self._judges = True
        try:
            with self._at_work(), modes_kept(self._model):
                self._model.eval()
                self._train_step(self._judged, *few)
        finally:
            self._judges = False
        if not _is_built(self._model):
            raise InputError("the model still has no parameters after a train step; build it first")
        self._is_built = True
        self._make_optimizers()

    def _at_work(self) -> AbstractContextManager[object]:
        """So that the train step's optimizer finds this learner, where nobody has seen to it."""
        try:
            under_way.current("to build a model")
        except SweepError:
            return under_way.under_way(self, self.start)
        return nullcontext()

    def _loss(self, loss: Any) -> Any:
        """What a train step returned, kept without its graph."""
        if isinstance(loss, torch.Tensor) and loss.numel() == 1:
            return loss.detach()
        if loss is None and self._evaluate is not None:
            return math.nan
        return _number(loss, "train_step")


def _checked_base(base: Any) -> Any:
    if base is None or isinstance(base, Sequence) or callable(base):
        return base
    raise InputError(
        f"base_optimizer is {shown(type(base))}; expected what makes an optimizer of a list of "
        "parameters, such as torch.optim.SGD; one that is made already goes into optimizer.wrap()"
    )


def _is_built(model: Any) -> bool:
    """Whether all parameters are there: neither lazy ones nor a Keras model without input."""
    lazy = torch.nn.parameter.is_lazy
    return getattr(model, "built", True) and not any(map(lazy, model.parameters()))


def _parameters(optimizer: Any) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _ids(optimizer: Any) -> set[int]:
    return {id(parameter) for parameter in _parameters(optimizer)}


def _number(loss: Any, of: str) -> float:
    try:
        return float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"{of} returned {shown(loss)} ({type(loss).__name__}); expected the loss, one number"
        ) from None


def _no_update() -> InputError:
    return InputError(
        "the train step updated nothing: call optimizer.step(model, loss) in it, or wrap the torch "
        "optimizer that it calls: opt = optimizer.wrap(torch.optim.SGD(model.parameters(), lr=0.1))"
    )


def _mean(losses: list[Any]) -> float:
    """The mean; tensors are read once, at the end, as each reading waits for the device."""
    as_tensors = [torch.as_tensor(loss).reshape(()).double() for loss in losses]
    return float(torch.stack([loss.cpu() for loss in as_tensors]).mean())
