"""Pods without Kubernetes: their volumes as folders, their container as a process, as the kubelet would start it."""

import base64
import re
import ssl
import subprocess
import urllib.request

from support.longshore import LONGSHORE

MIB_OF_UNITS = {"Mi": 1, "Gi": 1024}


def mebibytes(quantity):
    """A quantity of memory."""
    return int(quantity[:-2]) * MIB_OF_UNITS[quantity[-2:]]


class Pod:
    """A pod's only container. Its paths become folders of the test; `here` changes what else is elsewhere."""

    def __init__(
        self, folder, spec, objects, claims=(), labels=None, here=None, name="pod-0", executable=LONGSHORE
    ):
        self.folder, self.spec, self.objects = folder, spec, objects
        self.name, self.executable = name, executable
        [self.container] = spec["containers"]
        self.labels = labels or {}
        self.claims = {claim["metadata"]["name"] for claim in claims}
        self.mounts = {mount["mountPath"]: mount["name"] for mount in self.container["volumeMounts"]}
        self.elsewhere = here or {}
        for name in sorted({*self.mounts.values()}):
            self._make(name)

    def _make(self, name):
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        if name in self.claims:
            return
        [volume] = [volume for volume in self.spec["volumes"] if volume["name"] == name]
        if "configMap" in volume:
            self._project(folder, self.objects["ConfigMap", volume["configMap"]["name"]]["data"])
        elif "secret" in volume:
            secret = self.objects["Secret", volume["secret"]["secretName"]]
            data = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
            self._project(folder, {**data, **secret.get("stringData", {})})
        elif "persistentVolumeClaim" in volume:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in self.objects
        else:
            assert "emptyDir" in volume, volume

    def _project(self, folder, files):
        """As the kubelet does: the files are links into a folder that is itself one."""
        if (folder / "..data").exists():
            return
        there = folder / "..2026_11_29"
        there.mkdir()
        (folder / "..data").symlink_to(there.name)
        for name, text in files.items():
            (there / name).write_text(self.here(text))
            (folder / name).symlink_to(f"..data/{name}")

    def here(self, text):
        for path, name in sorted(self.mounts.items(), reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(path)}(?![\w-])", str(self.folder / name), text)
        for there, here in self.elsewhere.items():
            text = text.replace(there, here)
        return text

    def variables(self):
        found = {}
        for variable in self.container["env"]:
            found[variable["name"]] = self._value(variable, found)
        return found

    def _value(self, variable, found):
        source = variable.get("valueFrom", {})
        if field := source.get("fieldRef"):
            label = re.fullmatch(r"metadata\.labels\['(.*)'\]", field["fieldPath"])
            fields = {"metadata.namespace": "shop", "metadata.name": self.name}
            return self.labels[label[1]] if label else fields[field["fieldPath"]]
        if field := source.get("resourceFieldRef"):
            group, resource = field["resource"].split(".")
            assert field["divisor"] == "1Mi"
            return str(mebibytes(self.container["resources"][group][resource]))
        return self.here(expanded(variable["value"], found))

    def command(self):
        """The image's entrypoint is the program; the arguments are the container's."""
        own = self.variables()
        assert self.container.get("command", ["longshore"]) == ["longshore"]
        return [
            str(self.executable),
            *(self.here(expanded(argument, own)) for argument in self.container["args"]),
        ]

    def environment(self, program):
        kept = {key: program.env[key] for key in ["PATH", "LONGSHORE_CACHE", "LONGSHORE_PLUGINS"]}
        return {**kept, "TMPDIR": str(self.folder / "tmp"), **self.variables()}

    def run(self, program):
        return subprocess.run(
            self.command(), env=self.environment(program), cwd=self.folder, capture_output=True, text=True
        )

    def start(self, program):
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                self.command(), env=self.environment(program), cwd=self.folder, stdout=log, stderr=log
            )
        program.started.append(process)
        return process

    def probe(self, kind, port):
        """Asks as the kubelet does, which trusts any certificate; gives the status."""
        asked = self.container[kind]["httpGet"]
        headers = {header["name"]: header["value"] for header in asked["httpHeaders"]}
        url = f"{asked.get('scheme', 'HTTP').lower()}://127.0.0.1:{port}{asked['path']}"
        request = urllib.request.Request(url, headers=headers)
        trusting = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=10, context=trusting) as answer:
            return answer.status


def expanded(text, variables):
    """`$(NAME)`, as Kubernetes has it."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], text)
