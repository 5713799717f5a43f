"""Small mutants of a Python source: the mistakes that somebody could make when he changes the code.

Each mutant replaces one span of the source. The spans come from the syntax tree, the rest of the text stays as it is,
so that a mutant can be shown as a diff of one line. Texts for people are left alone, and so is what only documents or
speeds up the code: messages of errors, docstrings, annotations, f-strings, decorators, assertions, names of tensors.

    kind         example
    comparison   a < b           ->  a <= b
    boolean      a and b         ->  a or b;      `not a` -> a;      if a: -> if not a:
    arithmetic   a + b           ->  a - b;       a += b  -> a -= b
    constant     1               ->  2;           0.5     -> -0.5;   True  -> False
    arguments    f(a, b)         ->  f(b, a)
    keyword      f(a, axis=0)    ->  f(a)
    statement    queue.close()   ->  pass         (also assignments to attributes and items, and `raise`)
    slice        rewards[1:]     ->  rewards[:-1]
    name         rho_bar         ->  c_bar        (a parameter or attribute whose name differs by one word)
    return       return value    ->  return None
    extremum     minimum(a, b)   ->  maximum(a, b);  all -> any;  mean -> sum
"""

import ast
import difflib
import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of one file.

    module: the file's path in the repository. line: the number of its first changed line. kind: see above.
    start, end: the span of the source that is replaced, in bytes. replacement: what stands there instead.
    """

    module: str
    line: int
    kind: str
    start: int
    end: int
    replacement: str

    def apply(self, source: str) -> str:
        data = source.encode()
        return (data[: self.start] + self.replacement.encode() + data[self.end :]).decode()

    def is_valid(self, source: str) -> bool:
        """Whether it is Python, and not the same program written differently."""
        try:
            return ast.dump(ast.parse(self.apply(source))) != ast.dump(ast.parse(source))
        except SyntaxError:
            return False

    def diff(self, source: str) -> str:
        """The changed lines with one line around them."""
        lines = difflib.unified_diff(source.splitlines(), self.apply(source).splitlines(), lineterm="", n=1)
        return "\n".join(list(lines)[2:])

    def digest(self, source: str) -> str:
        """A name for the mutant that stays the same as long as its file does."""
        return hashlib.sha256(f"{self.module}\n{self.apply(source)}".encode()).hexdigest()[:16]


COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
EXTREMA = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "all": "any", "any": "all",
    "reduce_min": "reduce_max", "reduce_max": "reduce_min", "reduce_all": "reduce_any", "reduce_any": "reduce_all",
    "reduce_mean": "reduce_sum", "reduce_sum": "reduce_mean", "argmax": "argmin", "mean": "sum",
}  # fmt: skip
PAIRS = {"terminated": "truncated", "truncated": "terminated", "low": "high", "high": "low"}
# The order of these functions' arguments does not matter, or a swap cannot go unseen.
COMMUTATIVE = set(EXTREMA) | {
    "add", "multiply", "equal", "not_equal", "logical_and", "logical_or", "isinstance", "issubclass", "getattr",
    "setattr", "hasattr", "zip", "cast", "reshape", "split", "broadcast_to", "ensure_shape",
}  # fmt: skip
MESSAGE_CALLS = re.compile(r"^(print|warn(ing)?s?|info|debug|exception|error|log|write_line|sleep|join)$")
# These keywords are names, speed or the wording of messages, not behaviour.
SKIPPED_KEYWORDS = {
    "name", "strict", "daemon", "encoding", "newline", "jit_compile", "reduce_retracing", "autograph", "timeout",
    "help", "parallel_iterations", "stacklevel", "message", "cls", "indent",
}  # fmt: skip


class Finder:
    """All mutants of one source."""

    def __init__(self, module: str, source: str) -> None:
        self.module = module
        self.source = source
        self.data = source.encode()
        self.tree = ast.parse(source)
        self.line_starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.line_starts.append(self.line_starts[-1] + len(line))
        self.attributes = self.attributes_by_object()

    def mutants(self) -> list[Mutant]:
        """Every mutant, in the order of the file; a few of them may not be valid Python."""
        found = {(mutant.start, mutant.end, mutant.replacement): mutant for mutant in self.of_block(self.tree, {})}
        return [found[key] for key in sorted(found)]

    def of_block(self, node: ast.AST, names: dict[str, list[str]]) -> Iterator[Mutant]:
        """The mutants of a node's children that are behaviour.

        names: each parameter of the function around the node, with those it could be mistaken for.
        """
        for child in ast.iter_child_nodes(node):
            if is_text_or_type(child, node):
                continue
            inner = names
            if isinstance(child, ast.FunctionDef | ast.Lambda):
                inner = names | look_alikes(parameter_names(child))
            yield from self.of_node(child, inner)
            if isinstance(child, ast.Raise):
                continue
            yield from self.of_block(child, inner)

    def of_node(self, node: ast.AST, names: dict[str, list[str]]) -> Iterator[Mutant]:
        match node:
            case ast.Compare() | ast.BoolOp() | ast.BinOp() | ast.AugAssign():
                yield from self.operators(node)
            case ast.UnaryOp(op=ast.Not()):
                yield self.replace(node, "boolean", f"({self.text(node.operand)})")
            case ast.UnaryOp(op=ast.USub()):
                yield self.replace(node, "constant", self.text(node.operand))
            case ast.Constant():
                yield from self.constants(node)
            case ast.Call():
                yield from self.calls(node)
            case ast.Slice():
                yield from self.slices(node)
            case ast.Name(id=name, ctx=ast.Load()):
                for other in names.get(name, []):
                    yield self.replace(node, "name", other)
            case ast.Attribute(attr=attribute, ctx=ast.Load()):
                yield from self.swapped_attributes(node, attribute)
            case ast.Return(value=ast.expr()) if not is_constant(node.value, None):
                yield self.replace(node, "return", "return None")
        if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
            yield self.replace(node.test, "boolean", f"(not ({self.text(node.test)}))")
        if is_statement_with_an_effect(node):
            yield self.replace(node, "statement", "pass")

    def operators(self, node: ast.Compare | ast.BoolOp | ast.BinOp | ast.AugAssign) -> Iterator[Mutant]:
        operands: list[ast.expr]
        match node:
            case ast.Compare():
                operands, kind = [node.left, *node.comparators], "comparison"
                swaps = [COMPARISONS[type(op)] for op in node.ops]
            case ast.BoolOp():
                operands, kind = node.values, "boolean"
                swap = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                swaps = [swap] * (len(operands) - 1)
            case ast.BinOp() | ast.AugAssign():
                left = node.left if isinstance(node, ast.BinOp) else node.target
                operands, kind = [left, node.right if isinstance(node, ast.BinOp) else node.value], "arithmetic"
                if type(node.op) not in ARITHMETIC or any(isinstance(o, ast.JoinedStr) for o in operands):
                    return
                swaps = [ARITHMETIC[type(node.op)]]
        for left, right, (old, new) in zip(operands[:-1], operands[1:], swaps, strict=True):
            start, end = self.span(left)[1], self.span(right)[0]
            between = self.data[start:end].decode()
            at = between.find(old)
            if at >= 0:
                start += len(between[:at].encode())
                yield self.change(node, kind, start, start + len(old), new)

    def constants(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        if isinstance(value, bool):
            yield self.replace(node, "constant", str(not value))
        elif isinstance(value, int):
            yield self.replace(node, "constant", str(value + 1))
            if value > 0:
                yield self.replace(node, "constant", str(value - 1))
        elif isinstance(value, float):
            yield self.replace(node, "constant", f"-{self.text(node)}" if value else "1.0")

    def calls(self, node: ast.Call) -> Iterator[Mutant]:
        name = called_name(node)
        if name in EXTREMA:
            end = self.span(node.func)[1]
            yield self.change(node, "extremum", end - len(name), end, EXTREMA[name])
        if name not in COMMUTATIVE:
            for first, second in zip(node.args, node.args[1:], strict=False):
                if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
                    (start, end), (start_2, end_2) = self.span(first), self.span(second)
                    between = self.data[end:start_2].decode()
                    text = self.text(second) + between + self.text(first)
                    yield self.change(node, "arguments", start, end_2, text)
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in SKIPPED_KEYWORDS:
                start, end = self.span(keyword)
                if comma := re.match(rb"\s*,\s*", self.data[end:]):
                    end += comma.end()
                yield self.change(keyword, "keyword", start, end, "")

    def slices(self, node: ast.Slice) -> Iterator[Mutant]:
        swaps = {"1:": ":-1", ":-1": "1:", "-1:": ":1", "1:-1": "1:", ":1": "-1:"}
        if swapped := swaps.get(self.text(node).replace(" ", "")):
            yield self.replace(node, "slice", swapped)

    def attributes_by_object(self) -> dict[str, set[str]]:
        """The attributes that the file reads of each object, by how the object is written."""
        found: dict[str, set[str]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.setdefault(ast.unparse(node.value), set()).add(node.attr)
        return found

    def swapped_attributes(self, node: ast.Attribute, attribute: str) -> Iterator[Mutant]:
        others = look_alikes(sorted(self.attributes[ast.unparse(node.value)])).get(attribute, [])
        end = self.span(node)[1]
        for other in others:
            yield self.change(node, "name", end - len(attribute), end, other)

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends in the source, in bytes."""
        start = self.line_starts[node.lineno - 1] + node.col_offset
        return start, self.line_starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.data[start:end].decode()

    def replace(self, node: ast.AST, kind: str, replacement: str) -> Mutant:
        return self.change(node, kind, *self.span(node), replacement)

    def change(self, node: ast.AST, kind: str, start: int, end: int, replacement: str) -> Mutant:
        line = self.data[:start].count(b"\n") + 1
        return Mutant(self.module, line, kind, start, end, replacement)


def is_text_or_type(node: ast.AST, parent: ast.AST) -> bool:
    """Whether a node is for people or for the type checker only."""
    if isinstance(node, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom | ast.arg | ast.FormattedValue):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.Call) and (called_name(node) == "isinstance" or MESSAGE_CALLS.match(called_name(node))):
        return True
    if isinstance(node, ast.keyword) and node.arg in SKIPPED_KEYWORDS:
        return True
    if isinstance(parent, ast.FunctionDef):
        return node is parent.returns or node in parent.decorator_list
    if isinstance(parent, ast.ClassDef):
        # A field's default is a setting, not behaviour.
        return node in parent.decorator_list or isinstance(node, ast.AnnAssign | ast.Assign)
    return isinstance(parent, ast.AnnAssign) and node is parent.annotation


def is_statement_with_an_effect(node: ast.AST) -> bool:
    """Whether a statement can be left out without a NameError, and is not a message."""
    match node:
        case ast.Expr(value=ast.Call() as call):
            return not MESSAGE_CALLS.match(called_name(call))
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign():
            return True
        case ast.Raise(exc=ast.expr() as error):
            return "NotImplementedError" not in ast.unparse(error)
    return False


def is_constant(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def called_name(node: ast.Call) -> str:
    """The last name of what is called: `reduce_sum` of `tf.reduce_sum(...)`."""
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def parameter_names(function: ast.FunctionDef | ast.Lambda) -> list[str]:
    arguments = function.args
    return [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs] if a.arg != "self"]


def look_alikes(names: list[str]) -> dict[str, list[str]]:
    """For each name, the others that share all words but one, such as rho_bar and c_bar."""
    found: dict[str, list[str]] = {}
    for name in names:
        words = name.lstrip("_").split("_")
        for other in names:
            others = other.lstrip("_").split("_")
            differences = sum(a != b for a, b in zip(words, others, strict=False))
            alike = len(words) == len(others) > 1 and differences == 1
            if alike or PAIRS.get(name) == other:
                found.setdefault(name, []).append(other)
    return found


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Every mutant of a file."""
    return Finder(module, source).mutants()
