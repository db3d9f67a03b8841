"""A network of a test's own: machines are namespaces of this kernel, and each has a cable to a switch."""

import itertools
import os
import subprocess

import pytest


def ip(*args, check=True):
    return subprocess.run(["ip", *map(str, args)], check=check, capture_output=True, text=True)


class Machine:
    """A namespace with one address, and the prefix of commands that run in it."""

    def __init__(self, switch, number):
        self.name = f"{switch.name}-{number}"
        self.cable = f"{switch.name}v{number}"
        self.address = f"{switch.net}.{number + 10}"
        self.prefix = ["ip", "netns", "exec", self.name]
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.cable, "master", switch.name, "up")
        for command in [
            ["addr", "add", f"{self.address}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ]:
            ip("-n", self.name, *command)

    def cut(self):
        """Pulls the cable out."""
        ip("link", "set", self.cable, "down")

    def mend(self):
        ip("link", "set", self.cable, "up")


class Switch:
    """A bridge at an address of this machine, and the machines on it."""

    def __init__(self):
        used = ip("-o", "addr").stdout
        subnets = (
            f"10.213.{number}" for number in itertools.chain(range(os.getpid() % 200, 256), range(200))
        )
        self.net = next(net for net in subnets if f" {net}." not in used)
        self.name = f"ls{self.net.rsplit('.', 1)[1]}"
        self.address, self.machines = f"{self.net}.1", []
        made = ip("link", "add", self.name, "type", "bridge", check=False)
        if made.returncode:
            pytest.skip(f"no network can be made here: {made.stderr.strip()}")
        ip("addr", "add", f"{self.address}/24", "dev", self.name)
        ip("link", "set", self.name, "up")

    def add_machine(self):
        self.machines.append(Machine(self, len(self.machines)))

    def remove(self):
        for machine in self.machines:
            # A namespace goes later than its name does, and with it what is in it.
            ip("link", "del", machine.cable, check=False)
            ip("netns", "del", machine.name, check=False)
        ip("link", "del", self.name, check=False)
