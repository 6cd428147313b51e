"""``lepton serve``: nights on one machine, with a Prefect server of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from drivers import MARK, await_no_process, wait_until
from histories import assert_sound, full_list, trials
from ports import free_port
from scheduled import QUICK, Api

from lepton_tasks.prefect_server import scheduling_server


@pytest.fixture
def nightly(sweep_folder):
    """A sweep that a schedule may drive, under a name of its own."""
    name = f"night-{uuid.uuid4().hex[:8]}"
    sweep_folder.write(name=name, nightly={"trials": 12})
    return name


class Served:
    """A process that serves the sweep of a folder."""

    def __init__(self, folder: Path, home: Path, settings: dict[str, str]) -> None:
        self.mark, self.output = uuid.uuid4().hex, folder / f"served-{uuid.uuid4().hex}.txt"
        environment = {**os.environ, **QUICK, "PREFECT_HOME": str(home), MARK: self.mark}
        environment.pop("PREFECT_API_URL", None)
        environment.update(settings)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "lepton", "serve", "sweep.yaml"),
                    *("--cron", "0 2 * * *", "--port", "4330"),
                ],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def api(self) -> Api:
        """The API of its server, once it serves."""

        def serving() -> bool:
            assert self.process.poll() is None, self.said()
            return "Ctrl-C ends it" in self.said()

        wait_until(serving, "a sweep to be served")
        page = self.said().partition("Prefect UI: ")[2].splitlines()[0]
        return Api(page.partition("/deployments/")[0] + "/api")


@pytest.fixture
def serve(sweep_folder, tmp_path):
    started = []

    def start(**settings):
        started.append(Served(sweep_folder.path, tmp_path / "prefect", settings))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_served_sweep_goes_on_after_a_kill_and_ctrl_c_ends_it_cleanly(
    nightly, serve, sweep_folder, undisturbed
):
    pause = sweep_folder.path / "pause"
    pause.write_text("100")
    sweep_folder.let_objective_begin_with(f"    time.sleep(float(open({str(pause)!r}).read()))\n")
    served = serve()
    lost = served.api().run(nightly)
    wait_until(lambda: [r for r in trials(sweep_folder.path) if r.status == "RUNNING"], "a trial")
    served.process.kill()
    served.process.wait()

    def stopped():
        return {r.status for r in trials(sweep_folder.path)} == {"KILLED"}

    wait_until(stopped, "the run that nobody serves to stop")
    served = serve()
    api = served.api()
    assert api.state(lost)["name"] in ("Crashed", "Cancelled")
    assert api.deployment(nightly)["schedules"][0]["active"]
    second = serve()
    assert second.process.wait(60) == 4
    assert f"is served already, by process {served.process.pid} of this machine" in second.said()
    api.run(nightly)
    wait_until(lambda: [r for r in trials(sweep_folder.path) if r.status == "RUNNING"], "a trial")
    os.killpg(served.process.pid, signal.SIGINT)  # as a terminal does
    assert served.process.wait(60) == 0, served.said()
    assert "finishing the running trials" not in served.said()
    assert stopped()
    await_no_process(served.mark)
    pause.write_text("0")
    served = serve()
    api = served.api()
    assert api.deployment(nightly)["schedules"][0]["active"]
    assert api.await_final(api.run(nightly))["message"].startswith("finished: 12 of 12")
    assert "generation 2 sealed" in served.said()
    assert_sound(sweep_folder.path)
    assert full_list(sweep_folder.path) == undisturbed()[0]


def test_a_server_of_somebody_elses_is_waited_for_while_it_is_away(
    nightly, serve, tmp_path, monkeypatch
):
    database, port = tmp_path / "prefect.db", free_port()
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{database}")
    settings = {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # with 5 it takes minutes until a runner gives up
    }
    with scheduling_server(port):
        hasty = serve(**settings)
        hasty.api()
        hasty.process.send_signal(signal.SIGINT)  # it has hardly begun
        assert hasty.process.wait(60) in (0, 130), hasty.said()
        assert "Traceback" not in hasty.said()
        served = serve(**settings)
        served.api()
    wait_until(lambda: "it is waited for" in served.said(), "a server to be missed")
    with scheduling_server(port):
        wait_until(lambda: "serving again" in served.said(), "a server to be found again")
        api = Api(settings["PREFECT_API_URL"])
        assert api.await_final(api.run(nightly))["message"].startswith("finished: 12 of 12")
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0, served.said()
        assert api.deployment(nightly)["paused"]
