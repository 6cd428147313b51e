"""The end of the demo: the best params found, and their loss against the default params' loss.

Both are measured on the same folds. Run it after ``lepton run examples/breast_cancer/sweep.yaml``.
"""

from __future__ import annotations

import json
import subprocess
import sys

from objective import cross_validate

NAME = "breast-cancer"


def main() -> None:
    """Read the best trial from the record, measure the defaults, print both."""
    command = [sys.executable, "-m", "lepton", "best", NAME, "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    best = json.loads(answer.stdout)["recommended"]
    tuned, default = cross_validate(best["params"]), cross_validate({})
    gain = 100 * (1 - tuned["loss"] / default["loss"])
    print("\n5-fold cross-validation on the same folds")
    print(f"{'':18}{'log loss':>10}{'accuracy':>10}")
    print(f"{'XGBoost defaults':18}{default['loss']:10.4f}{default['accuracy']:10.4f}")
    print(f"{'tuned by Lepton':18}{tuned['loss']:10.4f}{tuned['accuracy']:10.4f}")
    print(
        f"{gain:.0f} % less loss. These folds chose the params: on new data expect a little less."
    )


if __name__ == "__main__":
    main()
