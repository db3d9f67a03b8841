"""The program `longshore`: where it lies, and what one call of it answers."""

from __future__ import annotations

import errno
import json
import operator
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import IO, Any, Union
from uuid import UUID

from ._report import Report
from .errors import (
    Cancelled,
    ConfigError,
    InternalError,
    LongshoreError,
    ProgramNotFound,
    ResourceExhausted,
    error_of,
)

#: A job: the path of a job file; the text of one, in several lines of YAML; or its keys.
Job = Union[str, "os.PathLike[str]", Mapping[str, Any]]

#: A variable that names the program, for a build of your own.
PROGRAM_VARIABLE = "LONGSHORE_PROGRAM"

#: The most bytes of a run key.
RUN_KEY_BYTES = 200

#: What the program takes for a job on its standard input.
STANDARD_INPUT = "-"

#: Beyond it, a decimal has more digits than any that the program takes.
MAX_DECIMAL_EXPONENT = 100

#: What to do about a path that no file can have.
PATH_HINT = "give a path without NUL characters and lone surrogates"

#: How much of what the program said is told where it told no error.
TAIL_CHARS = 2_000


def find_program() -> str:
    """The path of the program: `LONGSHORE_PROGRAM`, or what the wheel installed, or what `PATH` has."""
    if named := os.environ.get(PROGRAM_VARIABLE):
        # The program starts in `cwd`, where a relative path would be another one.
        return os.path.abspath(named) if os.sep in named else named
    for folder in _script_folders():
        program = folder / "longshore"
        if program.is_file():
            return str(program)
    if found := shutil.which("longshore"):
        return os.path.abspath(found)
    raise ProgramNotFound(
        "the program `longshore` is not there",
        hint=f"`pip install longshore` installs it; or name it in {PROGRAM_VARIABLE}",
    )


def _script_folders() -> Iterator[Path]:
    """Where installers put scripts: of this environment, of this user, of `pip install --target`."""
    yield Path(sysconfig.get_path("scripts"))
    yield Path(sysconfig.get_path("scripts", f"{os.name}_user"))
    yield Path(sys.prefix) / "bin"
    yield Path(__file__).resolve().parents[1] / "bin"


def is_text(job: Job) -> bool:
    """Whether a job is the text of a job file, and not its path."""
    return isinstance(job, str) and ("\n" in job or job.lstrip().startswith("{"))


def job_text(job: Job) -> str | None:
    """A job's text, for the program's standard input; none for a job file."""
    if isinstance(job, Mapping):
        try:
            return json.dumps(_plain(job, ""))
        except RecursionError:
            raise ConfigError(
                "the job: it holds itself", hint="give texts, numbers, lists and dicts"
            ) from None
    if not is_text(job):
        return None
    try:
        return param_text(job)
    except ValueError as error:
        raise ConfigError(f"the job: {error}", hint="give UTF-8 text") from None


def _plain(value: object, where: str) -> Any:
    """A value of a job, as JSON has it. No error shows a value: it may be a password."""
    if isinstance(value, Mapping):
        return {
            param_text(key): _plain(own, f"{where}.{key}" if where else str(key))
            for key, own in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(own, f"{where}[{number}]") for number, own in enumerate(value)]
    if value is None or type(value) in (bool, int):
        return value
    try:
        if isinstance(value, os.PathLike):
            return param_text(os.fspath(value))
        text = param_text(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"the job: `{where}`: {error}", hint="give texts, numbers, lists and dicts"
        ) from None
    # Numbers stay numbers, but for decimals, which would lose digits.
    return float(value) if isinstance(value, float) else text


def param_text(value: object) -> str:
    """A value as the program reads it: exactly that value, or an error that does not show it."""
    if isinstance(value, Enum):
        return param_text(value.value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("it holds a lone surrogate, which is no text") from None
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # A subclass may show itself in other ways.
        return _decimal_text(Decimal(float.__repr__(value)))
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    try:
        # Also the whole numbers of numpy.
        return str(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"a value of type {type(value).__name__} has no text of its own") from None


def _decimal_text(value: Decimal) -> str:
    """All digits, without an exponent, which the program does not read."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("it is no finite number")
    if abs(exponent) > MAX_DECIMAL_EXPONENT:
        raise ValueError("it has too many digits")
    return format(value, "f")


def param_texts(params: Mapping[str, object] | None) -> dict[str, str]:
    """Values of a job's parameters, as the program reads them."""
    texts = {}
    for name, value in (params or {}).items():
        try:
            texts[name] = param_text(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"`params`: `{name}`: {error}", hint="give a text, a number, a date or a boolean"
            ) from None
    return texts


def param_flags(params: Mapping[str, object] | None) -> list[str]:
    """Values of a job's parameters, as flags."""
    texts = param_texts(params)
    for name, text in texts.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(
                f"`params`: {name!r} is no name of a parameter", hint="check what the job declares"
            )
        if "\0" in text:
            raise ConfigError(f"`params`: `{name}` holds a NUL character", hint="remove it")
    return [f"--param={name}={text}" for name, text in texts.items()]


def run_key_flags(run_key: str | None) -> list[str]:
    """A run key, as a flag."""
    if run_key is None:
        return []
    try:
        text = param_text(run_key)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"`run_key`: {error}", hint="give a text") from None
    size = len(text.encode())
    if not 0 < size <= RUN_KEY_BYTES or re.search(r"[\0-\x1f\x7f-\x9f]", text):
        raise ConfigError(
            f"`run_key` has {size} bytes, or control characters",
            hint=f"give 1 to {RUN_KEY_BYTES} bytes, without control characters",
        )
    return [f"--run-key={text}"]


def environment(env: Mapping[str, str] | None, state: str | os.PathLike[str] | None) -> dict[str, str]:
    """The environment of the program."""
    own = {"LONGSHORE_STATE": os.fspath(state)} if state is not None else {}
    if not all(map(_is_variable, own, own.values())):
        raise ConfigError("`state` is no path", hint=PATH_HINT)
    own.update(env or {})
    for name, value in own.items():
        if not _is_variable(name, value):
            # Its value may be a password.
            raise ConfigError(
                f"`env`: {name!r} is no variable with a text", hint="give texts without NUL characters"
            )
    return {**os.environ, **own}


def _is_variable(name: object, value: object) -> bool:
    try:
        return bool(re.fullmatch(r"[^=\0]+", name)) and b"\0" not in os.fsencode(value)  # type: ignore[call-overload,arg-type]
    except (TypeError, ValueError):
        return False


def popen(
    command: str,
    flags: Iterable[str],
    what: Job,
    *,
    env: Mapping[str, str] | None = None,
    state: str | os.PathLike[str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a command over a job. The job's text goes in as a file without a name: nobody else can read it,
    nothing of it is left, and no pipe can be full."""
    text = job_text(what)
    named = STANDARD_INPUT if text is not None else os.fspath(what)  # type: ignore[arg-type]
    if not named:
        raise ConfigError("the job's path is empty", hint="name a job file")
    arguments = [find_program(), "--json", command, *flags, "--", named]
    variables = environment(env, state)
    with _input(text) as stdin:
        try:
            return subprocess.Popen(
                arguments,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=variables,
                cwd=cwd,
                # Ctrl-C is for Python, which tells the program once.
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(arguments[0], cwd, error) from error
        except ValueError:
            raise ConfigError("the path of the job, or `cwd`, is none", hint=PATH_HINT) from None


def _not_started(program: str, cwd: str | os.PathLike[str] | None, error: OSError) -> LongshoreError:
    if cwd is not None and not os.path.isdir(cwd):
        return ConfigError(f"`cwd`: {os.fspath(cwd)} is no folder", hint="give one that is there")
    if error.errno == errno.E2BIG:
        return ConfigError(
            "`params` and `env` are longer than what a program may be given",
            hint="put long texts into a table or a file, and query that",
        )
    return ProgramNotFound(
        f"{program}: {error.strerror or error}",
        hint=f"check {PROGRAM_VARIABLE}, or install `longshore` again",
    )


def _input(text: str | None) -> IO[bytes]:
    if text is None:
        return open(os.devnull, "rb")
    file = tempfile.TemporaryFile()
    file.write(text.encode("utf-8", "surrogateescape"))
    file.seek(0)
    return file


def answer(
    command: str,
    flags: Iterable[str],
    what: Job,
    *,
    env: Mapping[str, str] | None = None,
    state: str | os.PathLike[str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> bytes:
    """What a command answers. Its errors are raised."""
    process = popen(command, flags, what, env=env, state=state, cwd=cwd)
    with process:
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            process.terminate()
            raise
    # The code is lost where something else in this process collects its children.
    if process.returncode != 0 or error_told(stdout) is not None or not stdout:
        raise failure(process.returncode, stdout, stderr.decode("utf-8", "replace"))
    return stdout


def error_told(stdout: bytes) -> LongshoreError | None:
    """The error that a program's answer tells of, with the report of its run, if one began."""
    try:
        # An answer in Arrow is none in JSON.
        told = json.loads(stdout) if stdout.lstrip().startswith(b"{") else None
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("error"), dict):
        return None
    report = Report.of(told) if "run" in told else None
    return error_of(told["error"], run=told.get("run"), report=report)


def failure(code: int, stdout: bytes, stderr: str, run: str | None = None) -> LongshoreError:
    """The error of a program that ended with this code."""
    if told := error_told(stdout):
        told.run = told.run or run
        return told
    if -code in (signal.SIGINT, signal.SIGTERM):
        return Cancelled("the program was stopped before it began", run=run, raw={"exit_code": 128 - code})
    if code < 0:
        return ResourceExhausted(
            f"the program was ended by signal {-code}",
            hint="if the kernel ended it for want of memory, give it less to hold: LONGSHORE_MEMORY",
            run=run,
            raw={"exit_code": 128 - code},
        )
    tail = stderr.strip()[-TAIL_CHARS:] or f"exit code {code}, and no answer"
    kind = ConfigError if code == ConfigError.exit_code else InternalError
    return kind(f"the program: {tail}", hint="check that its version is that of the package", run=run)
