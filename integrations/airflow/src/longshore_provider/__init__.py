"""Runs jobs of Longshore from Airflow."""

from __future__ import annotations

from typing import Any

__version__ = "0.6.0"

_NAME = "Longshore"


def get_provider_info() -> dict[str, Any]:
    """What Airflow asks a provider for."""
    return {
        "package-name": "airflow-provider-longshore",
        "name": _NAME,
        "description": "Moves tables and query results out of databases into a data lake.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://github.com/longshore/longshore",
                "tags": ["software"],
            }
        ],
        "hooks": [_modules("hook")],
        "operators": [_modules("operators")],
        "sensors": [_modules("sensors")],
        "triggers": [_modules("triggers")],
        "extra-links": ["longshore_provider.links.LongshoreRunLink"],
        "connection-types": [
            {
                "connection-type": "longshore",
                "hook-class-name": "longshore_provider.hook.LongshoreHook",
                "hook-name": _NAME,
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema", "port", "extra"],
                    "relabeling": {"host": "URL of the daemon", "password": "Token"},
                    "placeholders": {
                        "host": "https://lake.example:8460",
                        "password": "longshore token create --name airflow --role operator",
                    },
                },
                "conn-fields": {
                    "ca_file": {
                        "label": "File of certificates",
                        "description": "The certificates that sign for the daemon, in PEM, on the workers.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "dashboard_url": {
                        "label": "URL of the dashboard",
                        "description": "What browsers call the daemon, if it is not the URL above.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
    }


def _modules(name: str) -> dict[str, Any]:
    return {"integration-name": _NAME, "python-modules": [f"longshore_provider.{name}"]}
