"""The judge: models learned from the history, which choose among what the proposers propose."""
