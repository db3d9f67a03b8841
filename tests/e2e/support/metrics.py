"""Metrics in Prometheus's text format, and what linters demand of them."""

import re

NAME = re.compile(r"[a-z_][a-z0-9_]*")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')

#: What the name of a sample may add to that of its metric.
SUFFIXES = {"histogram": ["_bucket", "_sum", "_count"]}


class Metrics:
    """A page of metrics, parsed strictly."""

    def __init__(self, text):
        self.types, self.helps, self.samples = {}, {}, []
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, rest = line.split(" ", 3)
                known = {"HELP": self.helps, "TYPE": self.types}[kind]
                assert name not in known, f"{name} twice"
                known[name] = rest
            else:
                name, labels, value = SAMPLE.fullmatch(line).groups()
                labels = dict(LABEL.findall(labels or ""))
                self.samples.append((name, labels, float(value)))

    def metric_of(self, sample):
        """The metric that a sample belongs to."""
        for name, kind in self.types.items():
            if sample in [name + suffix for suffix in SUFFIXES.get(kind, [""])]:
                return name
        raise AssertionError(f"{sample} has no type")

    def value(self, name, **labels):
        [value] = [value for at, those, value in self.samples if at == name and those == labels]
        return value

    def lint(self):
        """As `promtool check metrics` does."""
        names = {name for name, _, _ in self.samples}
        assert {self.metric_of(name) for name in names} <= set(self.types) == set(self.helps)
        for name, kind in self.types.items():
            assert NAME.fullmatch(name) and name.startswith("longshore_")
            assert name.endswith("_total") == (kind == "counter"), name
            assert kind in ["counter", "gauge", "histogram"]
            assert not re.search(r"_(ms|millis|milliseconds|minutes|kb|kib|mb|mib|percent)(_|$)", name)
        assert len({(name, tuple(sorted(labels.items()))) for name, labels, _ in self.samples}) == len(
            self.samples
        )
        for _, labels, _ in self.samples:
            assert set(labels) <= {
                "class",
                "cluster",
                "job_name",
                "kind",
                "le",
                "outcome",
                "severity",
                "version",
            }, labels
