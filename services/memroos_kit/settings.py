"""Settings of a process: read once, checked at the start, never printed.

A process declares one frozen struct with a docstring under each field; `load` fills it from `MEMROOS_*` and an
optional `memroos.toml` (the environment wins), and `render_reference` writes the page that documents it.
"""

import ast
import difflib
import inspect
import itertools
import os
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

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
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return format("***", format_spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not written anywhere")


class _Field(NamedTuple):
    """One setting: its name, annotation, msgspec's description of that, and its default."""

    name: str
    annotation: Any
    shape: shapes.Type
    default: Any

    @property
    def env_name(self) -> str:
        return f"{PREFIX}{self.name.upper()}"

    @property
    def secret(self) -> bool:
        inner = _without_none(self.shape)
        return isinstance(inner, shapes.CustomType) and inner.cls is Secret


def load(
    settings: type[S],
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = CONFIG_FILE,
    others: Iterable[type[msgspec.Struct]] = (),
) -> S:
    """Read the settings of this process, or say everything that is wrong with them.

    A name in the environment wins over the same name in the file. A secret `X` comes from `MEMROOS_X` or from the
    file that `MEMROOS_X_FILE` names. Names that begin with `MEMROOS_TEST_` belong to tests and are ignored.

    Args:
        settings: the frozen struct to fill.
        environ: names and values; the process environment when left out.
        file: a TOML file of `name = value` lines; read only if it is there.
        others: settings of other processes that share the environment and the file; their names are skipped here.

    Raises:
        SettingsError: an unknown name, or a value that is not allowed.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one place that reads the environment
    reader = _Reader(_fields(settings), {name for other in others for name in _names(_fields(other))})
    reader.read_file(file)
    reader.read_environ(environ)
    if reader.problems:
        raise SettingsError(*reader.problems)
    try:
        return settings(**reader.values)
    except (ValueError, TypeError) as error:  # a missing required setting, or the struct's own checks
        raise SettingsError(str(error)) from error


class _Reader:
    """Collects values and problems, so that one start shows every mistake."""

    def __init__(self, fields: Mapping[str, _Field], foreign: set[str]) -> None:
        self.fields = fields
        self.known = _names(fields)
        self.foreign = foreign
        self.values: dict[str, Any] = {}
        self.problems: list[str] = []

    def read_file(self, file: Path | None) -> None:
        if file is None or not file.is_file():
            return
        try:
            content = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            self.problems.append(f"{file}: not a readable TOML file: {error}")
            return
        for name, value in content.items():
            field = self.fields.get(name)
            if field is not None and field.secret:
                self.problems.append(
                    f"{name} in {file}: a secret does not belong here; set {field.env_name} or {field.env_name}_FILE"
                )
            else:
                self._take(name, f"{name} in {file}", value)

    def read_environ(self, environ: Mapping[str, str]) -> None:
        for variable in sorted(environ):
            if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if variable != variable.upper():
                self.problems.append(f"{variable}: settings are written in upper case: {variable.upper()}")
            elif name not in self.fields and name in self.known and variable.removesuffix("_FILE") in environ:
                self.problems.append(f"{variable}: {variable.removesuffix('_FILE')} is set too; give only one of them")
            else:
                self._take(name, variable, environ[variable])

    def _take(self, name: str, label: str, raw: Any) -> None:
        """Convert one value, or note why it is not allowed."""
        if name in self.fields:
            self._convert(self.fields[name], label, raw)
        elif name in self.known:
            self._read_secret(self.fields[name.removesuffix("_file")], label, raw)
        elif name not in self.foreign:
            near = difflib.get_close_matches(name, self.known, n=1)
            hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
            self.problems.append(f"{label}: there is no such setting{hint}")

    def _convert(self, field: _Field, label: str, raw: Any) -> None:
        value = raw
        if isinstance(raw, str) and isinstance(field.shape, shapes.VarTupleType):
            value = [part.strip() for part in raw.split(",") if part.strip()]
        elif raw == "" and isinstance(field.shape, shapes.UnionType):
            value = None
        try:
            self.values[field.name] = msgspec.convert(value, field.annotation, strict=False, dec_hook=_decode)
        except msgspec.ValidationError:
            shown = "this value" if field.secret else repr(raw)
            self.problems.append(f"{label}: {shown} is not allowed; it must be {_allowed(field.shape)}")

    def _read_secret(self, field: _Field, label: str, path: Any) -> None:
        try:
            self._convert(field, label, Path(path).read_text("utf-8").strip())
        except (OSError, UnicodeError, TypeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a text file"
            self.problems.append(f"{label}: the file {str(path)!r} cannot be read: {reason}")


def field_docs(settings: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring under each field of a struct."""
    body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(settings))).body[0]).body
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }


def render_reference(settings: type[msgspec.Struct], *, title: str = "Settings") -> str:
    """Write the reference page of a process's settings as Markdown, from its fields and their docstrings."""
    docs = field_docs(settings)
    lines = [
        f"# {title}",
        "",
        "Read once, at the start: from the environment and, where that says nothing, from `memroos.toml` in the",
        "working directory (the same names in lower case, without `MEMROOS_`). An unknown name or a value that is not",
        "allowed stops the start. A secret may also come from a file: append `_FILE` to its name and give the path.",
    ]
    for field in _fields(settings).values():
        allowed = _allowed(field.shape)
        secret = " Secret." if field.secret else ""
        lines += ["", f"## `{field.env_name}`", ""]
        lines += [f"{allowed[0].upper()}{allowed[1:]}. Default: {_shown(field.default)}.{secret}", "", docs[field.name]]
    return "\n".join(lines) + "\n"


def _fields(settings: type[msgspec.Struct]) -> dict[str, _Field]:
    hints = get_type_hints(settings, include_extras=True)
    shape = cast(shapes.StructType, shapes.type_info(settings))
    return {field.name: _Field(field.name, hints[field.name], field.type, field.default) for field in shape.fields}


def _names(fields: Mapping[str, _Field]) -> set[str]:
    """Return every name that is understood: each field, and the `_file` variant of each secret."""
    return {*fields, *(f"{field.name}_file" for field in fields.values() if field.secret)}


def _decode(wanted: type, raw: Any) -> Any:
    """Build the types that msgspec does not know, from text that is not empty."""
    if wanted not in (Path, Secret) or not isinstance(raw, str) or not raw:
        raise ValueError
    return wanted(raw)


def _without_none(shape: shapes.Type) -> shapes.Type:
    if not isinstance(shape, shapes.UnionType):
        return shape
    return next(inner for inner in shape.types if not isinstance(inner, shapes.NoneType))


def _allowed(shape: shapes.Type) -> str:
    """Say in words which values a setting takes."""
    match shape:
        case shapes.BoolType():
            return "true or false"
        case shapes.IntType():
            return f"a whole number{_bounds(shape)}"
        case shapes.FloatType():
            return f"a number{_bounds(shape)}"
        case shapes.LiteralType():
            return "one of " + ", ".join(str(value) for value in shape.values)
        case shapes.VarTupleType():
            return "a list, separated by commas"
        case shapes.UnionType():
            return f"{_allowed(_without_none(shape))}, or empty"
        case _:
            return _allowed_text(shape)


def _allowed_text(shape: shapes.Type) -> str:
    match shape:
        case shapes.CustomType() if shape.cls is Path:
            return "a path"
        case shapes.StrType(pattern=str(pattern)):
            return f"text that fits {pattern}"
        case shapes.StrType(min_length=int(length)):
            return f"text of at least {length} characters"
        case _:
            return "text"


def _bounds(shape: shapes.IntType | shapes.FloatType) -> str:
    match shape.ge, shape.le:
        case None, None:
            return f" above {shape.gt:g}" if shape.gt is not None else ""
        case low, None:
            return f" of at least {low:g}"
        case None, high:
            return f" of at most {high:g}"
        case low, high:
            return f" from {low} to {high}"


def _shown(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return "none, it must be given"
    if default is None or default in ("", ()):
        return "empty"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{str(default).lower()}`" if isinstance(default, bool) else f"`{default}`"
