"""A database as a target."""

import contextlib
import random


@contextlib.contextmanager
def new_database(server):
    """A database of a test's own."""
    name = f"lake{random.randrange(10**9)}"
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield DatabaseLake(server, name)
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class DatabaseLake:
    """A database that rows are copied to."""

    def __init__(self, server, name):
        self.server, self.name = server, name

    def connect(self, **options):
        return self.server.connect(dbname=self.name, **options)

    def target(self, **keys):
        url = f"postgres://postgres@127.0.0.1:{self.server.port}/{self.name}"
        return {"url": url, "password": {"env": "PGPASSWORD"}, **keys}

    def rows(self, sql):
        with self.connect() as connection:
            return connection.execute(sql).fetchall()

    def tables(self):
        found = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [name for [name] in found]
