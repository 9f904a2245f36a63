"""The house rules that a program can check: floors, circles, sizes, what an import pulls in."""

from __future__ import annotations

import ast
import inspect
import io
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

import gpunn
from gpunn.backend.cupy import CupyBackend
from gpunn.backend.numpy import NumpyBackend
from gpunn.backend.protocol import Backend

PACKAGE = Path(gpunn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE, MAX_FUNCTION, MAX_AUTODIFF, MAX_PROTOCOL = 400, 50, 500, 14

#: From the ground up; a name is a module or a package directly inside gpunn.
FLOORS = (
    (
        "arguments", "changes", "config", "errors", "naming", "objects", "seeding", "structure",
        "tracebacks", "tree", "version",
    ),
    ("backend",),
    ("autodiff",),
    ("ops",),
    (
        "layers", "initializers", "regularizers", "constraints", "activations", "losses", "metrics",
        "optimizers", "random", "utils", "data", "datasets", "dtype_policies",
        "saving", "callbacks", "quantizers", "distribution", "mixed_precision", "preprocessing",
        "export", "backend_info", "visualization",
    ),
    ("training",),
    ("models",),
    ("__init__", "__main__", "check", "applications", "wrappers"),
)  # fmt: skip
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
MODULES = {
    ".".join(("gpunn", *f.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): f
    for f in FILES
}


def part_of(module: str) -> str:
    """The module or package directly inside gpunn: "gpunn.ops.gemm" belongs to "ops"."""
    return module.split(".")[1] if "." in module else "__init__"


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING:`, which never runs."""
    blocks = [
        n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    ]
    return {inner for block in blocks for inner in ast.walk(block)}


@cache
def imports(module: str) -> frozenset[tuple[str, int, bool]]:
    """(imported module, line, whether at the top of the file) of all imports, also in functions."""
    path, tree = MODULES[module], tree_of(MODULES[module])
    found = set()
    ignored = for_types_only(tree)
    top = set(tree.body)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno, node in top) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                outer = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*outer, base]).rstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add((full if full in MODULES else base, node.lineno, node in top))
    return frozenset(found)


def own_imports(module: str) -> list[tuple[str, int, bool]]:
    return [i for i in imports(module) if i[0] == "gpunn" or i[0].startswith("gpunn.")]


def test_every_module_stands_on_a_floor():
    parts = {part_of(module) for module in MODULES}
    assert parts <= set(FLOOR), f"give these a floor in FLOORS: {sorted(parts - set(FLOOR))}"


def test_imports_go_down():
    wrong = [
        f"{module}:{line} imports {imported}"
        for module in MODULES
        for imported, line, _ in own_imports(module)
        if FLOOR[part_of(imported)] > FLOOR[part_of(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_circles():
    """Neither of modules (imports at the top), nor of packages."""
    modules = {m: {i for i, _, top in own_imports(m) if top and i in MODULES} for m in MODULES}
    packages: dict[str, set[str]] = {part_of(m): set() for m in MODULES}
    for module in MODULES:
        here = part_of(module)
        packages[here] |= {part_of(i) for i, _, _ in own_imports(module)} - {here}
    # A package's __init__ gathers its modules, which is no circle as long as they do not ask it.
    for graph in (modules, packages):
        assert circle(graph) is None, " -> ".join(circle(graph) or ())


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """Some circle of a directed graph, or None."""
    done: set[str] = set()
    for start in graph:
        path: list[str] = []
        stack = [(start, iter(sorted(graph[start])))]
        path.append(start)
        while stack:
            following_node = next(stack[-1][1], None)
            if following_node is None:
                stack.pop()
                done.add(path.pop())
            elif following_node in path:
                return [*path[path.index(following_node) :], following_node]
            elif following_node not in done and following_node in graph:
                path.append(following_node)
                stack.append((following_node, iter(sorted(graph[following_node]))))
    return None


def test_circle_finds_circles():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"a"}}) == ["a", "a"]


def test_cupy_is_imported_by_the_backend_only():
    wrong = [
        f"{module}:{line} imports {imported}"
        for module in MODULES
        if part_of(module) != "backend"
        for imported, line, _ in imports(module)
        if imported.split(".")[0] in ("cupy", "cupyx", "cupy_backends")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sizes(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE, f"{path} has {lines} lines, at most {MAX_FILE} are allowed: split it"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION, (
                f"{path}:{node.lineno} {node.name} has {length} lines, at most {MAX_FUNCTION} are "
                f"allowed: split it"
            )


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank ones, comments and docstrings."""
    strings = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            strings |= set(range(node.lineno, node.end_lineno + 1))
    no_code = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    lines = set()
    for token in tokens:
        if token.type not in (*no_code, tokenize.ENDMARKER):
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - strings)


def test_code_lines_counts_code_only(tmp_path):
    path = tmp_path / "example.py"
    path.write_text('"""Doc\nof two lines"""\n\n# a comment\nx = (1,\n     2)  # another\n')
    assert code_lines(path) == 2


def test_autodiff_is_small():
    files = [PACKAGE / "autodiff" / f"{n}.py" for n in ("tensor", "symbolic", "op", "tape")]
    total = sum(map(code_lines, files))
    assert total <= MAX_AUTODIFF, f"{total} lines of code in {[f.name for f in files]}"


def public_methods(cls: type) -> dict[str, object]:
    return {n: m for n, m in vars(cls).items() if inspect.isfunction(m) and n[0] != "_"}


def test_the_backend_protocol_is_small_and_both_backends_have_all_of_it():
    methods = public_methods(Backend)
    assert 0 < len(methods) <= MAX_PROTOCOL
    for backend in (NumpyBackend, CupyBackend):
        assert set(methods) <= set(public_methods(backend))
        for name, method in methods.items():
            theirs = inspect.signature(getattr(backend, name)).parameters
            assert list(theirs) == list(inspect.signature(method).parameters)


def test_import_is_light():
    """Heavy and optional packages are imported where they are first used."""
    heavy = ("cupy", "matplotlib", "rich", "ml_dtypes", "jax", "keras", "torch", "sklearn", "scipy")
    found = f"print([m for m in {heavy!r} if m in sys.modules])"
    everything = "[getattr(gpunn, name) for name in gpunn.__all__]"
    code = f"import gpunn, sys; print('gpunn.layers' in sys.modules); {everything}; {found}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["False", "[]", ""]
    assert done.stderr == ""


def test_what_loads_at_first_use_is_the_thing_itself():
    code = (
        "import gpunn\n"
        "assert {'Sequential', 'layers', 'function', 'ops'} <= set(dir(gpunn))\n"
        "assert set(dir(gpunn)) == set(gpunn.__all__)\n"
        "from gpunn import Sequential, layers, function\n"
        "import gpunn.models, gpunn.layers, gpunn.training.function\n"
        "assert Sequential is gpunn.Sequential is gpunn.models.Sequential\n"
        "assert layers is gpunn.layers and gpunn.Input is gpunn.layers.Input\n"
        "assert function is gpunn.training.function.function\n"
        "try:\n    gpunn.nothing\n"
        "except AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "module 'gpunn' has no attribute 'nothing'. What Keras has and gpunn has not stands in "
        "docs/keras-differences.md.\n"
    )
