"""What plugins in Python share, beside Arrow."""

from componentize_py_types import Err
from wit_world.imports.types import Error, ErrorClass


def failure(error_class, message, hint=None, context=()):
    """To be raised where the contract has a `result`."""
    return Err(Error(error_class, message, None, hint, list(context)))


def told(plugin):
    """Tells the host of every exception that leaves a class's methods: it would see a trap only."""
    for name, member in list(vars(plugin).items()):
        if isinstance(member, classmethod):
            setattr(plugin, name, classmethod(_told(member.__func__)))
        elif callable(member) and not name.startswith("_"):
            setattr(plugin, name, _told(member))
    return plugin


def _told(method):
    def tell(*arguments):
        try:
            return method(*arguments)
        except Err:
            raise
        except Exception as error:
            frame = error.__traceback__
            while frame.tb_next:
                frame = frame.tb_next
            place = f"{frame.tb_frame.f_code.co_name}, line {frame.tb_lineno}"
            raise failure(ErrorClass.INTERNAL, f"{type(error).__name__}: {error}", context=[place]) from error

    return tell
