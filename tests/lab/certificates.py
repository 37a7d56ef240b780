"""An authority of the lab's own, and the certificates that libvirt wants for qemu+tls and QEMU for a move."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SETTINGS = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = keyCertSign
[server]
basicConstraints = critical, CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:{name}, IP:{address}
[client]
basicConstraints = critical, CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
"""


def make_authority(folder: Path) -> None:
    """Make an authority and the certificate of its one client: a folder as `?pkipath=` names it."""
    folder.mkdir()
    certify(folder, "authority", "ca", self_signed=True)
    certify(folder, "client", "client")


def make_server_certificate(folder: Path, name: str, address: str) -> None:
    """Make the certificate of a host that is reached by its name or its address."""
    certify(folder, "server", name, name=name, address=address)


def give_to_qemu(folder: Path, name: str, qemu: Path) -> None:
    """Lay the host's certificates into the folder `qemu`, under the names that QEMU wants."""
    qemu.mkdir(parents=True)
    for ours, theirs in (("ca", "ca"), (name, "server"), ("client", "client")):
        shutil.copy(folder / f"{ours}cert.pem", qemu / f"{theirs}-cert.pem")
        if ours != "ca":
            shutil.copy(folder / f"{ours}key.pem", qemu / f"{theirs}-key.pem")


def certify(
    folder: Path,
    use: str,
    file: str,
    *,
    self_signed: bool = False,
    name: str = "lab",
    address: str = "127.0.0.1",
) -> None:
    """Write `<file>key.pem` and `<file>cert.pem`, signed by the folder's authority or by itself."""
    (folder / "openssl.cnf").write_text(SETTINGS.format(name=name, address=address))
    signer = [] if self_signed else ["-CA", folder / "cacert.pem", "-CAkey", folder / "cakey.pem"]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-config", folder / "openssl.cnf", "-extensions", use, *signer),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *(
                "-subj",
                f"/CN={file}",
                "-keyout",
                folder / f"{file}key.pem",
                "-out",
                folder / f"{file}cert.pem",
            ),
        ],
        check=True,
        capture_output=True,
    )
