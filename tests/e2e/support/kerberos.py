"""A realm of Kerberos of the tests' own."""

import os
import subprocess

from support.ports import free_port
from support.wait import wait_port


class Kdc:
    """A realm of Kerberos: its principals' keys are in keytabs, `nn/localhost` in `nn_localhost.kt`."""

    REALM = "EXAMPLE.TEST"

    def __init__(self, folder, principals):
        self.port = free_port()
        (folder / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {self.REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
            " rdns = false\n dns_canonicalize_hostname = false\n udp_preference_limit = 1\n"
            " permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96\n"
            f"[realms]\n {self.REALM} = {{\n  kdc = 127.0.0.1:{self.port}\n }}\n[domain_realm]\n localhost = {self.REALM}\n"
        )
        (folder / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n {self.REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
            "  supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n }\n"
            f"[logging]\n kdc = FILE:{folder}/kdc.log\n"
        )
        self.env = {"KRB5_CONFIG": str(folder / "krb5.conf")}
        env = {**os.environ, **self.env, "KRB5_KDC_PROFILE": str(folder / "kdc.conf")}
        run = lambda *command: subprocess.run(command, env=env, check=True, capture_output=True)
        run("kdb5_util", "create", "-s", "-r", self.REALM, "-P", "secret")
        for name in principals:
            run("kadmin.local", "-q", f"addprinc -randkey {name}")
            run("kadmin.local", "-q", f"ktadd -k {folder}/{name.replace('/', '_')}.kt {name}")
        self.process = subprocess.Popen(
            ["krb5kdc", "-n"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_port(self.port)

    def stop(self):
        self.process.kill()
        self.process.wait()
