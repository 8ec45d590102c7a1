"""Plausible mistakes as small changes of text: in Python by its syntax tree, in SQL and Lua by turns of phrase.

What is planted need not be understood, only be wrong. A mistake that another one implies is left out: a test that notices that a
condition is gone notices, too, that it was turned round.
"""

import ast
import re
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import PurePath
from typing import NamedTuple

_PAIRS: list[tuple[str, str]] = re.findall(
    r"([^;]+),([^;]+)",
    "<,<=;>,>=;==,!=;is,is not;in,not in;and,or;true,false;TRUE,FALSE;+,-;*,/;&,|;min,max;any,all;"
    "floor,ceil;least,greatest;ASC,DESC;first,last;filter,exclude",
)
_OPPOSITES = {
    **dict(_PAIRS),
    **{other: one for one, other in _PAIRS},
    "~=": "==",
    "<>": "=",
    "//": "*",
    "%": "//",
}
_OPERATOR = re.compile(r"is not|not in|[<>=!]=|//|\*\*|[<>+\-*/&|%]|\b(?:is|in|and|or)\b")
_NUMBER = re.compile(r"(?<![\w.%\[])(?<!OFFSET )(?<!math\.max\()\d+(\.\d+)?(?![\w.])")
_CONDITIONS = {"filter", "exclude", "get", "Q"}
_DROPPED = {"lock", "select_for_update", "published"}
_DECORATORS = {"requires_transaction", "use_case"}
_SWAPPED = (ast.Name, ast.Attribute, ast.Subscript)  # a mix-up of those would still run


class Edit(NamedTuple):
    """Replace `source[start:end]` by `text`."""

    start: int
    end: int
    text: str

    def applied_to(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]

    def shown(self, source: str) -> str:
        """Return the lines that it touches, before and after and without comments, by which a mutant is known."""
        first, last = source.rfind("\n", 0, self.start) + 1, (source + "\n").find("\n", self.end)
        after = source[first : self.start] + self.text + source[self.end : last]
        code = (re.sub(r"(?m) +(?:#|--) .*$", "", lines) for lines in (source[first:last], after))
        return " => ".join(" ".join(lines.split()) for lines in code)


def edits(path: PurePath, source: str) -> list[Edit]:
    """Return every mistake for a `.py`, `.sql` or `.lua` file."""
    plant = {".py": _python, ".sql": _sql, ".lua": _lua}[path.suffix]
    return sorted(edit for edit in set(plant(source)) if edit.applied_to(source) != source)


def _other_number(text: str) -> str:
    """Return a small number one more and a larger one halved: as coarse as a figure may be checked; 0 and 1 for each other."""
    if "." in text:
        return str(float(text) / 2)
    number = int(text)
    return str(1 - number if number < 2 else number + 1 if number < 10 else number // 2)


def _python(source: str) -> Iterator[Edit]:
    lines = source.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    def span(first: ast.AST, last: ast.AST | None = None) -> tuple[int, int]:
        end = last or first
        return offset(first.lineno, first.col_offset), offset(end.end_lineno, end.end_col_offset)  # type: ignore[attr-defined]

    def text(node: ast.AST) -> str:
        return source[slice(*span(node))]

    def flipped(left: ast.AST, right: ast.AST) -> Iterator[Edit]:
        found = _OPERATOR.search(source, span(left)[1], span(right)[0])
        if found and found[0] in _OPPOSITES:
            is_by_a_clock = re.search(r"monotonic\(\)|now\(\)", text(left) + text(right))
            turned = {"<": ">", ">": "<"}.get(found[0][0]) if is_by_a_clock else None
            yield Edit(*found.span(), turned or _OPPOSITES[found[0]])

    def swapped(values: list[ast.expr]) -> Iterator[Edit]:
        for one, other in pairwise(values):
            if isinstance(one, _SWAPPED) and isinstance(other, _SWAPPED):
                between = source[span(one)[1] : span(other)[0]]
                yield Edit(*span(one, other), text(other) + between + text(one))

    for node in _heard(ast.parse(source)):
        match node:
            case ast.Compare(left=left, comparators=[right]) | ast.BinOp(left=left, right=right):
                yield from flipped(left, right)
            case ast.BoolOp(values=values):
                for left, right in pairwise(values):
                    yield from flipped(left, right)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield Edit(*span(node), f"bool({text(operand)})")
            case ast.Constant(value=bool(value)):
                yield Edit(*span(node), str(not value))
            case ast.Constant(value=int(value) | float(value)):
                yield Edit(*span(node), _other_number(str(value)))
            case ast.Constant(value=str()) | ast.JoinedStr():
                start = span(node)[0]
                for edit in _sql(text(node)):
                    yield Edit(start + edit.start, start + edit.end, edit.text)
            case ast.ExceptHandler(body=[first, *_] as body) if not isinstance(body[-1], ast.Raise):
                yield Edit(*span(first, body[-1]), "raise")
            case ast.FunctionDef(decorator_list=[ast.Name(id=name) as first, *_]) if (
                name in _DECORATORS
            ):
                yield Edit(span(first)[0] - 1, span(first)[1], "")
            case ast.Dict(values=values):
                yield from swapped(values)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name) as func):
                start, end = span(func)
                if name in _OPPOSITES:
                    yield Edit(end - len(name), end, _OPPOSITES[name])
                if name in _DROPPED and isinstance(func, ast.Attribute):
                    yield Edit(*span(node), text(func.value))
                parts = [*node.args, *node.keywords]
                for part in parts if name in _CONDITIONS and len(parts) > 1 else []:
                    comma = re.compile(r"\s*,?\s*").match(source, span(part)[1])
                    yield Edit(span(part)[0], comma.end() if comma else span(part)[1], "")
                yield from swapped(node.args if name not in _OPPOSITES else [])
                yield from swapped([keyword.value for keyword in node.keywords])
        match node:
            case (
                ast.Expr(value=ast.Call())
                | ast.Raise()
                | ast.AugAssign()
                | ast.Continue()
                | ast.Break()
            ) | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield Edit(*span(node), "pass")
            case ast.If(test=test) | ast.IfExp(test=test) | ast.comprehension(ifs=[test]):
                if not isinstance(test, (ast.UnaryOp, ast.Compare)):
                    yield Edit(*span(test), f"not ({text(test)})")


def _heard(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through what matters: no docstrings, annotations, log lines or texts that are not SQL."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            match child:
                case ast.Expr(value=ast.Constant()) | ast.keyword(arg="strict"):
                    continue
                case ast.Call(func=ast.Name(id="_" | "dataclass")):
                    continue
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="logger")))):
                    continue
                case ast.Constant(value=str(text)) if not _IS_SQL.match(text):
                    continue
                case ast.JoinedStr() if not _IS_SQL.match(ast.unparse(child)):
                    continue
                case ast.AST() if name not in ("annotation", "returns", "slice"):
                    yield child
                    if not isinstance(child, ast.JoinedStr):
                        yield from _heard(child)


_IS_SQL = re.compile(r"[\s\"'f]*(WITH|SELECT|UPDATE|INSERT|DELETE)\b|.*%\(\w+\)s", re.DOTALL)
_SQL_HIDDEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'")
_SQL_PHRASES = {
    r"\bFOR (NO KEY )?UPDATE( OF \w+)?( NOWAIT| SKIP LOCKED)?": "",
    r" SKIP LOCKED": "",
    r"\bIS NULL": "IS NOT NULL",
    r"\bIS NOT NULL": "IS NULL",
    r"\b(LEFT|FULL) JOIN\b(?! LATERAL)": "JOIN",
    r"\bORDER BY ([\w.]+)(?! DESC|[\w.])": "ORDER BY {1} DESC",
    r"\bLIMIT [\w%()]+": "",
    r"\bclock_timestamp\(\)": "transaction_timestamp()",
    r"\bON CONFLICT( \([^)]*\))? DO NOTHING": "",
    r"\bclaim\.price\b": "seat.price",
}
_SQL_WORDS = r"\b(?:least|greatest|min|max|TRUE|FALSE|ASC|DESC)\b|(?<= )(?:<=|>=|<|>|[-+*/])(?= )(?! 0\b| statement_timestamp| %\(since\)s)"
_SQL_TOKEN = re.compile(r"[A-Za-z_][\w.]*|%\(\w+\)s|[(),;]|[^\s(),;]+")
_WHERE = {"WHERE", "ON", "WHEN", "HAVING", "AND", "OR"}
_OTHER_CLAUSE = re.compile(
    "SELECT|FROM|JOIN|LEFT|FULL|CROSS|GROUP|ORDER|LIMIT|RETURNING|FOR|SET|THEN|ELSE|UNION|OFFSET|CONFLICT|VALUES|WITH"
)


def _sql(text: str) -> Iterator[Edit]:
    seen = _SQL_HIDDEN.sub(_blank, text)
    yield from _phrases(seen, text, _SQL_PHRASES, _SQL_WORDS)
    clauses: list[tuple[str, int]] = [("", 0)]  # at each depth of brackets, and where it began
    assignments: list[tuple[int, int]] = []
    ended_at = 0
    for token in _SQL_TOKEN.finditer(seen + " ;"):
        word, (clause, start) = token[0], clauses[-1]
        is_next = word in _WHERE or _OTHER_CLAUSE.fullmatch(word)
        if is_next or word in (")", "END", ";", ","):
            if clause == "SET":
                assignments.append((start, ended_at))
                clauses[-1] = (clause, token.end() + 1)
            elif clause in _WHERE and word != "," and start < ended_at:
                yield Edit(start, ended_at, "FALSE" if clause == "OR" else "TRUE")
        if word in ("(", "CASE"):
            clauses.append(("", 0))
        elif word in (")", "END") and len(clauses) > 1:
            clauses.pop()
        elif is_next or word == ";":
            if clause == "SET" and len(assignments) > 1:
                yield Edit(assignments[-2][1], assignments[-1][1], "")
                yield from (Edit(a, b, "") for (a, _), (b, _) in pairwise(assignments))
            assignments = []
            clauses[-1] = (word, token.end() + 1)
        ended_at = token.end()


_LUA_HIDDEN = re.compile(r"--[^\n]*|'[^'\n]*'")
_LUA_PHRASES = {
    r"\bnot ": "",
    r"==": "~=",
    r"\b(if|elseif) (?!not )((?:(?![=~]=).)*) then": "{1} not ({2}) then",
    r"(?m)^ *+(?!local|return|if|for|else)[\w.\[\]#+, ]+ = [^\n{(]*(?:\([^\n]*\))?(?<![,}])(?<!}\))$": "",
    r"(?m)^ *+(?!local|return|if|for|else)[a-z_][\w.]*(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))$": "",
}
_LUA_WORDS = r"<=|>=|~=|(?<= )[<>](?= )|(?<= )[-+*/](?= )|\b(?:and|or|true|false)\b|(?<=math\.)(?:min|max|floor|ceil)"


def _lua(text: str) -> Iterator[Edit]:
    yield from _phrases(_LUA_HIDDEN.sub(_blank, text), text, _LUA_PHRASES, _LUA_WORDS)
    yield from (Edit(*found.span(), "") for found in re.finditer(r"'NX', ", text))


def _blank(hidden: re.Match[str]) -> str:
    """Keep the length of a comment or a text; a text is still one word."""
    return (" " if hidden[0].startswith("--") else "'") * len(hidden[0])


def _phrases(seen: str, text: str, phrases: dict[str, str], words: str) -> Iterator[Edit]:
    for found in re.finditer(words, seen):
        yield Edit(*found.span(), _OPPOSITES[found[0]])
    for found in _NUMBER.finditer(seen):
        yield Edit(*found.span(), _other_number(found[0]))
    for pattern, by in phrases.items():
        for found in re.finditer(pattern, seen):
            groups = [text[slice(*found.span(group))] for group in range(found.re.groups + 1)]
            yield Edit(*found.span(), by.format(*groups))
