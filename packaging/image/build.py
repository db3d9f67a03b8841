#!/usr/bin/env python3
"""An OCI image of a Debian package, as an archive. It pulls no image and needs no daemon, no root and no container tool.

Beneath Longshore lie only the files of Debian that its libraries are, from packages that `apt-get download` brings.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

PACKAGING = Path(__file__).resolve().parents[1]

#: Who Longshore is in the container.
UID = 10001

#: Debian's packages: what the program needs, and what each part adds. `test_image.py` loads all libraries.
BASE = ["base-files", "ca-certificates", "libc6", "libgcc-s1"]
PARTS = {
    "odbc": ["libltdl7", "libodbc2"],
    "kerberos": [
        "libcom-err2",
        "libgssapi-krb5-2",
        "libk5crypto3",
        "libkeyutils1",
        "libkrb5-3",
        "libkrb5support0",
        "libssl3",
    ],
}

#: What the image has of these packages: libraries, the name of the system, licences.
KEPT = re.compile(r"(usr/)?lib(64)?/.*|usr/share/doc/[^/]+/copyright|etc/(os-release|debian_version)")
#: The conversions of iconv, 8 MiB: only unixODBC may ask for them.
ICONV = re.compile(r"usr/lib/[^/]+/gconv/.*")
#: Not needed to run anything.
LEFT_OUT = re.compile(r".*/(audit/.*|lib(BrokenLocale|memusage|pcprofile|nsl|nss_\w+|thread_db)[.-].*)")

#: The process of ODBC drivers: without their manager, Longshore says that ODBC is not there.
ODBC = "usr/lib/longshore/longshore-odbc"

STATE, CACHE, INBOX = "var/lib/longshore", "var/cache/longshore", "var/lib/longshore/inbox"

CONFIG = {
    "User": f"{UID}:{UID}",
    "Env": [
        "PATH=/usr/bin",
        "HOME=/tmp",
        f"LONGSHORE_STATE=/{STATE}",
        # A folder of its own: what is mounted may be root's, and open to all.
        f"LONGSHORE_CACHE=/{CACHE}/compiled",
        "LONGSHORE_SECRETS=/run/secrets",
    ],
    "Entrypoint": ["/usr/bin/longshore"],
    "Cmd": ["serve", "--inbox", f"/{INBOX}"],
    "Volumes": {f"/{STATE}": {}, f"/{CACHE}": {}, "/tmp": {}},
    "WorkingDir": f"/{STATE}",
    "StopSignal": "SIGTERM",
    # Docker's; others take it as a flag.
    "Healthcheck": {
        "Test": ["CMD", "/usr/bin/longshore", "--server", f"unix:/{STATE}/api.sock", "runs", "--limit", "1"],
        "Interval": 30_000_000_000,
        "Timeout": 10_000_000_000,
    },
}


def main() -> None:
    args = arguments()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    version = deb_field(args.deb, "Version").rpartition("-")[0]
    with tempfile.TemporaryDirectory() as scratch:
        longshore = Blob.of(longshore_layer(args.deb, args.cluster, Path(scratch), epoch))
        for parts in args.images or [[], sorted(PARTS)]:
            below = debian_layer(packages(args.debs, parts), "odbc" in parts, Path(scratch), epoch)
            if "odbc" in parts:
                below.copy(extracted(args.deb, Path(scratch)) / ODBC, ODBC)
            variant = [*(["cluster"] if args.cluster else []), *parts]
            archive = args.out / f"longshore-{'-'.join([version, 'image', *variant])}.tar"
            write_archive(archive, [Blob.of(below), longshore], version, "-".join([version, *variant]), epoch)
            print(archive)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("deb", type=Path, help="the package of Longshore")
    parser.add_argument("out", type=Path, help="the folder for the archive")
    parser.add_argument(
        "--debs", type=Path, required=True, help="Debian's packages; missing ones are downloaded"
    )
    parser.add_argument(
        "--cluster",
        type=Path,
        metavar="PROGRAM",
        help="the program `longshore-cluster`: the image has it in the place of `longshore`",
    )
    parser.add_argument(
        "--parts",
        dest="images",
        action="append",
        type=read_parts,
        help=f"of one image, such as {','.join(sorted(PARTS))}; may be repeated; without it, one with all and one with none",
    )
    return parser.parse_args()


def read_parts(text: str) -> list[str]:
    parts = sorted({part for part in text.split(",") if part})
    if unknown := [part for part in parts if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part `{unknown[0]}`: there are {', '.join(sorted(PARTS))}")
    return parts


def fail(message: str) -> None:
    sys.exit(f"image: {message}")


# Debian's packages


def deb_field(deb: Path, name: str) -> str:
    done = subprocess.run(["dpkg-deb", "--field", deb, name], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{deb}: not a Debian package: `make deb` makes one")
    return done.stdout.strip()


def packages(folder: Path, parts: list[str]) -> list[Path]:
    """The .deb files of an image."""
    names = sorted([*BASE, *(name for part in parts for name in PARTS[part])])
    done = subprocess.run([PACKAGING / "debian.sh", folder, *names], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return [Path(line) for line in done.stdout.splitlines()]


# Layers


@dataclass
class Layer:
    """A tar whose entries, order and times depend on nothing but its content."""

    epoch: int
    entries: dict[str, tuple[tarfile.TarInfo, bytes]] = field(default_factory=dict)

    def add(
        self, path: str, kind: bytes, mode: int, content: bytes = b"", link: str = "", owner: int = 0
    ) -> None:
        for parent in reversed(Path(path).parents[:-1]):
            if str(parent) not in self.entries:
                self.add(str(parent), tarfile.DIRTYPE, 0o755)
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.mtime, info.linkname = kind, mode, self.epoch, link
        info.uid = info.gid = owner
        info.size = len(content)
        self.entries[path] = (info, content)

    def folder(self, path: str, mode: int, owner: int) -> None:
        self.add(path, tarfile.DIRTYPE, mode, owner=owner)

    def file(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        self.add(path, tarfile.REGTYPE, mode, content if isinstance(content, bytes) else content.encode())

    def copy(self, source: Path, path: str) -> None:
        if source.is_symlink():
            self.add(path, tarfile.SYMTYPE, 0o777, link=os.readlink(source))
        elif source.is_file():
            mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
            self.file(path, source.read_bytes(), mode)

    def tar(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for _, (info, content) in sorted(self.entries.items()):
                tar.addfile(info, io.BytesIO(content))
        return out.getvalue()


def extracted(deb: Path, scratch: Path) -> Path:
    folder = scratch / deb.stem
    if folder.exists():
        return folder
    subprocess.run(["dpkg-deb", "--extract", deb, folder], check=True)
    return folder


def debian_layer(debs: list[Path], iconv: bool, scratch: Path, epoch: int) -> Layer:
    layer = Layer(epoch)
    certificates = []
    for deb in debs:
        folder = extracted(deb, scratch)
        for source in sorted(folder.rglob("*")):
            path = source.relative_to(folder).as_posix()
            if path.startswith("usr/share/ca-certificates/") and source.is_file():
                certificates.append(source.read_text().strip() + "\n")
            if KEPT.fullmatch(path) and not LEFT_OUT.fullmatch(path) and (iconv or not ICONV.fullmatch(path)):
                layer.copy(source, path)
        # Where scanners look for packages in images without dpkg.
        control = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True).stdout
        layer.file(f"var/lib/dpkg/status.d/{deb.name.partition('_')[0]}", control)
    layer.file("etc/ssl/certs/ca-certificates.crt", "".join(certificates))
    layer.file("etc/passwd", f"root:x:0:0::/:/none\nlongshore:x:{UID}:{UID}::/{STATE}:/none\n")
    layer.file("etc/group", f"root:x:0:\nlongshore:x:{UID}:\n")
    layer.file("etc/nsswitch.conf", "hosts: files dns\n")
    layer.folder("tmp", 0o1777, 0)
    return layer


def longshore_layer(deb: Path, cluster: Path | None, scratch: Path, epoch: int) -> Layer:
    layer = Layer(epoch)
    folder = extracted(deb, scratch)
    layer.copy(cluster or folder / "usr/bin/longshore", "usr/bin/longshore")
    if cluster:
        layer.add("usr/bin/longshore-cluster", tarfile.SYMTYPE, 0o777, link="longshore")
    for source in sorted((folder / "usr/lib/longshore").rglob("*")):
        if source != folder / ODBC:
            layer.copy(source, source.relative_to(folder).as_posix())
    layer.file(
        "usr/share/doc/longshore/copyright", (folder / "usr/share/doc/longshore/copyright").read_bytes()
    )
    # Machine code for any processor, so that the first job need not wait for the compiler.
    compiled = scratch / "compiled"
    command = [folder / "usr/bin/longshore", "plugin", "compile", "--portable", compiled]
    done = subprocess.run(command, env={"HOME": str(scratch)}, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"compiling the plugins: {done.stderr}")
    for code in compiled.glob("*.cwasm.zst"):
        layer.copy(code, f"usr/lib/longshore/compiled/{code.name}")
    for path in [STATE, INBOX, CACHE]:
        layer.folder(path, 0o700, UID)
    return layer


# The archive


@dataclass
class Blob:
    """A layer, compressed, and the digest of what it was."""

    content: bytes
    diff_id: str

    @classmethod
    def of(cls, layer: Layer) -> "Blob":
        tar = layer.tar()
        level = int(os.environ.get("GZIP_LEVEL", "9"))
        return cls(gzip.compress(tar, level, mtime=0), f"sha256:{hashlib.sha256(tar).hexdigest()}")


def write_archive(archive: Path, layers: list[Blob], version: str, tag: str, epoch: int) -> None:
    """An image layout of OCI in a tar: blobs by their digests, and an index that leads to them."""
    out = Layer(epoch)

    def blob(content: bytes, media_type: str) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        out.file(f"blobs/sha256/{digest}", content)
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    def blob_of(value: dict, media_type: str) -> dict:
        return blob(as_json(value), f"{media_type}+json")

    config = {
        "created": moment(epoch),
        "architecture": "amd64",
        "os": "linux",
        "config": {**CONFIG, "Labels": labels(version, epoch)},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": moment(epoch), "comment": "the libraries of Debian"},
            {"created": moment(epoch), "comment": f"longshore {version}"},
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob_of(config, "config.v1"),
        "layers": [blob(layer.content, "layer.v1.tar+gzip") for layer in layers],
    }
    entry = blob_of(manifest, "manifest.v1")
    # Podman's, and that of Docker and containerd.
    entry["annotations"] = {
        "org.opencontainers.image.ref.name": f"longshore:{tag}",
        "io.containerd.image.name": f"localhost/longshore:{tag}",
    }
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    out.file("index.json", as_json({"schemaVersion": 2, "manifests": [entry]}))
    out.file("oci-layout", as_json({"imageLayoutVersion": "1.0.0"}))
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(out.tar())


def labels(version: str, epoch: int) -> dict[str, str]:
    return {
        f"org.opencontainers.image.{key}": value
        for key, value in {
            "title": "longshore",
            "description": "Moves tables out of databases into a data lake",
            "version": version,
            "created": moment(epoch),
            "licenses": "Apache-2.0",
        }.items()
    }


def moment(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_json(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
