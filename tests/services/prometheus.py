"""Prometheus and promtool, of Debian, and Alertmanager, built with Go."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from services.debian import binary_of
from services.server import Server, Unavailable, cache, exclusive, free_port, run

_PROMETHEUS: Final = ("prometheus",)
_ALERTMANAGER: Final = "github.com/prometheus/alertmanager/cmd/alertmanager@v0.28.1"

_ROUTES: Final = """
route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
receivers:
- name: hook
  webhook_configs: [{{url: '{url}', send_resolved: true}}]
"""


def promtool(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; Unavailable where there is none."""
    binary = binary_of("promtool", _PROMETHEUS)
    return subprocess.run([binary, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def _alertmanager() -> Path:
    """This machine's own, else built with Go, a minute once: Debian's wants templates below /usr/share."""
    for name in ("alertmanager", "prometheus-alertmanager"):
        if own := shutil.which(name):
            return Path(own)
    binary = cache() / "alertmanager" / "alertmanager"
    with exclusive(cache() / "alertmanager.lock"):
        if not binary.exists():
            if shutil.which("go") is None:
                raise Unavailable("there is no alertmanager on the path, and no Go to build it with")
            binary.parent.mkdir(exist_ok=True)
            run(["env", f"GOBIN={binary.parent}", "GOFLAGS=-p=1", "go", "install", _ALERTMANAGER], "Alertmanager")
    return binary


def start_alertmanager(folder: Path, hook: str, config: str | None = None) -> Server:
    """Alertmanager that tells a webhook of every alert at once, or has this configuration. Facts: `url`."""
    binary = _alertmanager()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "alertmanager.yml"
    settings.write_text(config or _ROUTES.format(url=hook))
    port = free_port()
    command = [
        str(binary), f"--config.file={settings}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    return Server(
        "alertmanager", command, folder, port, facts={"url": url}, ready=lambda: _ok(f"{url}/-/ready")
    ).start()


def start_prometheus(
    folder: Path, scraped: Sequence[str], rules: Sequence[Path] = (), alertmanager: str | None = None
) -> Server:
    """Prometheus that scrapes these addresses every half second, and tells an Alertmanager. Facts: `url`."""
    binary = binary_of("prometheus", _PROMETHEUS)
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "prometheus.yml"
    managers = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    jobs = [{"job_name": "shop", "honor_labels": True, "static_configs": [{"targets": list(scraped)}]}]
    settings.write_text(
        json.dumps({"global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"}, "scrape_configs": jobs,
                    "rule_files": [str(rule) for rule in rules], "alerting": {"alertmanagers": managers}})
    )  # fmt: skip
    port = free_port()
    command = [
        str(binary), f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    return Server("prometheus", command, folder, port, facts={"url": url}, ready=lambda: _ok(f"{url}/-/ready")).start()


def asked(server: Server, query: str) -> list[dict[str, Any]]:
    """The answer of Prometheus to an instant query."""
    url = f"{server.facts['url']}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own server
        told = json.load(answer)
    assert told["status"] == "success", told
    found: list[dict[str, Any]] = told["data"]["result"]
    return found


def _ok(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own server
        return bool(answer.status == 200)
