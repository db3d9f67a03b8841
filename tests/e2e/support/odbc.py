"""A MariaDB of the tests' own, and sources by ODBC."""

import subprocess

import pymysql

from support.longshore import PASSWORD, ROOT
from support.ports import free_port


class MariaDB:
    """A MariaDB of the tests' own."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        subprocess.run([ROOT / "tests/servers/mariadb.sh", "start", folder, str(self.port)], check=True)

    def stop(self):
        subprocess.run([ROOT / "tests/servers/mariadb.sh", "stop", self.folder], check=True)

    def connect(self):
        return pymysql.connect(host="127.0.0.1", port=self.port, user="reader", password=PASSWORD, database="shop",
                               autocommit=True, local_infile=True)  # fmt: skip

    def run(self, *statements):
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def source(self, **keys):
        url = f"mariadb://reader@127.0.0.1:{self.port}/shop"
        return {"url": url, "password": {"env": "PGPASSWORD"}, **keys}


def postgres(server, **keys):
    url = f"odbc+postgresql://postgres@127.0.0.1:{server.port}/postgres"
    return {"url": url, "password": {"env": "PGPASSWORD"}, **keys}
