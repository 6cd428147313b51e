"""What a PyTorch checkpoint holds: tensors as safetensors, numbers as JSON. Nothing is pickled.

Tensors are written and read one by one, each under the name that it has in the model, so tied
parameters are written once and memory may be shared; they are loaded in place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from lepton.training.torch.keras_modules import is_keras
from lepton_core.canonical import shown
from lepton_core.errors import CheckpointError, InputError

MODEL, OPTIMIZER, NUMBERS = "model.safetensors", "optimizer.safetensors", "torch.json"
KERAS = "variable "
PLAIN = (bool, int, float, str, type(None))


def named_tensors(model: Any) -> dict[str, Any]:
    """All that a model holds, by name: parameters, and buffers of all kinds; each tensor once.

    Keras's variables are counted, as the names of its layers depend on how many were made before.

    Example:
        >>> import torch
        >>> from lepton.training.torch.checkpoint import named_tensors
        >>> list(named_tensors(torch.nn.BatchNorm1d(1)))
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """
    of_keras = getattr(model, "variables", ()) if is_keras(model) else ()
    named = [(f"{KERAS}{i}", variable.value) for i, variable in enumerate(of_keras)]
    named += [*model.named_parameters(), *model.named_buffers()]
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for name, tensor in named:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def save(model: Any, optimizers: Sequence[Any], folder: Path) -> None:
    """Write the model and its optimizers into a folder.

    Raises:
        InputError: They hold what is neither a tensor nor a number.
    """
    tensors = named_tensors(model)
    names = {id(tensor): name for name, tensor in tensors.items()}
    slots: dict[str, Any] = {}
    numbers = {
        "outline": _outline(model, tensors, optimizers),
        "extra": _extra_state(model),
        "optimizers": [
            _numbers(optimizer, names, slots, f"{i}") for i, optimizer in enumerate(optimizers)
        ],
    }
    _write(tensors, folder / MODEL)
    _write(slots, folder / OPTIMIZER)
    (folder / NUMBERS).write_text(json.dumps(numbers, indent=1))


def load(model: Any, optimizers: Sequence[Any], folder: Path) -> None:
    """Put what `save` wrote into the model and its optimizers.

    Raises:
        CheckpointError: It is missing or damaged, or of another model.
    """
    try:
        saved = safetensors.torch.load_file(folder / MODEL)
        slots = safetensors.torch.load_file(folder / OPTIMIZER)
        numbers = json.loads((folder / NUMBERS).read_text())
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint in {folder} cannot be read ({error}); train from the beginning again"
        ) from error
    tensors = named_tensors(model)
    _check(_outline(model, tensors, optimizers), numbers["outline"], folder)
    for name, tensor in tensors.items():
        put(tensor, saved[name])
    for parameter in model.parameters():
        parameter.grad = None
    for optimizer, held in zip(optimizers, numbers["optimizers"], strict=True):
        _restore(optimizer, held, tensors, slots)
    for name, module in _with_extra_state(model):
        module.set_extra_state(numbers["extra"][name])


def put(tensor: Any, value: Any) -> None:
    """Copy a value into a tensor of a model.

    Raises:
        RuntimeError: Several places of the tensor are one in memory, and the value differs.
    """
    try:
        with torch.no_grad():
            tensor.copy_(value)
    except RuntimeError:
        if not torch.equal(tensor, value.to(tensor.device)):  # an expanded constant is as it was
            raise


def _write(tensors: Mapping[str, Any], file: Path) -> None:
    # A copy of each: the format takes neither memory that two of them share nor gaps in it.
    copies = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    safetensors.torch.save_file(copies, file)


def _outline(model: Any, tensors: Mapping[str, Any], optimizers: Sequence[Any]) -> dict[str, str]:
    """What there is, in words: equal where a checkpoint fits."""
    return {
        **{name: f"{t.dtype} of shape {tuple(t.shape)}" for name, t in tensors.items()},
        **{f"{name} (extra)": "extra state" for name, _ in _with_extra_state(model)},
        **{
            f"optimizer {i}": f"{type(optimizer).__name__} of {len(optimizer.param_groups)} groups"
            for i, optimizer in enumerate(optimizers)
        },
    }


def _check(here: Mapping[str, str], there: Mapping[str, str], folder: Path) -> None:
    for name in sorted(here.keys() | there.keys()):
        found, expected = (outline.get(name, "missing") for outline in (here, there))
        if found != expected:
            raise CheckpointError(
                f"the checkpoint in {folder} is of another model: {name} is {expected} there, "
                f"{found} here; go on with the model that it was made with"
            )


def _numbers(optimizer: Any, names: Mapping[int, str], slots: dict[str, Any], at: str) -> Any:
    """What an optimizer holds beside tensors; these go to the slots."""
    groups = [
        {
            key: _plain(value, slots, f"{at} group {i} {key}", None)
            for key, value in group.items()
            if key not in {"params", "param_names"}
        }
        for i, group in enumerate(optimizer.param_groups)
    ]
    state = {
        names[id(parameter)]: {
            key: _plain(value, slots, f"{at} {names[id(parameter)]} {key}", parameter)
            for key, value in held.items()
        }
        for parameter, held in optimizer.state.items()
    }
    return {"groups": groups, "state": state}


def _plain(value: Any, slots: dict[str, Any], name: str, parameter: Any) -> Any:
    """A value as JSON has it; of a tensor, where it is: by its parameter, or not."""
    if isinstance(value, torch.Tensor):
        slots[name] = value
        beside = parameter is not None and value.device == parameter.device
        return {"tensor": name, "beside": beside}
    if isinstance(value, tuple | list):
        return [_plain(item, slots, f"{name} {i}", parameter) for i, item in enumerate(value)]
    if not isinstance(value, PLAIN):
        raise InputError(
            f"the optimizer holds {shown(value)} ({type(value).__name__}) as {name}; a checkpoint "
            "can hold tensors and numbers; use another optimizer"
        )
    return value


def _restore(
    optimizer: Any, held: Any, tensors: Mapping[str, Any], slots: Mapping[str, Any]
) -> None:
    for group, values in zip(optimizer.param_groups, held["groups"], strict=True):
        for key, value in values.items():
            found = _value(value, slots, None)
            group[key] = tuple(found) if isinstance(group.get(key), tuple) else found
    optimizer.state.clear()
    for name, values in held["state"].items():
        parameter = tensors[name]
        optimizer.state[parameter] = {
            key: _value(value, slots, parameter) for key, value in values.items()
        }


def _value(value: Any, slots: Mapping[str, Any], parameter: Any) -> Any:
    if isinstance(value, dict):
        # Each a copy: what one loading gave must not be what the next one gives.
        tensor = slots[value["tensor"]].clone()
        return tensor.to(parameter.device) if value["beside"] else tensor
    return [_value(item, slots, parameter) for item in value] if isinstance(value, list) else value


def _extra_state(model: Any) -> dict[str, Any]:
    """What modules of the user's say they hold beside tensors (`get_extra_state`)."""
    found = {}
    for name, module in _with_extra_state(model):
        found[name] = state = module.get_extra_state()
        try:
            held = json.loads(json.dumps(state)) == state
        except (TypeError, ValueError):
            held = False
        if not held:
            raise InputError(
                f"get_extra_state() of the module {shown(name)} gives {shown(state)}; expected "
                "what JSON can hold: numbers, texts, lists and dicts of them"
            )
    return found


def _with_extra_state(model: Any) -> Iterable[tuple[str, Any]]:
    own = torch.nn.Module.get_extra_state
    for name, module in model.named_modules():
        if getattr(type(module), "get_extra_state", own) is not own:
            yield name, module
