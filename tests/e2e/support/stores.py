"""The stores that Longshore writes to: each a real server of the tests' own."""

import html
import io
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq

from support.kerberos import Kdc
from support.longshore import ROOT
from support.ports import free_port
from support.wait import wait_for, wait_port

HADOOP = ROOT / "target/stores/hadoop"
AZURITE = ROOT / "target/stores/azurite"

# Azurite's own, known to everybody.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Lake:
    """A store. `target` is what a job says of it; `env` what the program's environment says."""

    env = {}
    #: Whether a relation becomes visible by one rename.
    renames = True
    #: Finds a name that the store cannot hold.
    CANNOT_HOLD = re.compile("$.")

    def start(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def stop(self):
        pass

    @staticmethod
    def listing(root):
        """What a reader sees: the files of the relations' folders."""
        if not root.exists():
            return set()
        folders = (folder for folder in root.iterdir() if not folder.name.startswith("."))
        return {f"{folder.name}/{name}" for folder in folders for name in os.listdir(folder)}

    def _spawn(self, name, *command, env=None):
        log = (self.folder / f"{name}.log").open("a")
        return subprocess.Popen(
            list(map(str, command)),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )


class Local(Lake):
    def target(self, path, **options):
        return {"url": f"file://{self.folder / path}", **options}

    def files(self, path):
        root = self.folder / path
        found = (file for file in root.rglob("*") if file.is_file()) if root.exists() else ()
        return {str(file.relative_to(root)): file.read_bytes() for file in found}

    def put(self, path, data):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


class S3(Lake):
    renames = False

    def start(self, folder):
        super().start(folder)
        import sys

        self.port = free_port()
        self.server = self._spawn(
            "moto", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", self.port
        )
        wait_port(self.port)
        self.client().create_bucket(Bucket="lake")

    def stop(self):
        self.server.kill()
        self.server.wait()

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="id",
            aws_secret_access_key="key",
            region_name="us-east-1",
        )

    def target(self, path, **options):
        s3 = {"endpoint": f"http://127.0.0.1:{self.port}", "access_key_id": "id", "secret_access_key": "key"}
        return {"url": f"s3://lake/{path}", "s3": s3, **options}

    def _keys(self, path):
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=f"{path}/")
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def files(self, path):
        client = self.client()
        read = lambda key: client.get_object(Bucket="lake", Key=key)["Body"].read()
        return {key.removeprefix(f"{path}/"): read(key) for key in self._keys(path)}

    def put(self, path, data):
        self.client().put_object(Bucket="lake", Key=path, Body=data)

    def open_uploads(self, path=""):
        uploads = self.client().list_multipart_uploads(Bucket="lake").get("Uploads", [])
        return [upload for upload in uploads if upload["Key"].startswith(path)]


class Azure(Lake):
    renames = False
    CANNOT_HOLD = re.compile(r"\\|\.$")

    def start(self, folder):
        super().start(folder)
        self.port = free_port()
        program = AZURITE / "node_modules/.bin/azurite-blob"
        self.server = self._spawn(
            "azurite", program, "--silent", "--blobHost", "127.0.0.1", "--blobPort", self.port,
            "--location", folder, "--skipApiVersionCheck", "--disableTelemetry",
        )  # fmt: skip
        wait_port(self.port)
        self._ask("PUT", "lake", "restype=container").read()

    def stop(self):
        self.server.kill()
        self.server.wait()

    def _ask(self, method, path, query="", data=None, headers=None):
        """A request signed with the account's shared key."""
        import base64
        import hashlib
        import hmac
        from email.utils import formatdate
        from urllib.parse import parse_qsl, quote, unquote

        path = quote(path)
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06", **(headers or {})}
        length = str(len(data)) if data else ""
        pairs = "".join(f"\n{k}:{unquote(v)}" for k, v in sorted(parse_qsl(query, keep_blank_values=True)))
        canonical = "".join(f"{k}:{v}\n" for k, v in sorted(headers.items()))
        kind = "application/octet-stream" if data is not None else ""
        text = f"{method}\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{canonical}/devstoreaccount1/devstoreaccount1/{path}{pairs}"
        digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey devstoreaccount1:{base64.b64encode(digest).decode()}"
        if kind:
            headers["Content-Type"] = kind
        url = f"http://127.0.0.1:{self.port}/devstoreaccount1/{path}" + (f"?{query}" if query else "")
        return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method))

    def target(self, path, **options):
        azure = {
            "account": "devstoreaccount1",
            "endpoint": f"http://127.0.0.1:{self.port}/devstoreaccount1",
            "access_key": AZURE_KEY,
        }
        return {"url": f"azure://lake/{path}", "azure": azure, **options}

    def names(self, query=""):
        listed = self._ask("GET", "lake", f"comp=list{query}&restype=container").read().decode()
        return [html.unescape(name) for name in re.findall(r"<Name>(.*?)</Name>", listed)]

    def files(self, path):
        names = [name for name in self.names() if name.startswith(f"{path}/")]
        return {name.removeprefix(f"{path}/"): self._ask("GET", f"lake/{name}").read() for name in names}

    def put(self, path, data):
        self._ask("PUT", f"lake/{path}", data=data, headers={"x-ms-blob-type": "BlockBlob"}).read()


class Sftp(Lake):
    def start(self, folder):
        super().start(folder)
        self.port = free_port()
        self.root = folder / "root"
        self.root.mkdir()
        for key in ["host", "user"]:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        kind, key, *_ = (folder / "host.pub").read_text().split()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/sshd.pid\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\nMaxSessions 100\n"
            "Subsystem sftp internal-sftp\n"
        )
        self.serve()

    def serve(self):
        self.server = self._spawn("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "sshd_config")
        wait_port(self.port)

    def stop(self):
        self.server.terminate()
        self.server.wait()

    def target(self, path, **options):
        user = pwd.getpwuid(os.getuid()).pw_name
        sftp = {"key_file": str(self.folder / "user"), "known_hosts": str(self.folder / "known_hosts")}
        return {"url": f"sftp://{user}@127.0.0.1:{self.port}{self.root / path}", "sftp": sftp, **options}

    def files(self, path):
        root = self.root / path
        found = (file for file in root.rglob("*") if file.is_file()) if root.exists() else ()
        return {str(file.relative_to(root)): file.read_bytes() for file in found}

    def put(self, path, data):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


JVM = (
    "-Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Djava.net.preferIPv4Stack=true "
    "--add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED "
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"
).split()


class Hdfs(Lake):
    """A NameNode (or two) and DataNodes."""

    CANNOT_HOLD = re.compile(":")

    def __init__(self, nodes=1, replication=1):
        self.nodes, self.replication = nodes, replication
        self.processes = {}

    def start(self, folder):
        super().start(folder)
        self.port, self.http = free_port(), free_port()
        for app in ["hdfs", "datanode", "static"]:
            info = folder / "web/webapps" / app / "WEB-INF"
            info.mkdir(parents=True)
            (info / "web.xml").write_text(
                '<?xml version="1.0"?><web-app version="2.4" xmlns="http://java.sun.com/xml/ns/j2ee"></web-app>'
            )
        conf = folder / "conf"
        conf.mkdir()
        self._write_conf(conf)
        (conf / "log4j.properties").write_text(
            "log4j.rootLogger=INFO,console\nlog4j.appender.console=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.console.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n\n"
        )
        self.java("org.apache.hadoop.hdfs.server.namenode.NameNode", "-format", "-force", "-nonInteractive")
        self.start_namenode()
        for number in range(self.nodes):
            self.start_datanode(number)
        self.wait_usable()

    def _write_conf(self, conf):
        self.write_xml(
            conf / "core-site.xml",
            {"fs.defaultFS": f"hdfs://127.0.0.1:{self.port}", "hadoop.tmp.dir": self.folder / "tmp"},
        )
        self.write_xml(
            conf / "hdfs-site.xml",
            {
                "dfs.replication": self.replication,
                # Each block that is begun counts whole against the free disk, also when its writer failed.
                "dfs.blocksize": "16m",
                "dfs.namenode.name.dir": f"file://{self.folder}/name",
                "dfs.namenode.rpc-address": f"127.0.0.1:{self.port}",
                "dfs.namenode.http-address": f"127.0.0.1:{self.http}",
                "dfs.webhdfs.enabled": "false",
                "dfs.namenode.datanode.registration.ip-hostname-check": "false",
                "dfs.namenode.safemode.extension": 0,
                "dfs.namenode.fs-limits.min-block-size": 65536,
                "dfs.heartbeat.interval": 1,
                "dfs.namenode.heartbeat.recheck-interval": 1000,
                "dfs.namenode.stale.datanode.interval": 3000,
                "dfs.namenode.avoid.write.stale.datanode": "true",
                "dfs.namenode.edits.noeditlogchannelflush": "true",
                "dfs.permissions.superusergroup": "nobody-is-in-it",
            },
        )

    @staticmethod
    def write_xml(path, properties):
        lines = "".join(
            f"<property><name>{k}</name><value>{v}</value></property>\n" for k, v in properties.items()
        )
        path.write_text(f'<?xml version="1.0"?><configuration>\n{lines}</configuration>\n')

    def _command(self, *args):
        classpath = f"{self.folder / 'conf'}:{self.folder / 'web'}:{HADOOP}/*"
        return ["java", *JVM, "-cp", classpath, *map(str, args)]

    def java(self, *args, check=True):
        """Runs one of Hadoop's own commands and gives what it prints."""
        done = subprocess.run(
            self._command(*args), cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _serve(self, name, *args):
        self.processes[name] = self._spawn(name, *self._command(*args))

    def start_namenode(self):
        self._serve("namenode", "org.apache.hadoop.hdfs.server.namenode.NameNode")
        wait_port(self.port)

    def start_datanode(self, number):
        ports = [free_port() for _ in range(3)]
        names = ["dfs.datanode.address", "dfs.datanode.ipc.address", "dfs.datanode.http.address"]
        given = [
            word
            for name, port in zip(names, ports, strict=True)
            for word in ["-D", f"{name}=127.0.0.1:{port}"]
        ]
        data = ["-D", f"dfs.datanode.data.dir=file://{self.folder}/data{number}"]
        self._serve(f"datanode{number}", "org.apache.hadoop.hdfs.server.datanode.DataNode", *data, *given)

    def wait_usable(self, nodes=None):
        import json

        url = f"http://127.0.0.1:{self.http}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
        until = time.monotonic() + 120
        while True:
            try:
                state = json.load(urllib.request.urlopen(url, timeout=2))["beans"][0]
                if state["FSState"] == "Operational" and state["NumLiveDataNodes"] >= (nodes or self.nodes):
                    return
            except (OSError, IndexError):
                pass
            assert time.monotonic() < until, "HDFS did not become ready"
            time.sleep(0.1)

    def signal(self, name, how):
        self.processes[name].send_signal(how)
        if how == signal.SIGKILL:
            self.processes[name].wait()

    def safe_mode(self, how):
        self.java("org.apache.hadoop.hdfs.tools.DFSAdmin", "-safemode", how)

    def shell(self, *args, check=True):
        return self.java("org.apache.hadoop.fs.FsShell", *args, check=check)

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def target(self, path, **options):
        return {"url": f"hdfs://127.0.0.1:{self.port}/{path}", **options}

    def files(self, path):
        client = self.client()
        try:
            listed = [status.path for status in client.list_status(f"/{path}", True) if not status.isdir]
        except FileNotFoundError:
            return {}
        return {name.removeprefix(f"/{path}/"): client.read(name).read() for name in listed}

    def client(self):
        from hdfs_native import Client

        return Client(f"hdfs://127.0.0.1:{self.port}")

    def files_by_hadoop(self, path):
        """The same by Hadoop's own shell, which takes a JVM's start."""
        local = self.folder / "got"
        shutil.rmtree(local, ignore_errors=True)
        self.shell("-get", f"/{path}", local, check=False)
        found = (file for file in local.rglob("*") if file.is_file() and not file.name.endswith(".crc"))
        return {str(file.relative_to(local)): file.read_bytes() for file in found}

    def put(self, path, data):
        from hdfs_native import WriteOptions

        with self.client().create(f"/{path}", WriteOptions(overwrite=True)) as file:
            file.write(data)


class HdfsPair(Hdfs):
    """Two NameNodes, one of them active, over shared edits."""

    def _write_conf(self, conf):
        super()._write_conf(conf)
        self.ports = {"nn1": self.port, "nn2": free_port()}
        self.https = {"nn1": self.http, "nn2": free_port()}
        (self.folder / "shared").mkdir()
        self.write_xml(
            conf / "core-site.xml", {"fs.defaultFS": "hdfs://ns", "hadoop.tmp.dir": self.folder / "tmp"}
        )
        self.client_settings = {
            "dfs.nameservices": "ns",
            "dfs.ha.namenodes.ns": "nn1,nn2",
            **{f"dfs.namenode.rpc-address.ns.{name}": f"127.0.0.1:{port}" for name, port in self.ports.items()},
            "dfs.client.failover.proxy.provider.ns":
                "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider",
        }  # fmt: skip
        self.write_xml(
            conf / "hdfs-site.xml",
            {
                **self.client_settings,
                **{
                    f"dfs.namenode.http-address.ns.{name}": f"127.0.0.1:{port}"
                    for name, port in self.https.items()
                },
                "dfs.namenode.shared.edits.dir": f"file://{self.folder}/shared",
                "dfs.namenode.name.dir": f"file://{self.folder}/nn1",
                "dfs.ha.fencing.methods": "shell(/bin/true)",
                "dfs.ha.tail-edits.period": 1,
                "dfs.replication": 1,
                "dfs.webhdfs.enabled": "false",
                "dfs.namenode.safemode.extension": 0,
                "dfs.heartbeat.interval": 1,
                "dfs.namenode.datanode.registration.ip-hostname-check": "false",
                "dfs.namenode.edits.noeditlogchannelflush": "true",
            },
        )

    def java(self, *args, check=True):
        # Formatting and the like are done as the first of the two.
        if "namenode.NameNode" in args[0]:
            args = (args[0], "-D", "dfs.ha.namenode.id=nn1", *args[1:])
        return super().java(*args, check=check)

    def start_namenode(self):
        shutil.copytree(self.folder / "nn1", self.folder / "nn2")
        for name in ["nn1", "nn2"]:
            self.start_one(name)
        self.activate("nn1")

    def start_one(self, name):
        given = [
            "-D",
            f"dfs.ha.namenode.id={name}",
            "-D",
            f"dfs.namenode.name.dir=file://{self.folder}/{name}",
        ]
        self._serve(name, "org.apache.hadoop.hdfs.server.namenode.NameNode", *given)
        wait_port(self.ports[name])

    def activate(self, name):
        self.java("org.apache.hadoop.hdfs.tools.DFSHAAdmin", "-transitionToActive", name)

    def fail_over(self, one, other):
        self.java("org.apache.hadoop.hdfs.tools.DFSHAAdmin", "-transitionToStandby", one)
        self.activate(other)

    def target(self, path, **options):
        hdfs = {"conf_dir": str(self.folder / "conf"), **options.pop("hdfs", {})}
        return {"url": f"hdfs://ns/{path}", "hdfs": hdfs, **options}

    def client(self):
        from hdfs_native import Client

        return Client("hdfs://ns", self.client_settings)


class HdfsKerberos(Hdfs):
    """A NameNode and a DataNode that let nobody in without a ticket."""

    def start(self, folder):
        folder.mkdir()
        self.kdc = Kdc(folder, ["nn/localhost", "dn/localhost", "HTTP/localhost", "loader"])
        self.REALM, self.env = self.kdc.REALM, self.kdc.env
        super().start(folder)

    def _write_conf(self, conf):
        super()._write_conf(conf)
        folder = self.folder
        kerberos = {"hadoop.security.authentication": "kerberos", "hadoop.security.authorization": "true"}
        rules = (
            f"RULE:[2:$1@$0](nn@{self.REALM})s/.*/root/\nRULE:[2:$1@$0](dn@{self.REALM})s/.*/root/\nDEFAULT"
        )
        self.write_xml(
            conf / "core-site.xml",
            {
                "fs.defaultFS": f"hdfs://localhost:{self.port}",
                "hadoop.tmp.dir": folder / "tmp",
                "hadoop.rpc.protection": "privacy",
                "hadoop.security.auth_to_local": rules,
                **kerberos,
            },
        )
        keytab = lambda name: f"{folder}/{name}_localhost.kt"
        self.write_xml(
            conf / "hdfs-site.xml",
            {
                "dfs.replication": 1,
                "dfs.namenode.name.dir": f"file://{folder}/name",
                "dfs.namenode.rpc-address": f"localhost:{self.port}",
                "dfs.namenode.http-address": f"localhost:{self.http}",
                "dfs.webhdfs.enabled": "false",
                "dfs.namenode.safemode.extension": 0,
                "dfs.heartbeat.interval": 1,
                "dfs.namenode.datanode.registration.ip-hostname-check": "false",
                "dfs.block.access.token.enable": "true",
                "dfs.namenode.kerberos.principal": f"nn/localhost@{self.REALM}",
                "dfs.namenode.keytab.file": keytab("nn"),
                "dfs.datanode.kerberos.principal": f"dn/localhost@{self.REALM}",
                "dfs.datanode.keytab.file": keytab("dn"),
                "dfs.web.authentication.kerberos.principal": f"HTTP/localhost@{self.REALM}",
                "dfs.web.authentication.kerberos.keytab": keytab("HTTP"),
                "dfs.namenode.kerberos.internal.spnego.principal": f"HTTP/localhost@{self.REALM}",
                "ignore.secure.ports.for.testing": "true",
                "dfs.data.transfer.protection": "privacy",
                "dfs.encrypt.data.transfer.cipher.suites": "AES/CTR/NoPadding",
                "dfs.namenode.edits.noeditlogchannelflush": "true",
            },
        )

    def _command(self, *args):
        command = super()._command(*args)
        return [command[0], f"-Djava.security.krb5.conf={self.folder}/krb5.conf", *command[1:]]

    def wait_usable(self, nodes=None):
        # The pages of the NameNode want a ticket too; its log tells when a DataNode has said what it holds.
        log = self.folder / "namenode.log"
        wait_for(lambda: log.read_text().count("BLOCK* processReport") >= (nodes or self.nodes))

    def target(self, path, **options):
        hdfs = {"conf_dir": str(self.folder / "conf"), **options.pop("hdfs", {})}
        return {"url": f"hdfs://localhost:{self.port}/{path}", "hdfs": hdfs, **options}

    def stop(self):
        super().stop()
        self.kdc.stop()


STORES = {"local": Local, "s3": S3, "azure": Azure, "sftp": Sftp, "hdfs": Hdfs}


def job(program, lake, folder, name="job.yaml", source=None, **keys):
    options = keys.pop("target", {})
    source = source or {"url": "tpch:", "scale": 0.01, "text_mib": 1}
    return program.job(source, name, target=lake.target(folder, **options), **keys)


def visible(files):
    return {path: data for path, data in files.items() if not path.startswith(".longshore/")}


def rows(files, relation):
    parts = [data for path, data in files.items() if path.rpartition("/")[0] == relation]
    return sum(pq.read_metadata(io.BytesIO(data)).num_rows for data in parts)
