"""Damage that goes deeper than what people see: to the sweep's own runs, its claims and seals.

The tables speak of the same sweep as those of `damages`. What is here either stands in a driver's
way (BLOCKING), breaks the chain of seals (BROKEN), or cannot be put right by MLflow (BY_HAND).
"""

from __future__ import annotations

from damages import LEDGER, PARENT, TRIAL

BLOCKING = {
    "the parent run was deleted": (
        [f"update runs set lifecycle_stage = 'deleted' where run_uuid = {PARENT}"],
        "the parent run",
    ),
    "the parent run is gone": ([PARENT], "the parent run"),
    "the pointer to the parent run is no run's id": (
        ["update params set value = 'x''y' where key = 'parent'"],
        "the parent run",
    ),
    "the pointer to the parent run is gone": (
        ["delete from params where key = 'parent'"],
        "record parent",
    ),
    "the pointer to the parent run is gone and the run was deleted": (
        [
            "delete from params where key = 'parent'",
            f"update runs set lifecycle_stage = 'deleted' where run_uuid = {PARENT}",
        ],
        "record parent",
    ),
    "the ledger run was deleted": (
        [f"update runs set lifecycle_stage = 'deleted' where run_uuid = {LEDGER}"],
        "the ledger run",
    ),
    "the declaration is torn": (
        [
            (
                "update tags set value = substr(value, 1, 100) "
                f"where key = 'lepton.declaration' and run_uuid = {LEDGER}"
            )
        ],
        "the declaration in the ledger run",
    ),
    "the declaration's digest is gone": (
        [f"delete from tags where key = 'lepton.declaration.digest' and run_uuid = {LEDGER}"],
        "the declaration in the ledger run",
    ),
    "the claim is gone": (
        ["delete from params where key = 'epoch/000001'"],
        "the claim of epoch 1",
    ),
    "a seal's header is gone": (
        ["delete from params where key = 'seal/00000001/000001'"],
        "the header of the seal of generation 1",
    ),
    "the register's tag is gone": (
        ["delete from experiment_tags where key = 'lepton.register'"],
        "tag lepton.register of the experiment lepton-register",
    ),
    "the register's tag is garbage": (
        ["update experiment_tags set value = '../x' where key = 'lepton.register'"],
        "tag lepton.register of the experiment lepton-register",
    ),
    "the register's experiment was renamed": (
        ["update experiments set name = 'mine' where name = 'lepton-register'"],
        "the experiment lepton-register",
    ),
    "the register's experiment is gone": (
        [
            "delete from experiment_tags where key = 'lepton.register'",
            "delete from experiments where name = 'lepton-register'",
        ],
        "the experiment lepton-register",
    ),
    "the entry is gone": (
        ["delete from params where key = 'sweep/demo'"],
        "its entry in the register",
    ),
    "the entry is garbage": (
        ["update params set value = '[[' where key = 'sweep/demo'"],
        "its entry in the register",
    ),
    "the entry names another run": (
        [
            (
                'update params set value = replace(value, \'"ledger":"\', \'"ledger":"0\') '
                "where key = 'sweep/demo'"
            )
        ],
        "its entry in the register",
    ),
    "the entry has another digest": (
        [
            (
                'update params set value = replace(value, \'"digest":"\', \'"digest":"0\') '
                "where key = 'sweep/demo'"
            )
        ],
        "its entry in the register",
    ),
    "the ledger's experiment was deleted": (
        [
            "update experiments set lifecycle_stage = 'deleted' where experiment_id = 2",
            "update runs set lifecycle_stage = 'deleted' where experiment_id = 2",
        ],
        "the experiment lepton-ledger",
    ),
    "the trials' experiment was deleted": (
        [
            "update experiments set lifecycle_stage = 'deleted' where experiment_id = 1",
            "update runs set lifecycle_stage = 'deleted' where experiment_id = 1",
        ],
        "the experiment lepton",
    ),
}


BROKEN = {
    "a seal was edited": (
        (
            "update params set value = replace(value, '0', '1') "
            "where key = 'seal/00000001/000001/0000'"
        ),
        "altered",
        1,
    ),
    "a seal's header is garbage": (
        "update params set value = '[[[[' where key = 'seal/00000000/000001'",
        "altered",
        0,
    ),
    "a seal is gone": (
        "delete from params where key like 'seal/00000001/%'",
        "missing",
        1,
    ),
    "the last seal is gone": (
        "delete from params where key like 'seal/00000002/%'",
        "missing",
        2,
    ),
}


BY_HAND = {
    "a param was edited": (
        [f"update params set value = '0.5' where key = 'x' and run_uuid = {TRIAL}"],
        "param x",
        "UPDATE params SET value",
    ),
    "a run was moved": (
        [f"update runs set experiment_id = 2 where run_uuid = {TRIAL}"],
        "its run",
        "UPDATE runs SET experiment_id",
    ),
    "the first run was moved": (
        ["update runs set experiment_id = 2 where name = 'gen00-00'"],
        "its run",
        "UPDATE runs SET experiment_id",
    ),
    "the parent run was moved": (
        [f"update runs set experiment_id = 2 where run_uuid = {PARENT}"],
        "the experiment of the parent run",
        "UPDATE runs SET experiment_id",
    ),
    "a claim's beginning was edited": (
        [
            (
                "update params set value = replace(value, 'from_generation\":0', "
                "'from_generation\":1') where key = 'epoch/000001'"
            )
        ],
        "record epoch/000001",
        "UPDATE params SET value",
    ),
    "a claim was added": (
        [
            (
                "insert into params select 'epoch/000002', "
                "replace(value, '\"epoch\":1', '\"epoch\":2'), run_uuid "
                "from params where key = 'epoch/000001'"
            )
        ],
        "record epoch/000002",
        "UPDATE params SET value",
    ),
    "a driver's settings are garbage": (
        ["update params set value = '{\"budget\": 3}' where key = 'settings/000001'"],
        "record settings/000001",
        "DELETE FROM params",
    ),
    "a driver's leaving was edited": (
        ["update params set value = 'x' where key = 'released/000001'"],
        "record released/000001",
        "DELETE FROM params",
    ),
}
