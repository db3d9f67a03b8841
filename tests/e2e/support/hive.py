"""HiveServer2: Spark's Thrift Server, which is a real one; and a server that answers as Impala does."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from impala.dbapi import connect

from support.longshore import ROOT
from support.ports import free_port
from support.wait import wait_port

SPARK = ROOT / "target/stores/spark"

#: What Spark needs of a JVM as new as this.
OPENS = [
    "java.base/" + package
    for package in ("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
                    "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs",
                    "sun.security.action", "sun.util.calendar")
]  # fmt: skip

LOG = """
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
"""


#: What its log says when it does not go on.
FAULT = re.compile("OutOfMemory|uncaught|[Ss]topping|shutting down|No space left|Cannot allocate")

#: What a client hears then. Spark's scheduler gives up its whole context on some of its own faults.
LOST = ["SparkContext was shut down", "stopped SparkContext"]

#: What servers that were lost had to say, for the end of the tests.
last_words = []


class HiveServer:
    """A HiveServer2 with a warehouse of its own."""

    def __init__(self, folder, memory="1536m", kdc=None, **settings):
        self.folder, self.port = Path(folder), free_port()
        self.folder.mkdir()
        for name in ("conf", "warehouse", "tmp"):
            (self.folder / name).mkdir()
        site = {
            "hive.server2.thrift.port": self.port,
            "hive.server2.thrift.http.port": self.port,
            "hive.server2.thrift.bind.host": "127.0.0.1",
            "hive.server2.authentication": "NOSASL",
            "hive.server2.enable.doAs": "false",
            # A thread is kept for a minute after its connection, and a machine may give few.
            "hive.server2.thrift.min.worker.threads": 2,
            "hive.server2.thrift.max.worker.threads": 64,
            "hive.server2.thrift.worker.keepalive.time": "1s",
            "hive.server2.async.exec.threads": 16,
            "hive.server2.async.exec.keepalive.time": "1s",
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.folder}/metastore;create=true",
            "hive.metastore.schema.verification": "false",
            "hive.exec.scratchdir": f"file://{self.folder}/tmp/hive",
            "hive.exec.dynamic.partition.mode": "nonstrict",
            **settings,
        }
        properties = "".join(
            f"<property><name>{name}</name><value>{value}</value></property>" for name, value in site.items()
        )
        (self.folder / "conf/hive-site.xml").write_text(f"<configuration>{properties}</configuration>")
        (self.folder / "conf/log4j2.properties").write_text(LOG)
        if kdc:
            secure = "<property><name>hadoop.security.authentication</name><value>kerberos</value></property>"
            (self.folder / "conf/core-site.xml").write_text(f"<configuration>{secure}</configuration>")
        spark = {
            "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
            "spark.sql.warehouse.dir": f"file://{self.folder}/warehouse", "spark.sql.shuffle.partitions": "2",
            "spark.sql.catalogImplementation": "hive",
            # Its metastore in a Derby cannot always be asked for partitions by a filter: then for all of them.
            "spark.sql.hive.metastorePartitionPruningFallbackOnException": "true",
            # What nobody looks at need not be kept.
            "spark.ui.retainedJobs": "20", "spark.ui.retainedStages": "20", "spark.ui.retainedTasks": "100",
            "spark.sql.ui.retainedExecutions": "20", "spark.sql.thriftserver.ui.retainedStatements": "20",
            # Else it holds all of a result.
            "spark.sql.thriftServer.incrementalCollect": "true",
        }  # fmt: skip
        realm = [f"-Djava.security.krb5.conf={kdc.env['KRB5_CONFIG']}"] if kdc else []
        opens = [f"--add-opens={package}=ALL-UNNAMED" for package in OPENS]
        self.command = [
            "java",
            f"-Xmx{memory}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            # Spark's own classes need not be verified; and a catalog that is thrown away need not be safe on disk.
            "-XX:+UnlockDiagnosticVMOptions",
            "-XX:-BytecodeVerificationRemote",
            "-Dderby.system.durability=test",
            "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
            *opens,
            *realm,
            f"-Dderby.system.home={self.folder}",
            f"-Djava.io.tmpdir={self.folder}/tmp",
            "-cp",
            f"{self.folder}/conf:{SPARK}/*",
            "org.apache.spark.deploy.SparkSubmit",
            "--master",
            "local[2]",
            "--class",
            "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
            *(word for name, value in spark.items() for word in ("--conf", f"{name}={value}")),
            "spark-internal",
        ]
        self._start()

    def _start(self):
        log = (self.folder / "log").open("w")
        env = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_SCALA_VERSION": "2.12"}
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        self._wait()

    def _wait(self):
        for _ in range(1800):
            if (
                subprocess.run(
                    ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"], capture_output=True
                ).returncode
                == 0
            ):
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()[-4_000:]
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-4_000:])

    def run(self, *statements):
        """Runs statements by an independent client; gives the last one's rows."""
        # A cursor that is left open is closed when it is collected, and that may be when the server is gone.
        with (
            connect(host="127.0.0.1", port=self.port, auth_mechanism="NOSASL", user="tests") as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if statements[-1].startswith(("SELECT", "SHOW", "DESCRIBE")) else []

    def url(self, scheme="hive", database=""):
        return f"{scheme}://ada@127.0.0.1:{self.port}/{database}"

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def revive(self):
        """Starts it again on what it had, if it was lost."""
        try:
            self.run("SELECT 1")
        except Exception as error:
            lines = (self.folder / "log").read_text().splitlines()
            first = next((number for number, line in enumerate(lines) if FAULT.search(line)), len(lines) - 20)
            last_words.append("\n".join([str(error)[:300], *lines[max(first, 0) :][:20]]))
            self.stop()
            self._start()


#: The columns of its statistics.
STATS = [("#Rows", "bigint"), ("#Files", "bigint"), ("Size", "string"), ("Format", "string")]


class Impala:
    """Answers as Impala's documents and source say: its catalog's words, and DuckDB's rows.

    Columns come as HiveServer2's protocol V6 has them; statements are analysed when they are executed;
    `hasMoreRows` means something."""

    def __init__(self, database):
        from impala._thrift_gen.ImpalaService import ImpalaHiveServer2Service as service
        from thrift.protocol import TBinaryProtocol
        from thrift.server import TServer
        from thrift.transport import TSocket, TTransport

        self.database, self.statements, self.answers, self.never_done = database, [], {}, False
        self.port, self.lock = free_port(), threading.Lock()
        processor = service.Processor(Answers(self))
        socket = TSocket.TServerSocket("127.0.0.1", self.port)
        self.server = TServer.TThreadedServer(
            processor,
            socket,
            TTransport.TBufferedTransportFactory(),
            TBinaryProtocol.TBinaryProtocolFactory(),
            daemon=True,
        )
        threading.Thread(target=self.server.serve, daemon=True).start()
        self.socket = socket
        wait_port(self.port)

    def query(self, sql):
        """What DuckDB makes of it: columns, as Impala calls their types, and rows."""
        with self.lock:
            answer = self.database.sql(sql.replace("`", '"'))
            names = [(name, "bigint" if str(kind) in ("BIGINT", "INTEGER") else "string")
                     for name, kind in zip(answer.columns, answer.types, strict=True)]  # fmt: skip
            return names, answer.fetchall()

    def url(self, database=""):
        return f"impala://ada@127.0.0.1:{self.port}/{database}"

    def stop(self):
        # The server would ask its closed socket for clients for ever, and fill the log with that.
        self.socket.accept = sys.exit
        self.socket.close()


class Answers:
    """One call each."""

    def __init__(self, impala):
        self.impala, self.operations, self.sessions = impala, {}, set()

    def OpenSession(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        handle = t.TSessionHandle(t.THandleIdentifier(os.urandom(16), os.urandom(16)))
        self.sessions.add(handle.sessionId.guid)
        self.impala.options = request.configuration
        return t.TOpenSessionResp(self.ok(), 5, handle, {})

    def CloseSession(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        self.sessions.discard(request.sessionHandle.sessionId.guid)
        return t.TCloseSessionResp(self.ok())

    def ok(self):
        from impala._thrift_gen.TCLIService import ttypes as t

        return t.TStatus(t.TStatusCode.SUCCESS_STATUS)

    def fault(self, message):
        from impala._thrift_gen.TCLIService import ttypes as t

        return t.TStatus(t.TStatusCode.ERROR_STATUS, sqlState="HY000", errorMessage=message)

    def ExecuteStatement(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        sql = request.statement
        self.impala.statements.append(sql)
        if request.sessionHandle.sessionId.guid not in self.sessions:
            return t.TExecuteStatementResp(self.fault("Invalid session id: 0:0"))
        answer = next(
            (answer for words, answer in self.impala.answers.items() if re.search(words, sql)), None
        )
        try:
            if callable(answer):
                answer = answer(sql)
            if isinstance(answer, str):
                return t.TExecuteStatementResp(self.fault(answer))
            names, rows = answer or self.impala.query(sql)
        except Exception as error:
            return t.TExecuteStatementResp(self.fault(f"AnalysisException: {error}"))
        handle = t.TOperationHandle(t.THandleIdentifier(os.urandom(16), os.urandom(16)), 0, True)
        self.operations[handle.operationId.guid] = [names, list(rows), 0]
        return t.TExecuteStatementResp(self.ok(), handle)

    def GetOperationStatus(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        # Under way when it is asked for the first time.
        operation = self.operations[request.operationHandle.operationId.guid]
        operation[2] += 1
        under_way = operation[2] == 1 or self.impala.never_done
        state = t.TOperationState.RUNNING_STATE if under_way else t.TOperationState.FINISHED_STATE
        return t.TGetOperationStatusResp(self.ok(), state)

    def GetResultSetMetadata(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        names, rows, _ = self.operations[request.operationHandle.operationId.guid]
        columns = []
        for position, (name, kind) in enumerate(names):
            entry = t.TPrimitiveTypeEntry(getattr(t.TTypeId, f"{kind.upper()}_TYPE"))
            columns.append(
                t.TColumnDesc(name, t.TTypeDesc([t.TTypeEntry(primitiveEntry=entry)]), position + 1)
            )
        return t.TGetResultSetMetadataResp(self.ok(), t.TTableSchema(columns))

    def FetchResults(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        operation = self.operations[request.operationHandle.operationId.guid]
        names, rows, _ = operation
        # First nothing, though there is more; then in small helpings.
        helping = 0 if operation[2] < 3 else 700
        operation[2] += 1
        given, operation[1] = rows[:helping], rows[helping:]
        columns = []
        for position, (_, kind) in enumerate(names):
            values = [row[position] for row in given]
            bits = bytearray((len(values) + 7) // 8)
            for index, value in enumerate(values):
                if value is None:
                    bits[index // 8] |= 1 << index % 8
            nulls = bytes(bits).rstrip(b"\0")
            if kind == "bigint":
                columns.append(t.TColumn(i64Val=t.TI64Column([value or 0 for value in values], nulls)))
            else:
                columns.append(
                    t.TColumn(
                        stringVal=t.TStringColumn(
                            [b"" if value is None else str(value).encode() for value in values], nulls
                        )
                    )
                )
        more = bool(operation[1]) or (helping == 0 and bool(rows))
        return t.TFetchResultsResp(self.ok(), more, t.TRowSet(0, [], columns))

    def CloseOperation(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        self.operations.pop(request.operationHandle.operationId.guid, None)
        return t.TCloseOperationResp(self.ok())

    def CancelOperation(self, request):
        from impala._thrift_gen.TCLIService import ttypes as t

        self.impala.statements.append("CANCEL")
        return t.TCancelOperationResp(self.ok())
