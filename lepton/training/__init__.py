"""Tuning while a model trains: what `Optimizer.minimize(..., steps=...)` does with each framework.

A population of members trains side by side. After each interval the worst go on from copies of the
better ones, with settings that the proposers propose (`lepton_core.population`); what trains a
member for one interval is an objective like any other (`interval`), so the ledger, the workers and
the proof by replay are those of every sweep.
"""
