"""Estimators that train by a method of their own: `partial_fit`, and XGBoost's rounds."""
