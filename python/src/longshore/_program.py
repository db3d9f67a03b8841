"""The program `longshore`: where it lies, and what one call of it answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import IO, Any, Iterable, Iterator, Mapping, Union

from .errors import ConfigError, InternalError, LongshoreError, ProgramNotFound, ResourceExhausted, error_of

#: A job: the path of a job file; the text of one, in several lines of YAML; or its keys.
Job = Union[str, "os.PathLike[str]", Mapping[str, Any]]

#: A variable that names the program, for a build of your own.
PROGRAM_VARIABLE = "LONGSHORE_PROGRAM"

#: What the program takes for a job on its standard input.
STANDARD_INPUT = "-"

#: How much of what the program said is told where it told no error.
TAIL_CHARS = 2_000


def find_program() -> str:
    """The path of the program: `LONGSHORE_PROGRAM`, or what the wheel installed, or what `PATH` has."""
    if named := os.environ.get(PROGRAM_VARIABLE):
        return named
    for folder in _script_folders():
        program = folder / "longshore"
        if program.is_file():
            return str(program)
    if found := shutil.which("longshore"):
        return found
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
            return json.dumps(job, default=_json_default)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the job: {error}", hint="give texts, numbers, lists and dicts") from error
    return str(job) if is_text(job) else None


def _json_default(value: object) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)  # type: ignore[no-any-return]
    return param_text(value)


def param_text(value: object) -> str:
    """A value as the program reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if value is None or isinstance(value, (bytes, list, tuple, set, dict)):
        raise TypeError(f"{value!r} is no value of a parameter")
    return str(value)


def param_flags(params: Mapping[str, object] | None) -> list[str]:
    """Values of a job's parameters, as flags."""
    try:
        return [f"--param={name}={param_text(value)}" for name, value in (params or {}).items()]
    except TypeError as error:
        raise ConfigError(f"`params`: {error}", hint="give a text, a number, a date or a boolean") from error


def environment(env: Mapping[str, str] | None, state: str | os.PathLike[str] | None) -> dict[str, str]:
    """The environment of the program."""
    own = {"LONGSHORE_STATE": os.fspath(state)} if state is not None else {}
    return {**os.environ, **own, **(env or {})}


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
    arguments = [find_program(), "--json", command, *flags, "--", named]
    with _input(text) as stdin:
        try:
            return subprocess.Popen(
                arguments,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(env, state),
                cwd=cwd,
                # Ctrl-C is for Python, which tells the program once.
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(arguments[0], cwd, error) from error


def _not_started(
    program: str, cwd: str | os.PathLike[str] | None, error: OSError
) -> LongshoreError:
    if cwd is not None and not os.path.isdir(cwd):
        return ConfigError(f"`cwd`: {os.fspath(cwd)} is no folder", hint="give one that is there")
    return ProgramNotFound(
        f"{program}: {error.strerror or error}", hint=f"check {PROGRAM_VARIABLE}, or install `longshore` again"
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
    if process.returncode != 0:
        raise failure(process.returncode, stdout, stderr.decode("utf-8", "replace"))
    return stdout


def failure(code: int, stdout: bytes, stderr: str, run: str | None = None) -> LongshoreError:
    """The error of a program that ended with this code."""
    try:
        told = json.loads(stdout)
        return error_of(told["error"], run=told.get("run") or run)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    if code < 0:
        return ResourceExhausted(
            f"the program was ended by signal {-code}",
            hint="if the kernel ended it for want of memory, give it less to hold: LONGSHORE_MEMORY",
            run=run,
            raw={"exit_code": 128 - code},
        )
    tail = stderr.strip()[-TAIL_CHARS:] or f"exit code {code}"
    kind = ConfigError if code == ConfigError.exit_code else InternalError
    return kind(f"the program: {tail}", hint="check that its version is that of the package", run=run)
