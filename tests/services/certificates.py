"""A certificate authority of a day, for servers that speak TLS on 127.0.0.1."""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key


@dataclass(frozen=True)
class Certificates:
    """PEM files.

    Attributes:
        authority: that clients trust.
        chain: of the server, for `localhost` and 127.0.0.1.
        key: of the server.
        both: key and chain in one file.
    """

    authority: Path
    chain: Path
    key: Path
    both: Path


def make_certificates(folder: Path) -> Certificates:
    """Write a new authority and one certificate of it below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key", folder / "both.pem")
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(made.authority))
    key = load_pem_private_key(server.private_key_pem.bytes(), None)
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # Java reads no other
    made.chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    made.both.write_bytes(made.key.read_bytes() + made.chain.read_bytes())
    made.key.chmod(0o600)
    made.both.chmod(0o600)
    return made
