"""A machine with systemd as PID 1, and the Debian package installed."""

import json
import shutil
import subprocess

from support.longshore import ROOT
from support.wait import wait_for

DEB = ROOT / "target/debian/longshore.deb"

INBOX = "/var/lib/longshore/inbox"


class Box:
    """A machine of its own, with the package installed."""

    def __init__(self, folder, deb=DEB):
        self.folder = folder
        self._script("up")
        self.root = folder / "memory/root"
        shutil.copy(deb, self.root / "root/longshore.deb")
        self.run("dpkg", "-i", "/root/longshore.deb")
        self.run("install", "-d", "-o", "longshore", "/srv/lake")
        drop_in = self.root / "etc/systemd/system/longshore.service.d"
        drop_in.mkdir()
        (drop_in / "lake.conf").write_text("[Service]\nReadWritePaths=/srv/lake\n")
        self.run("systemctl", "daemon-reload")

    def allow(self, *targets):
        """As an operator does, who adds targets to the policy."""
        policy = self.root / "etc/longshore/policy.toml"
        policy.write_text(policy.read_text().replace("write = []", f"write = {json.dumps(targets)}"))
        self.run("systemctl", "reload", "longshore")
        wait_for(lambda: "settings were read again" in self.journal())

    def _script(self, action, *args):
        command = [ROOT / "tests/servers/systemd-box.sh", action, self.folder, *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=180)

    def call(self, *command):
        return self._script("run", *command)

    def run(self, *command, check=True):
        done = self.call(*command)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def journal(self):
        return self._script("run", "journalctl", "-u", "longshore", "--no-pager", "-n", "60").stdout

    def property(self, name):
        return self.run("systemctl", "show", "-P", name, "longshore").strip()

    def drop(self, name, job):
        """As a member of the group would."""
        (self.root / "root/job").write_text(json.dumps(job))
        self.run("install", "-o", "longshore", "-m", "640", "/root/job", f"{INBOX}/.{name}")
        self.run("mv", f"{INBOX}/.{name}", f"{INBOX}/{name}")

    def runs(self):
        return json.loads(self.run("longshore", "--state", "/var/lib/longshore", "--json", "runs"))

    def has_begun(self, job):
        """Whether the job is under way, with chunks done and chunks to come."""
        states = [(run["state"], run["tasks"]["done"]) for run in self.runs() if run["job"] == job]
        return any(state == "running" and done > 0 for state, done in states)

    def reports(self, outcome):
        folder = self.root / f"{INBOX[1:]}/{outcome}"
        found = sorted(folder.glob("*.report.json")) if folder.exists() else []
        return [json.loads(path.read_text()) for path in found]

    def down(self):
        self._script("down")
