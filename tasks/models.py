"""Models that objectives return: the best is kept, in MLflow by the flavour of its library."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lepton_core.declaration import Direction, to_loss
from lepton_core.errors import NothingUsableError
from lepton_core.events import TrialRecord
from lepton_tasks import skops_models
from lepton_tasks.active_run import pointing_at
from lepton_tasks.store import Store

ARTIFACT = "model"
READY = "READY"  # MLflow's status of a model whose files are all there
FLAVOURS = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "statsmodels": "statsmodels",
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "torch": "pytorch",
    "sklearn": "sklearn",
}
"""MLflow's flavours by the package of a model's class or of one that it is derived from."""


class Models:
    """Which models are kept: those of the trials that are among the best when they end.

    Calls may come from any thread.

    Args:
        direction: Of the sweep.
        rank: How many of the best are kept in this process.
        say: Told, once, why one cannot be kept.
    """

    def __init__(
        self,
        direction: Direction,
        *,
        rank: int = 1,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.direction, self.rank, self._say = direction, rank, say
        self.here: dict[int, Any] = {}
        self._ranked: list[tuple[float, int]] = []
        self._lock = threading.Lock()
        self._said = False

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, which a copy has one of its own of."""
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was."""
        self.__dict__.update(state, _lock=threading.Lock())

    def also(self, best: TrialRecord | None) -> None:
        """Know of a best trial that was before."""
        if best is not None and best.value is not None:
            self.wants(best.value, best.proposal.number)

    def _place(self, value: float, number: int) -> tuple[float, int]:
        """As in `best_of`: of equals, the one proposed first."""
        return to_loss(value, self.direction), number

    def wants(self, value: float, number: int) -> bool:
        """Whether a trial that ends with this value is among the best by now."""
        place = self._place(value, number)
        with self._lock:
            self._ranked = sorted([*self._ranked, place])[: self.rank]
            return place in self._ranked

    def keep(self, number: int, model: Any) -> None:
        """Keep it in this process, instead of one that is not among the best any more."""
        with self._lock:
            self.here[number] = model
            among = {number for _, number in self._ranked}
            self.here = {n: model for n, model in self.here.items() if n in among}

    def cannot(self, why: str) -> None:
        """One cannot be kept, which is no reason to fail its trial."""
        with self._lock:
            first, self._said = not self._said, True
        if first and why:
            self._say(f"a model cannot be kept in MLflow: {why}")


def flavour(model: Any) -> str | None:
    """The MLflow flavour that a model is logged with, or None."""
    roots = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    if "lightgbm" in roots and "sklearn" in roots:
        return "sklearn"  # MLflow would pickle LightGBM's estimators
    return next((FLAVOURS[root] for root in roots if root in FLAVOURS), None)


def log(model: Any) -> str:
    """Log a model to the active run, by the name "model"; returns what was wrong, or nothing."""
    name = flavour(model)
    if name is None:
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        return f"MLflow has no flavour for {kind}; log it in the objective, as you want it"
    try:
        with _quietly():
            library = importlib.import_module(f"mlflow.{name}")
            # Else MLflow loads it in another process to see what it needs, which takes seconds.
            needed = library.get_default_pip_requirements()
            how: dict[str, Any] = {"pip_requirements": needed}
            if name == "sklearn":
                refused = skops_models.foreign(model)
                if refused:
                    return skops_models.untrusted(refused)
                how["skops_trusted_types"] = skops_models.needed(model)
            elif name == "pytorch":
                how["serialization_format"] = "pickle"  # the other one needs an example's input
            library.log_model(model, name=ARTIFACT, **how)
    except Exception as error:  # noqa: BLE001  (whatever the model's own code raises)
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def has_model(store: Store, run_id: str) -> bool:
    """Whether a run has a logged model, all of it."""
    run = store.client.get_run(run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    if not outputs:
        return False
    # The run names a model before its files are written.
    return str(store.client.get_logged_model(outputs[-1].model_id).status) == READY


def load(store: Store, run_id: str, number: int) -> Any:
    """The model that a trial's run has, as its own library loads it.

    Raises:
        NothingUsableError: It has none, or it cannot be loaded.
    """
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415
    from mlflow.models import get_model_info  # noqa: PLC0415  (costs a second)

    run = store.client.get_run(run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    if not outputs:
        raise no_model(number)
    uri = f"models:/{outputs[-1].model_id}"
    try:
        with pointing_at(store), _quietly():
            found = get_model_info(uri).flavors
            if found.get("sklearn", {}).get("serialization_format") == "skops":
                with TemporaryDirectory(prefix="lepton-") as folder:
                    place = Path(download_artifacts(uri, dst_path=folder))
                    return skops_models.load(place / found["sklearn"]["pickled_model"])
            name = next((f for f in dict.fromkeys(FLAVOURS.values()) if f in found), "pyfunc")
            return importlib.import_module(f"mlflow.{name}").load_model(uri)
    except Exception as error:  # noqa: BLE001  (whatever the library raises)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise NothingUsableError(
            f"the model of trial {number} cannot be loaded from {uri}: {reason}\n"
            "It is in the MLflow UI, at the trial's run.",
            number=number,
            uri=uri,
        ) from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without MLflow's advice on signatures and type hints, which is for its direct users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def no_model(number: int) -> NothingUsableError:
    """The error that a trial's model was not kept."""
    return NothingUsableError(
        f"no model of trial {number} was kept. An objective gives one beside its metrics: "
        "return {'loss': ..., 'model': model}; or evaluate best_trial once more",
        number=number,
    )
