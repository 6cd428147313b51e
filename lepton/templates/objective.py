"""The objective: called once for each trial, in a process of its own."""

from sklearn.datasets import load_wine
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, y = load_wine(return_X_y=True)


def objective(trial):
    """Return the number to minimise, or a dict of metrics with that number under "loss".

    The trial reads like a mapping of params; it also has trial.seed and trial.number. Its MLflow
    run is active here: mlflow.log_metric(...), mlflow.autolog() and artifacts land on it.
    """
    model = make_pipeline(StandardScaler(), SVC(**trial, random_state=trial.seed))
    return 1.0 - cross_val_score(model, X, y, cv=5).mean()
