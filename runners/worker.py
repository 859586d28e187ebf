"""`ecompulse-worker`: what a job server of Beam's starts for `--environment_type=PROCESS`, one per worker.

A job server runs one command, with `--id` and `--provision_endpoint`, and expects of it what the start program of
Beam's containers does: to ask where everything is, and to become a worker. This one does that in the Python that it is
installed in. It fetches no staged packages: everything that a pipeline imports is to be installed beside it.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SECONDS: Final = 60.0
"""For the server to say where everything is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Be a worker until the job server lets go of it."""
    parser = argparse.ArgumentParser(prog="ecompulse-worker", description=__doc__)
    parser.add_argument("--id", required=True, help="name of the worker, as the job server calls it")
    parser.add_argument("--provision_endpoint", required=True, metavar="HOST:PORT", help="who says what is to be done")
    given, _ = parser.parse_known_args(argv)  # servers add what they like
    worker = given.id.strip("'")  # Prism quotes it for a shell that is not there
    try:
        info = provision(given.provision_endpoint, worker)
    except ConnectionError as error:
        sys.stderr.write(f"ecompulse-worker: --provision_endpoint: {error}\n")
        return 1
    os.environ.update(environment(worker, info))
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415  # seconds; wrong use is told before

    sdk_worker_main.main(sys.argv)
    return 0


def provision(endpoint: str, worker: str) -> Any:
    """What the job server at `endpoint` tells this worker; ConnectionError when it does not answer."""
    import grpc  # noqa: PLC0415  # a second
    from apache_beam.portability.api import beam_provision_api_pb2 as api  # noqa: PLC0415
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as service  # noqa: PLC0415

    with grpc.insecure_channel(endpoint) as channel:
        stub = service.ProvisionServiceStub(channel)
        try:
            request = api.GetProvisionInfoRequest()
            answer = stub.GetProvisionInfo(request, metadata=[("worker_id", worker)], timeout=_SECONDS)
        except grpc.RpcError as error:
            raise ConnectionError(f"{endpoint}: {error.details()}") from error
    return answer.info


def environment(worker: str, info: Any) -> Mapping[str, str]:
    """How Beam's worker is told: environment variables."""
    from google.protobuf import json_format, text_format  # noqa: PLC0415  # with Beam

    endpoints = {"CONTROL": info.control_endpoint, "LOGGING": info.logging_endpoint, "STATUS": info.status_endpoint}
    told = {
        f"{name}_API_SERVICE_DESCRIPTOR": text_format.MessageToString(endpoint)
        for name, endpoint in endpoints.items()
        if endpoint.url
    }
    return {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        **told,
    }


if __name__ == "__main__":
    sys.exit(main())
