"""A process whose log nobody reads any more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from prefect.logging import get_logger
from prefect.logging.configuration import setup_logging
from lepton_tasks.console_pipe import outlive_reader

setup_logging()
if sys.argv[1] == "outlive":
    outlive_reader()
log = get_logger("night")
log.info("read")
sys.stdin.readline()
for _ in range(3):
    log.info("not read")
    print("nor this", flush=True)
open(sys.argv[2], "w").close()
"""


@pytest.mark.parametrize(("how", "survives"), [("outlive", True), ("plainly", False)])
def test_prefects_log_ends_a_process_that_nobody_reads_unless_it_outlives_its_reader(
    how, survives, tmp_path
):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, how, str(tmp_path / "done")],
        env={**os.environ, "PREFECT_LOGGING_LEVEL": "INFO"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert b"read" in process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"go on\n")
        process.stdin.close()
        code = process.wait(60)
    assert (code == 0, (tmp_path / "done").exists()) == (survives, survives)
