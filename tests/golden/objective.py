"""The objective of the golden sweeps: every ending that a trial can have, by its number."""

import math
import os
import time

import mlflow


def objective(trial):
    ending = os.environ.get("GOLDEN_ENDINGS", "").split(",")
    match ending[trial.number % len(ending)]:
        case "exception":
            raise ValueError(f"trial {trial.number} could not be measured: ü, \t and \\")
        case "nan":
            return math.nan
        case "inf":
            return -math.inf
        case "none":
            return None
        case "type":
            return "a text"
        case "timeout":
            time.sleep(60)
        case "memory":
            raise MemoryError
        case "crashed":
            os._exit(7)
    mlflow.set_tag("color", "blue / blau")
    mlflow.log_param("note", "by the objective")
    for step in range(3):
        mlflow.log_metric("epoch_loss", math.nan if step == 2 else 1 / (step + 1), step=step)
    time.sleep(float(os.environ.get("GOLDEN_PAUSE", "0")))
    numbers = [v for v in trial.values() if isinstance(v, float | int) and not isinstance(v, bool)]
    value = sum((n / (1 + abs(n)) - 0.3) ** 2 for n in numbers)
    return {"loss": value + len(trial) / 100, "seen": len(trial)}
