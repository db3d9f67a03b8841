"""Scripts that were written for the Impala Transfer Tool, as they are but for the import."""

import sqlite3
import warnings

import pyarrow.csv
import pyarrow.parquet
import pytest

from support.longshore import rows_job


@pytest.fixture(scope="module")
def warehouse(spark):
    spark.run(
        "CREATE TABLE orders STORED AS PARQUET AS SELECT id, cast(id AS string) AS name FROM range(1000)",
        "ANALYZE TABLE orders COMPUTE STATISTICS",
    )
    return spark


@pytest.fixture
def compat(longshore):
    from longshore import compat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield compat


def tool(compat, program, warehouse, **keys):
    target = f"file://{program.folder}/landing"
    keys = {"source_host": "127.0.0.1", "source_port": warehouse.port, "target_hdfs_path": target, **keys}
    return compat.ImpalaTransferTool(temp_dir=str(program.folder / "temp"), **keys)


def test_a_table_and_a_query_are_transferred(compat, program, warehouse):
    transfer = tool(compat, program, warehouse, chunk_size=100_000, max_workers=2)
    assert transfer.connection_type == "impyla"
    assert transfer.transfer_table("orders") is True
    assert pyarrow.parquet.read_table(program.folder / "landing/orders").num_rows == 1000
    assert transfer.transfer_query("SELECT * FROM orders WHERE id < 10;", "few") is True
    assert pyarrow.parquet.read_table(program.folder / "landing/few").num_rows == 10
    # The whole database, by its name.
    assert tool(compat, program, warehouse, source_database="none").transfer_table("orders") is False


def test_progress_is_told_as_that_tool_tells_it(compat, program, warehouse):
    told = []
    progress = lambda message, percentage: told.append((message, percentage))
    query = "SELECT id FROM orders"
    transfer = tool(compat, program, warehouse)
    assert (
        transfer.transfer_query_with_progress(query, output_format="csv", progress_callback=progress) is True
    )
    [part] = (program.folder / "landing/query_result").glob("*.csv")
    assert pyarrow.csv.read_csv(part).num_rows == 1000
    percentages = [percentage for _, percentage in told]
    assert percentages[0] == 0 and percentages[-1] == 100 and percentages == sorted(percentages)
    assert transfer.transfer_query_with_progress("SELECT nothing", progress_callback=progress) is False
    assert told[-1][1] == -1 and "nothing" in told[-1][0]


def test_what_fails_is_logged_with_its_next_step_and_gives_false(compat, program, warehouse, caplog):
    transfer = tool(compat, program, warehouse, source_host="127.0.0.1", source_port=1)
    assert transfer.transfer_table("orders") is False
    assert transfer.test_connection() is False
    records = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(records) == 2 and all("127.0.0.1:1" in record.getMessage() for record in records)
    assert all("next: " in record.getMessage() for record in records)
    assert tool(compat, program, warehouse).transfer_table("no_such_table") is False


def test_queries_come_into_the_process(compat, program, warehouse):
    manager = compat.ConnectionManager("impyla", "127.0.0.1", warehouse.port)
    assert manager.connect() is True and manager.get_connection_info()["is_connected"]
    executor = compat.QueryExecutor(manager)
    assert executor.execute_query("SELECT id, name FROM orders WHERE id = 7") == [(7, "7")]
    assert executor.execute_query("SELECT id FROM orders WHERE id < 0") == []
    info = executor.get_query_info("SELECT * FROM orders;")
    assert (info["row_count"], info["column_names"]) == (1000, ["id", "name"])
    chunks = compat.ChunkProcessor(600, str(program.folder / "temp"))
    queries = chunks.generate_chunk_queries("SELECT id FROM orders ORDER BY id", info["row_count"])
    assert queries == [f"SELECT id FROM orders ORDER BY id\nLIMIT 600 OFFSET {start}" for start in (0, 600)]
    path = chunks.process_chunk(0, queries[0], executor)
    assert pyarrow.parquet.read_table(path).num_rows == 600
    assert compat.FileTransferManager(f"file://{program.folder}/landing").transfer_files(
        [path, path], "twice"
    )
    assert pyarrow.parquet.read_table(program.folder / "landing/twice").num_rows == 1200
    compat.FileManager.cleanup_temp_files([path])
    assert compat.FileManager.get_file_size(path) == -1
    manager.close()
    assert not manager.get_connection_info()["is_connected"]


def test_the_equivalent_call_is_told_at_the_scripts_own_line(longshore, program):
    from longshore import compat

    rows_job(program)
    transfer = compat.ImpalaTransferTool("db.invalid", target_hdfs_path="/lake")
    with pytest.warns(
        DeprecationWarning, match=r"longshore\.copy\('impala://db\.invalid:21050/default'"
    ) as told:
        assert transfer.transfer_table("orders") is False
    assert told[0].filename == __file__
    assert "'hdfs:///lake', tables='orders'" in str(told[0].message)
    with pytest.warns(DeprecationWarning) as told:
        transfer.transfer_query("SELECT 1")
    assert told[0].filename == __file__ and "query='SELECT 1'" in str(told[0].message)


#: What that tool is given, and what a job has as its source; then the password.
SOURCES = [
    ({"source_host": "h"}, {"url": "impala://h:21050/default"}, None),
    (
        {"source_host": "::1", "source_port": 1, "source_database": "a b"},
        {"url": "impala://[::1]:1/a%20b"},
        None,
    ),
    (
        {
            "sqlalchemy_url": "postgresql+psycopg2://ada:s%40f%2F@db:5432/shop?sslmode=require&application_name=x"
        },
        {"url": "postgres://ada@db:5432/shop?sslmode=require"},
        "s@f/",
    ),
    ({"sqlalchemy_url": "hive://ada@h:10000/d"}, {"url": "hive://ada@h:10000/d"}, None),
    ({"sqlalchemy_url": "impala://h/d"}, {"url": "impala://h/d"}, None),
    ({"sqlalchemy_url": "mysql+pymysql://u:p@h/d"}, {"url": "mysql://u@h/d"}, "p"),
    (
        {"sqlalchemy_url": "mssql+pyodbc://u:p@h:1433/d?driver=ODBC+Driver+17+for+SQL+Server"},
        {"url": "sqlserver://u@h:1433/d", "driver": "ODBC Driver 17 for SQL Server"},
        "p",
    ),
    (
        {"sqlalchemy_url": "mssql+pyodbc:///?odbc_connect=DSN%3Dshop%3BPWD%3D%7Ba%3Bb%7D%7Dc%7D"},
        {"url": "odbc:DSN=shop"},
        "a;b}c",
    ),
    ({"sqlalchemy_url": "sqlite:////a/b.db"}, {"url": "sqlite:////a/b.db"}, None),
    (
        {"odbc_connection_string": "Driver={My; Driver};Server=h;UID=u;PWD=p;"},
        {"url": "odbc:Driver={My; Driver};Server=h;UID=u"},
        "p",
    ),
    (
        {"source_host": "h", "source_port": 1, "odbc_driver": "Cloudera ODBC Driver for Impala"},
        {"url": "odbc:Driver={Cloudera ODBC Driver for Impala};Host=h;Port=1;Database=default"},
        None,
    ),
    (
        {"source_host": "h", "source_port": 1, "source_database": "a;b}", "odbc_driver": "{Impala}"},
        {"url": "odbc:Driver={Impala};Host=h;Port=1;Database={a;b}}}"},
        None,
    ),
    (
        {"source_host": "h", "source_port": 3306, "odbc_driver": "MariaDB Unicode"},
        {"url": "mariadb://h:3306/default", "driver": "MariaDB Unicode"},
        None,
    ),
    ({"connection_type": "pyodbc", "source_host": "h"}, {"url": "impala://h:21050/default"}, None),
]


@pytest.mark.parametrize("given, source, password", SOURCES)
def test_connections_are_mapped_and_passwords_stay_apart(compat, given, source, password):
    found, env = compat.ConnectionManager(
        **{"connection_type": "auto", "source_host": None, **given}
    ).source()
    name = "LONGSHORE_COPY_PASSWORD"
    expected = source if password is None else {**source, "password": {"env": name}}
    assert found == expected and env == ({} if password is None else {name: password})


@pytest.mark.parametrize(
    "given, words",
    [
        (
            {"sqlalchemy_url": "snowflake://u:p@account/db"},
            "no connector for `snowflake`.*odbc_connection_string",
        ),
        ({"connection_type": "sqlalchemy"}, "`sqlalchemy_url` is not given"),
        ({"connection_type": "jdbc", "source_host": "h"}, "no `jdbc`.*impyla"),
        ({}, "`source_host` is not given"),
    ],
)
def test_what_cannot_be_served_says_what_to_do_and_raises_nothing(compat, caplog, given, words):
    transfer = compat.ImpalaTransferTool(**given)
    assert transfer.transfer_table("t") is False and transfer.transfer_query("SELECT 1") is False
    assert transfer.test_connection() is False
    assert len(caplog.records) == 3
    caplog.clear()
    with pytest.raises(Exception, match=words):
        transfer.connection_manager.source()
    assert "p@" not in str(transfer.connection_manager.get_connection_info())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3cr3t/x@db/shop",
        "postgresql://ada:s3cr3t[x@db/shop",
        "//ada:s3cr3t@db/shop",
        "postgresql://ada:12/s3cr3t@db/shop",
        "postgresql://ada:12?s3cr3t@db/shop",
    ],
)
def test_a_password_that_makes_a_url_unreadable_is_not_shown(compat, caplog, url):
    assert compat.ImpalaTransferTool(sqlalchemy_url=url).transfer_table("t") is False
    assert "`sqlalchemy_url`" in caplog.text and "s3cr3t" not in caplog.text


@pytest.mark.parametrize(
    "string, url, password",
    [
        ("Driver={X};Server=h;PWD=ab{c;UID=u", "odbc:Driver={X};Server=h;UID=u", "ab{c"),
        (" Driver = {My {x}} D} ;; pwd = {a;b}}c} ; UID = u ;", "odbc:Driver={My {x}} D};UID=u", "a;b}c"),
        ("DSN=s;Password=a}b=c", "odbc:DSN=s", "a}b=c"),
        ('DSN=s;PWD={"a;b"}', "odbc:DSN=s", '"a;b"'),
        # Drivers take the first.
        ("DSN=s;PWD=a;Password=b", "odbc:DSN=s", "a"),
        ("DSN=s;UseToken=1;Encrypt=yes", "odbc:DSN=s;UseToken=1;Encrypt=yes", None),
    ],
)
def test_a_connection_string_is_read_by_the_rules_of_odbc(compat, string, url, password):
    source, env = compat.ConnectionManager("pyodbc", "h", odbc_connection_string=string).source()
    assert source["url"] == url and list(env.values()) == ([] if password is None else [password])


@pytest.mark.parametrize(
    "attribute",
    [
        'PWD="s3;cr3t"',
        'PWD="s3;cr3t=x"',
        "PWD='s3;cr3t=x'",
        "PWD=s3;cr3t",
        "PWD={s3cr3t",
        "PWD={s3cr3t}}",
        "PWD={s3}cr3t",
        'App="a;cr3t=x"',
        "Passwd=s3cr3t",
        "AccessToken=s3cr3t",
        "Client_Secret=12345",
        "SSL Key Password=s3cr3t",
    ],
)
def test_no_part_of_a_secret_of_a_connection_string_is_shown(compat, caplog, attribute):
    tool = compat.ImpalaTransferTool("h", odbc_connection_string=f"DSN=s;{attribute};UID=u")
    assert tool.transfer_table("t") is False and tool.connection_manager.get_connection_info()["url"] is None
    assert "`odbc_connection_string`" in caplog.text
    assert not any(part in caplog.text for part in ("s3", "cr3t", "12345"))


@pytest.mark.parametrize(
    "query, bare",
    [
        ("SELECT a FROM t -- all of them", "SELECT a FROM t"),
        ("SELECT a FROM t; -- it's all\n;", "SELECT a FROM t"),
        ("SELECT a FROM t /* all */ ; ;", "SELECT a FROM t"),
        ("SELECT a FROM t # all of MySQL's", "SELECT a FROM t # all of MySQL's"),
        ("SELECT 'a; -- b', \"; -- c\"", "SELECT 'a; -- b', \"; -- c\""),
        (r"SELECT 'it\'s -- x'", r"SELECT 'it\'s -- x'"),
        (
            r"SELECT a FROM t WHERE a LIKE 'x' ESCAPE '\'; -- all",
            r"SELECT a FROM t WHERE a LIKE 'x' ESCAPE '\'",
        ),
    ],
)
def test_what_a_query_ends_with_does_not_swallow_the_limits_of_its_chunks(compat, query, bare):
    queries = compat.ChunkProcessor(600).generate_chunk_queries(query, 1000)
    assert queries == [f"{bare}\nLIMIT 600 OFFSET {start}" for start in (0, 600)]
    assert compat.ChunkProcessor(0).generate_chunk_queries(query, 2)[1] == f"{bare}\nLIMIT 1 OFFSET 1"


def test_a_count_is_a_whole_number_whatever_the_driver_gives(compat, program):
    with sqlite3.connect(program.folder / "shop.db") as database:
        database.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
        database.executemany("INSERT INTO orders VALUES (?)", [(id,) for id in range(1000)])
    manager = compat.ConnectionManager(sqlalchemy_url=f"sqlite:///{program.folder}/shop.db")
    executor, chunks = compat.QueryExecutor(manager), compat.ChunkProcessor(600)
    query = "SELECT id FROM orders ORDER BY id -- all of them"
    rows = executor.get_query_info(query)["row_count"]
    assert (type(rows), rows) == (int, 1000) and chunks.validate_chunk_size(rows)
    counts = [len(executor.execute_query(chunk)) for chunk in chunks.generate_chunk_queries(query, rows)]
    assert counts == [600, 400]


def test_files_are_transferred_all_or_none(compat, program, caplog):
    there = [program.folder / folder / "rows.csv" for folder in ("a", "b")]
    for number, path in enumerate(there):
        path.parent.mkdir()
        path.write_text(f"id\n{number}\n")
    transfer = compat.FileTransferManager(f"file://{program.lake}")
    # A link that leads nowhere, a folder, and what no path can be.
    (program.folder / "gone.csv").symlink_to("nowhere.csv")
    (program.folder / "folder.csv").mkdir()
    for wrong in ("none.csv", "gone.csv", "folder.csv", "no\0ne.csv", "\udcff.csv"):
        caplog.clear()
        assert transfer.transfer_files([str(there[0]), wrong], "rows") is False
        assert wrong.replace("\udcff", "?") in caplog.text
    assert transfer.transfer_files([], "rows") is False and not program.published()
    # Two of one name are two.
    assert transfer.transfer_files([str(path) for path in there], "rows") is True
    parts = [pyarrow.csv.read_csv(path) for path in (program.lake / "rows").glob("*.csv")]
    assert sorted(id for part in parts for id in part["id"].to_pylist()) == [0, 1]


def test_utilities_do_what_their_names_say(compat, program):
    files, there = compat.FileManager, program.folder / "a" / "b"
    files.ensure_temp_directory(str(there))
    (there / "x").write_bytes(b"x" * 1536)
    assert files.get_file_size(str(there / "x")) == 1536
    assert [files.format_file_size(size) for size in (0, 1023, 1536, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KB",
        "5.0 TB",
    ]
    files.cleanup_temp_files([str(there / "x"), "/none/y"])
    assert not (there / "x").exists()
    chunks = compat.ChunkProcessor(1000)
    assert chunks.temp_dir.endswith("impala_transfer")
    assert [chunks.validate_chunk_size(rows) for rows in (0, 1, 10**9)] == [False, True, True]
    assert compat.ChunkProcessor(0).validate_chunk_size(10) is False
    manager = compat.FileTransferManager("/lake/x y")
    assert manager.get_transfer_info()["target_url"] == "hdfs:///lake/x%20y"
    assert compat.FileTransferManager().transfer_files([str(there / "x.csv")], "t") is False
