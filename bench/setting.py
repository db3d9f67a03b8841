"""What sections share: a scratch folder, PostgreSQL with `lineitem`, and jobs. The servers are those of the tests."""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path

import rows
from support.longshore import LONGSHORE, PASSWORD, PLUGINS, ROOT
from support.postgres import Server

PYTHON = sys.executable
PEERS = ROOT / "bench/peers.py"
TPCHGEN = Path(PYTHON).parent / "tpchgen-cli"

LINEITEM = """CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL,
    l_linenumber integer NOT NULL, l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL,
    l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL,
    l_comment varchar(44) NOT NULL)"""


class Setting:
    """A scratch folder, and servers that start when a section asks for them."""

    def __init__(self, runs, scale, size):
        self.runs, self.scale, self.size = runs, scale, size
        self.scratch = Path(tempfile.mkdtemp(prefix="longshore-bench."))
        self.scratch.chmod(0o755)
        (self.scratch / "cache").mkdir(mode=0o700)
        self.lake = self.scratch / "lake"
        self.env = {
            "PGPASSWORD": PASSWORD,
            "LONGSHORE_CACHE": str(self.scratch / "cache"),
            "LONGSHORE_STATE": str(self.scratch / "state"),
            "LONGSHORE_PLUGINS": str(PLUGINS),
        }
        self.stopping = []

    def close(self):
        for stop in self.stopping:
            stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    @cached_property
    def server(self):
        """A PostgreSQL."""
        server = Server(self.scratch / "postgres")
        self.stopping.append(server.stop)
        return server

    @cached_property
    def lineitem(self):
        """The fingerprint of `lineitem`, which is then in the server."""
        self.load_lineitem(self.server, self.scale)
        return self.fingerprint("lineitem")

    def fingerprint(self, table):
        """Of a table of the server."""
        return rows.of_postgres(self.server, table, PASSWORD)

    def load_lineitem(self, server, scale):
        folder = self.scratch / "tbl"
        command = [TPCHGEN, "tbl", "-s", str(scale), "--tables=lineitem", f"--output-dir={folder}"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with server.connect() as connection:
            connection.execute(LINEITEM)
            with connection.cursor() as cursor, (folder / "lineitem.tbl").open("rb") as lines:
                with cursor.copy("COPY lineitem FROM STDIN (DELIMITER '|')") as copy:
                    while block := lines.readlines(8 << 20):
                        copy.write(b"".join(line[:-2] + b"\n" for line in block))
            connection.execute("VACUUM (FREEZE, ANALYZE) lineitem")
        shutil.rmtree(folder)

    def generated(self, format_):
        """A file of `lineitem` by the official generator."""
        folder = self.scratch / "generated"
        command = [
            TPCHGEN, format_, "-s", str(self.scale), "--tables=lineitem", f"--output-dir={folder}"
        ]  # fmt: skip
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return folder / f"lineitem.{format_}"

    def job(self, source, table, **keys):
        path = self.scratch / f"{table}.json"
        target = {"url": f"file://{self.lake}", "compression": "snappy"}
        path.write_text(json.dumps({"source": source, "tables": [table], "target": target, **keys}))
        return path

    def postgres_source(self, port=None):
        port = port or self.server.port
        url = f"postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        return {"url": url, "password": {"env": "PGPASSWORD"}}

    def run(self, job, *options):
        return [LONGSHORE, *options, "run", job]
