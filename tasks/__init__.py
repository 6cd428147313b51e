"""The MLflow ledger, the worker processes that evaluate trials, and the Prefect tasks.

Imported as ``lepton_tasks``.
"""
