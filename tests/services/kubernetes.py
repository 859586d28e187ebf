"""A control plane on the loopback: etcd, kube-apiserver and its controllers, as `make kube` built them. No nodes."""

import json
import secrets
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.server import Server, Unavailable, cache, free_port

_CONTROLLERS: Final = (
    "deployment,replicaset,garbagecollector,namespace,serviceaccount,disruption,endpointslice,"
    "persistentvolumeclaim-protection-controller"
)


@dataclass
class ControlPlane:
    """The API server and what works behind it.

    Attributes:
        folder: data, logs, `kubeconfig` of an administrator, and `ca.crt`.
        port: of the API server, on 127.0.0.1.
        token: of an administrator.
    """

    folder: Path
    port: int
    token: str
    servers: list[Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def authority(self) -> Path:
        """The certificate that signed the API server's: its own."""
        return self.folder / "certs" / "apiserver.crt"

    def kubectl(
        self, *arguments: str, given: str | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as an administrator."""
        command = ["kubectl", f"--kubeconfig={self.folder / 'kubeconfig'}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, input=given, cwd=self.folder)
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        return done

    def read(self, *arguments: str) -> dict[str, Any]:
        """What `kubectl get` knows, as JSON; nothing where there is no such thing."""
        done = self.kubectl("get", "-o", "json", "--ignore-not-found", *arguments)
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A request of an administrator; FileNotFoundError where there is no such thing, OSError when refused."""
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310  # https
        request.add_header("Authorization", f"Bearer {self.token}")
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            patch = "application/strategic-merge-patch+json"
            request.add_header("Content-Type", patch if method == "PATCH" else "application/json")
        trusted = ssl.create_default_context(cafile=str(self.authority))
        try:
            with urllib.request.urlopen(request, data, timeout=20, context=trusted) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from None
            raise OSError(f"{method} {path}: {error.read().decode()[:500]}") from None

    def stop(self) -> None:
        """All of it."""
        for server in reversed(self.servers):
            server.kill()


def install() -> Path:
    """The folder of the programs; Unavailable where they were not built."""
    folder = cache().parent / "kube"
    for program in ("etcd", "kube-apiserver", "kube-controller-manager"):
        if not (folder / program).exists():
            raise Unavailable(f"Kubernetes: there is no {program}; `make kube` builds it")
    if shutil.which("kubectl") is None:
        raise Unavailable("Kubernetes: there is no kubectl")
    return folder


def start(folder: Path) -> ControlPlane:
    """A new control plane; ready when its own namespace `default` has an account."""
    programs = install()
    folder.mkdir(parents=True, exist_ok=True)
    store, peers, port, health = free_port(), free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    made = ControlPlane(folder, port, token)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    subprocess.run(["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True)
    urls = [f"--{kind}-urls=http://127.0.0.1:{store}" for kind in ("listen-client", "advertise-client")]
    urls += [f"--{kind}-urls=http://127.0.0.1:{peers}" for kind in ("listen-peer", "initial-advertise-peer")]
    command = [programs / "etcd", f"--data-dir={folder / 'etcd'}", *urls]
    command += [f"--initial-cluster=default=http://127.0.0.1:{peers}", "--unsafe-no-fsync"]
    made.servers.append(Server("etcd", [str(part) for part in command], folder, store))
    command = [
        programs / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{store}", "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={folder / 'certs'}",
        f"--token-auth-file={folder / 'tokens.csv'}", f"--service-account-key-file={folder / 'sa.key'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}", "--service-account-issuer=https://kubernetes.test",
        "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=false",
    ]  # fmt: skip
    api = Server("kube-apiserver", [str(part) for part in command], folder, port)
    api.ready = lambda: made.kubectl("get", "--raw=/readyz", check=False).stdout == "ok"
    made.servers.append(api)
    manager = [
        programs / "kube-controller-manager", f"--kubeconfig={folder / 'kubeconfig'}", f"--secure-port={health}",
        f"--service-account-private-key-file={folder / 'sa.key'}", f"--controllers={_CONTROLLERS}",
        f"--cert-dir={folder / 'manager'}", "--leader-elect=false", "--bind-address=127.0.0.1",
        f"--root-ca-file={folder / 'certs' / 'apiserver.crt'}", "--use-service-account-credentials=false",
    ]  # fmt: skip
    controllers = Server("kube-controller-manager", [str(part) for part in manager], folder, health)
    controllers.ready = lambda: bool(made.read("serviceaccount", "default", "-n", "default"))
    made.servers.append(controllers)
    _write_access(folder, made.url, token)
    try:
        for server in made.servers:
            server.start()
    except BaseException:
        made.stop()
        raise
    return made


def _write_access(folder: Path, url: str, token: str) -> None:
    # The API server makes its own certificate when it starts: an administrator of a test need not check it.
    access = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    }  # fmt: skip
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(access))
