"""Settings of a process: read once, checked at the start, never printed.

A process declares one frozen struct with a docstring under each field; `load` fills it from `MEMROOS_*` and an
optional `memroos.toml` (the environment wins), and `render_reference` writes the page that documents it.
"""

import ast
import inspect
import os
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import msgspec
from msgspec import inspect as shapes

PREFIX = "MEMROOS_"
TEST_PREFIX = "MEMROOS_TEST_"
CONFIG_FILE = Path("memroos.toml")

S = TypeVar("S", bound=msgspec.Struct)


class SettingsError(Exception):
    """The settings do not fit; the process must not start.

    Args:
        problems: one sentence per setting, each naming the setting and what is allowed.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Secret:
    """A value that does not print: not in logs, not in error messages, not in tracebacks."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself; call this only where it is used."""
        return self._value

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not written anywhere")


def load(
    settings: type[S],
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = CONFIG_FILE,
    others: Iterable[type[msgspec.Struct]] = (),
) -> S:
    """Read the settings of this process, or say everything that is wrong with them.

    A name in the environment wins over the same name in the file. A secret `X` may also come from the file that
    `MEMROOS_X_FILE` names. Names beginning with `MEMROOS_TEST_` belong to tests and are ignored.

    Args:
        settings: the frozen struct to fill.
        environ: names and values; the process environment when left out.
        file: a TOML file of `name = value` lines; read only if it is there.
        others: settings of other processes that share the environment and the file; their names are skipped here.

    Raises:
        SettingsError: an unknown name, or a value that is not allowed.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one place that reads the environment
    fields = _fields(settings)
    foreign = {name for other in others for name in (*_fields(other), *_secret_files(_fields(other)))} - set(fields)

    problems: list[str] = []
    values: dict[str, Any] = {}
    for origin, found in (("file", _from_file(file, problems)), ("environment", _from_environ(environ))):
        for name, raw in found.items():
            label = f"{PREFIX}{name.upper()}" if origin == "environment" else f"{name} in {file}"
            if name in fields:
                _take(fields[name], label, raw, values, problems)
            elif origin == "environment" and name in _secret_files(fields):
                _take_secret(name.removesuffix("_file"), label, raw, environ, values, problems)
            elif name not in foreign:
                problems.append(f"{label}: there is no such setting{_resembling(name, fields)}")
    if problems:
        raise SettingsError(*problems)
    try:
        return settings(**values)
    except (ValueError, TypeError) as error:
        raise SettingsError(str(error)) from error


def field_docs(settings: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring under each field of a struct, base classes included."""
    docs: dict[str, str] = {}
    for cls in reversed([c for c in settings.__mro__ if issubclass(c, msgspec.Struct) and c is not msgspec.Struct]):
        body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]).body
        for field, below in zip(body, body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                docs[field.target.id] = inspect.cleandoc(below.value.value)
    return docs


def render_reference(settings: type[msgspec.Struct], *, title: str = "Settings") -> str:
    """Write the reference page of a process's settings as Markdown, from its fields and their docstrings."""
    docs = field_docs(settings)
    lines = [
        f"# {title}",
        "",
        "Read once at the start from the environment and, below it, from `memroos.toml` in the working directory",
        "(the same names in lower case without `MEMROOS_`). An unknown name or a value that is not allowed stops the",
        "start. A setting marked secret may also come from a file: append `_FILE` to its name and give the path.",
    ]
    for field in _fields(settings).values():
        secret = " (secret)" if _is_secret(field.type) else ""
        lines += ["", f"## `{PREFIX}{field.name.upper()}`", ""]
        lines += [f"{_allowed(field.type).capitalize()}{secret}. Default: {_default(field)}.", "", docs[field.name]]
    return "\n".join(lines) + "\n"


def _fields(settings: type[msgspec.Struct]) -> dict[str, shapes.Field]:
    shape = cast(shapes.StructType, shapes.type_info(settings))
    return {field.name: field for field in shape.fields}


def _secret_files(fields: Mapping[str, shapes.Field]) -> set[str]:
    """Return the `<secret>_file` names that are understood; a field of its own with that name wins."""
    return {f"{name}_file" for name, field in fields.items() if _is_secret(field.type)} - set(fields)


def _from_file(file: Path | None, problems: list[str]) -> dict[str, Any]:
    if file is None or not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{file}: this is not a readable TOML file: {error}")
        return {}


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    names = (name for name in environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX))
    return {name.removeprefix(PREFIX).lower(): environ[name] for name in sorted(names)}


def _take(field: shapes.Field, label: str, raw: Any, values: dict[str, Any], problems: list[str]) -> None:
    """Convert one value into `values`, or add why it is not allowed to `problems`."""
    if isinstance(raw, str) and _is_list(field.type):
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    try:
        values[field.name] = _convert(raw, field.type)
    except (msgspec.ValidationError, ValueError, TypeError):
        shown = "this value" if _is_secret(field.type) else repr(raw)
        problems.append(f"{label}: {shown} is not allowed; it must be {_allowed(field.type)}")


def _take_secret(
    name: str, label: str, path: str, environ: Mapping[str, str], values: dict[str, Any], problems: list[str]
) -> None:
    if f"{PREFIX}{name.upper()}" in environ:
        problems.append(f"{label}: {PREFIX}{name.upper()} is set too; give one of them")
        return
    try:
        values[name] = Secret(Path(path).read_text("utf-8").strip())
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        problems.append(f"{label}: the file {path!r} cannot be read: {reason}")


def _convert(raw: Any, shape: shapes.Type) -> Any:
    """Turn text from the environment, or a TOML value, into what the field wants."""
    if isinstance(shape, shapes.UnionType):
        if raw == "" and shape.includes_none:
            return None
        return _convert(raw, _without_none(shape))
    if isinstance(shape, shapes.CustomType):
        if not isinstance(raw, str) or not raw:
            raise ValueError
        return cast(Any, shape.cls)(raw)
    return msgspec.convert(raw, _python_type(shape), strict=False)


def _python_type(shape: shapes.Type) -> Any:
    """Rebuild the annotation that msgspec described, constraints included."""
    if isinstance(shape, shapes.LiteralType):
        return __import__("typing").Literal[shape.values]
    if isinstance(shape, shapes.EnumType):
        return shape.cls
    return shape


def _without_none(shape: shapes.UnionType) -> shapes.Type:
    (inner,) = (one for one in shape.types if not isinstance(one, shapes.NoneType))
    return inner


def _resembling(name: str, fields: Mapping[str, shapes.Field]) -> str:
    return name and ""


_ = get_args
