"""`ecompulse-worker` asks a job server where everything is, and tells Beam's worker."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as api
from apache_beam.portability.api import beam_provision_api_pb2_grpc as service
from apache_beam.runners.worker import sdk_worker_main

from ecompulse.runners import worker
from services.server import free_port


class Provision(service.ProvisionServiceServicer):
    """A job server's; remembers who asked."""

    asked = None

    def GetProvisionInfo(self, request, context):  # noqa: N802  # the protocol's name
        self.asked = dict(context.invocation_metadata())["worker_id"]
        info = api.ProvisionInfo(runner_capabilities=["a", "b"])
        info.control_endpoint.url, info.logging_endpoint.url = "here:1", "here:2"
        info.pipeline_options["beam:option:job_name:v1"] = "job"
        return api.GetProvisionInfoResponse(info=info)


@pytest.fixture
def server():
    made = grpc.server(ThreadPoolExecutor(1))
    made.provision = Provision()
    service.add_ProvisionServiceServicer_to_server(made.provision, made)
    made.port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    yield made
    made.stop(None)


@pytest.mark.parametrize("given", ["one", "'one'"], ids=["plain", "quoted, as Prism does"])
def test_it_becomes_a_worker_as_the_server_says(server, monkeypatch, given):
    told = {}
    monkeypatch.setattr(worker.os, "environ", told)
    monkeypatch.setattr(sdk_worker_main, "main", lambda _argv: None)
    arguments = [f"--id={given}", f"--provision_endpoint=127.0.0.1:{server.port}", "--semi_persist_dir=/tmp/x"]
    assert worker.main(arguments) == 0
    assert server.provision.asked == "one"
    assert json.loads(told.pop("PIPELINE_OPTIONS")) == {"beam:option:job_name:v1": "job"}
    assert told == {
        "WORKER_ID": "one",
        "RUNNER_CAPABILITIES": "a b",
        "CONTROL_API_SERVICE_DESCRIPTOR": 'url: "here:1"\n',
        "LOGGING_API_SERVICE_DESCRIPTOR": 'url: "here:2"\n',
    }


def test_a_server_that_is_not_there_is_one_line(capsys):
    port = free_port()
    assert worker.main(["--id=one", f"--provision_endpoint=127.0.0.1:{port}"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ecompulse-worker: --provision_endpoint: 127.0.0.1:{port}: ")


def test_without_an_endpoint_it_is_wrong_use(capsys):
    with pytest.raises(SystemExit, match="2"):
        worker.main(["--id=one"])
    assert "--provision_endpoint" in capsys.readouterr().err
