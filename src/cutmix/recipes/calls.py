"""A setting is its constructor call: ``CutMix(alpha=1.0, prob=0.5)``, parsed without running any code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cutmix.errors import UsageError, nearest


@dataclass(frozen=True)
class Call:
    """The name and the arguments of a constructor call; ``str`` writes it back."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [_text(value) for value in self.args]
        parts += [f"{name}={_text(value)}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(parts)})"

    def with_defaults(self, **kwargs: Any) -> Call:
        """The same call with these arguments where it does not name them."""
        missing = {name: value for name, value in kwargs.items() if name not in self.kwargs}
        return Call(self.name, self.args, {**self.kwargs, **missing})


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' * (len(value) == 1)})"
    return str(value) if isinstance(value, Call) else repr(value)


def parse_call(text: str) -> Call:
    """Parse ``Name``, ``Name(...)`` or ``library.name(...)``.

    Arguments are plain values, further calls, or tuples of these; a list is read as a tuple.

    Raises:
        UsageError: the text is anything else.
    """
    try:
        return _call(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError) as error:
        raise UsageError(
            f"cannot read {text!r} as a constructor call such as CutMix(alpha=1.0, prob=0.5): "
            f"{error.msg if isinstance(error, SyntaxError) else error}"
        ) from error


def _call(node: ast.expr) -> Call:
    if isinstance(node, ast.Name | ast.Attribute):
        return Call(_dotted(node))
    if isinstance(node, ast.Call):
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("** is not allowed")
        return Call(
            _dotted(node.func),
            tuple(_value(arg) for arg in node.args),
            {str(keyword.arg): _value(keyword.value) for keyword in node.keywords},
        )
    raise ValueError("a name or a call was expected")


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError(f"{ast.unparse(node)!r} is not a name")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(part) for part in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"{ast.unparse(node)!r} is not a plain value") from error


def find(name: str, known: Mapping[str, Any], kind: str) -> Any:
    """The member of ``known`` with this name, whatever its case.

    Raises:
        UsageError: there is none; the message names the nearest one and lists all.
    """
    if name in known:
        return known[name]
    folded = [member for member in known if member.casefold() == name.casefold()]
    if len(folded) == 1:
        return known[folded[0]]
    raise UsageError(f"unknown {kind} {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")


def construct(call: Call, known: Mapping[str, Callable[..., Any]], kind: str) -> Any:
    """Make the object that ``call`` describes, out of the constructors in ``known``; arguments may be calls as well.

    Raises:
        UsageError: an unknown name, an argument that the constructor does not take, or a value that it refuses.
    """
    constructor = find(call.name, known, kind)

    def made(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(made(part) for part in value)
        return construct(value, known, kind) if isinstance(value, Call) else value

    args = [made(value) for value in call.args]
    kwargs = {name: made(value) for name, value in call.kwargs.items()}
    signature = inspect.signature(constructor)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = [name for name in kwargs if name not in signature.parameters]
        hint = nearest(unknown[0], signature.parameters) if unknown else ""
        accepted = ", ".join(str(parameter) for parameter in _untyped(signature))
        raise UsageError(f"{call}: {error}.{hint} It takes ({accepted}).") from error
    try:
        return constructor(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{call}: {error}") from error


def _untyped(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
