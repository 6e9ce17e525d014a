"""List what the installed Keras and tf_keras define for models: kprobe/gate/names/lists/*.txt.

`python tests/gate/list_names.py` writes `installed.txt` and `tensor_functions.txt` anew. Read the
difference before it is committed: what is on these lists, a stranger's file may name. What must not
be is in `left_out.txt`, which is written by hand, with the reason.

`python tests/gate/list_names.py WHEEL...` writes `older.txt` from the source of older releases,
which is read and not run, and of TensorFlow's own old Keras; no name is ever taken off that list.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

LISTS = Path(__file__).parents[2] / "kprobe" / "gate" / "names" / "lists"
# The rooms of Keras that have what a config names, by what a class of them is called here.
ROOMS = {
    "activations": "layer",
    "constraints": "constraint",
    "distillation": "distillation",
    "dtype_policies": "policy",
    "initializers": "initializer",
    "layers": "layer",
    "losses": "loss",
    "metrics": "metric",
    "mixed_precision": "policy",
    "optimizers": "optimizer",
    "quantizers": "quantizer",
    "random": "random",
    "regularizers": "regularizer",
}
# Those whose functions are named, too.
FUNCTION_ROOMS = (
    *("activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers"),
)
# The rooms of older releases.
OLDER_ROOMS = {*ROOMS, *("_legacy", "engine", "legacy", "legacy_tf_layers", "models", "ops")}
OLDER_ROOMS |= {
    "optimizer_experimental",
    "optimizer_v1",
    "optimizer_v2",
    "premade",
    "premade_models",
}
OLDER_ROOMS |= {"feature_column"}
IMPORTED_ROOMS = {*OLDER_ROOMS, *("applications", "export", "trainers", "utils")}
# The other rooms, of which no config names anything: what runs, trains, tests and reads.
OTHER_ROOMS = {
    *("api_export", "backend", "backend_config", "benchmarks", "callbacks", "callbacks_v1"),
    *("datasets", "distribute", "distribution", "dtensor", "estimator", "preprocessing"),
    *("saving", "testing", "testing_infra", "tests", "tree", "version", "visualization"),
    "wrappers",
}
_NO_MODULES = ("_test", "test_util", "test_utils", "__init__")
TENSOR_NAMESPACES = (
    *("audio", "bitwise", "dtypes", "image", "linalg", "math", "math.special", "nn"),
    *("quantization", "ragged", "random", "sets", "signal", "sparse", "strings"),
)

Names = dict[tuple[str, str], set[str]]


def read_list(name, *, rows=False):
    """Read a list: by kind and name, what stands behind them."""
    lines = (LISTS / f"{name}.txt").read_text().splitlines()
    split = [line.split() for line in lines if line and not line.startswith("#")]
    return {(kind, thing): rest if rows else {*rest} for kind, thing, *rest in split}


def list_installed() -> Names:
    """List all by kind and name, with the modules below Keras's root that have it."""
    import keras
    import tf_keras

    found: Names = defaultdict(set)
    for library in (keras, tf_keras):
        for below, name, thing, is_public in _list_members(library):
            judge = _judge_class if inspect.isclass(thing) else _judge_function
            if kind := judge(library, thing):
                found[kind, name].add(below or ".")
                if is_public:
                    # As it is written where it isn't exported under this name.
                    found[kind, thing.__name__].add(_take_off(library, thing.__module__))
    listed = {name for _, name in found}
    for name in _list_looked_up() - listed:
        found["alias", name] = set()
    return found


def _list_looked_up():
    """List the names by which either Keras finds its own without a module."""
    from keras.src import constraints, initializers, losses, metrics, regularizers
    from tf_keras.src import initializers as older

    older.populate_deserializable_objects()
    rooms = (constraints, initializers, losses, metrics, regularizers)
    return {name for room in rooms for name in room.ALL_OBJECTS_DICT} | {*older.LOCAL.ALL_OBJECTS}


def _list_members(library):
    """Yield what Keras's modules define or export: where below the root, its name, it itself."""
    root = library.__name__
    _import_rooms(library)
    left_out = tuple(f"{root}.{part}" for part in ("_tf_keras", "api", "src.testing_infra"))
    for full, module in sorted(sys.modules.items()):
        if not f"{full}.".startswith(f"{root}.") or full.startswith(left_out):
            continue
        is_public = not full.startswith(f"{root}.src.")
        room = _take_off(library, full).split(".")[0]
        if full.endswith(_NO_MODULES) or not (is_public or room in IMPORTED_ROOMS):
            continue
        for name, thing in sorted(vars(module).items()):
            source = getattr(thing, "__module__", None) or ""
            if name.startswith("__"):
                continue
            if is_public and source.startswith(f"{root}.src."):
                if inspect.isclass(thing) or inspect.isfunction(thing):
                    yield _take_off(library, full), name, thing, True
            elif source == full and inspect.isclass(thing):
                yield _take_off(library, full), name, thing, False


def _import_rooms(library):
    """Import all of these rooms: which modules other code imported says nothing."""
    root = Path(library.__file__).parent / "src"
    for path in sorted(root.rglob("*.py")):
        below = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        if below.split(".")[0] in IMPORTED_ROOMS and not below.endswith(_NO_MODULES):
            with contextlib.suppress(ImportError):  # of other backends
                importlib.import_module(f"{library.__name__}.src.{below}")


def list_uncovered(root):
    """List what the lists don't look at, of a Keras in a folder: rooms, and classes for models.

    These are exported, and have a `from_config` or come from a class that is listed. The source is
    read and not run.
    """
    listed = {name for kind, name in read_list("installed") if kind not in ("alias", "function")}
    known = listed | {name for _, name in read_list("left_out")}
    uncovered = []
    for place in sorted((Path(root) / "src").iterdir()):
        room, is_module = place.stem, place.suffix == ".py"
        if room in IMPORTED_ROOMS or not (is_module or any(place.rglob("*.py"))):
            continue
        if room not in OTHER_ROOMS and room != "__init__":
            uncovered.append(room)
        for path in [place] if is_module else sorted(place.rglob("*.py")):
            text = path.read_text()
            tree = ast.parse(text) if "keras_export" in text else ast.Module([], [])
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and _is_for_models(node, listed):
                    uncovered += [] if node.name in known else [f"{room}: {node.name}"]
    return uncovered


def _is_for_models(node, listed):
    is_public = any("keras_export" in ast.unparse(each) for each in node.decorator_list)
    bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    return is_public and ("from_config" in methods or not bases.isdisjoint(listed))


def _take_off(library, module):
    below = module.removeprefix(library.__name__).removeprefix(".")
    return "" if below == "src" else below.removeprefix("src.")


def _judge_class(library, thing):
    room = _take_off(library, thing.__module__).split(".")[0]
    if not hasattr(thing, "from_config"):
        return None
    if issubclass(thing, library.metrics.Metric):
        return "metric"
    if issubclass(thing, library.layers.Layer):
        return "layer"
    if hasattr(library, "Operation") and issubclass(thing, library.Operation):
        return "operation"
    if thing.__name__ in ("Cross", "Feature", "InputSpec"):
        return "layer-part"
    return ROOMS.get(room, "other")


def _judge_function(library, thing):
    room = _take_off(library, thing.__module__).split(".")[0]
    return "function" if room in FUNCTION_ROOMS else None


def list_tensor_functions() -> set[str]:
    """List the symbols of TensorFlow that `TFOpLambda` may be given, old and new.

    In the namespaces, all are functions of tensors. Those of TensorFlow itself mostly aren't: the
    list keeps those that it has.
    """
    import tensorflow as tf

    found = set()
    for root in (tf, tf.compat.v1):
        for namespace in TENSOR_NAMESPACES:
            place = root
            for part in namespace.split("."):
                place = getattr(place, part, None)
            for name, thing in vars(place).items() if place else ():
                if callable(thing) and not inspect.isclass(thing) and not name.startswith("_"):
                    found.add(f"{namespace}.{name}")
    return found


def list_older(wheels) -> Names:
    """List what older releases define, as their source tells, by the names of its classes."""
    installed = list_installed()
    others = ("alias", "function", "other")
    kinds = {name: kind for kind, name in installed if kind not in others}
    functions = defaultdict(set)
    for (kind, name), modules in installed.items():
        for module in modules if kind == "function" else ():
            functions[module.split(".")[0]].add(name)
    functions["metrics"] |= functions["losses"]
    found: Names = defaultdict(set)
    for wheel in wheels:
        trees = dict(_parse(wheel))
        known = dict(kinds)
        classes = [
            (below, node)
            for below, tree in trees.items()
            for node in tree.body
            if isinstance(node, ast.ClassDef) and below.split(".")[0] in OLDER_ROOMS
        ]
        for _ in range(9):
            for _below, node in classes:
                bases = [ast.unparse(base).split(".")[-1] for base in node.bases]
                kind = next((known[base] for base in bases if base in known), None)
                if kind is not None:
                    known.setdefault(node.name, kind)
        for below, node in classes:
            if node.name in known:
                kind = ROOMS.get(below.split(".")[0], known[node.name])
                found[kind, node.name].add(below)
        for below, tree in trees.items():
            for name in functions[below.split(".")[0]] & set(_list_top_names(tree)):
                found["function", name].add(below)
    # What TensorFlow 2.1 to 2.3 wrote into policies.
    found["alias", "DynamicLossScale"] = found["alias", "FixedLossScale"] = {"."}
    for (_, name), modules in installed.items():
        for key in found:
            found[key] -= modules if key[1] == name else set()
    return {key: modules for key, modules in found.items() if modules}


def _parse(wheel):
    """Yield the modules of a release, below its root, parsed."""
    path = Path(wheel)
    if path.is_dir():
        sources = {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*.py")}
    else:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".py")]
            sources = {name.partition("/")[2]: archive.read(name) for name in names}
    for name, content in sources.items():
        below = name.removeprefix("src/").removesuffix(".py").removesuffix("/__init__")
        if (
            not below.endswith(("_test", "test_utils", "test_util", "__init__"))
            and "api/" not in below
        ):
            yield below.replace("/", "."), ast.parse(content)


def _list_top_names(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _write(name, about, lines):
    (LISTS / f"{name}.txt").write_text(
        "".join(f"# {line}\n" for line in about) + "\n".join(lines) + "\n"
    )


def _spell(names: Names):
    return [
        " ".join([kind, name, *sorted(modules)]) for (kind, name), modules in sorted(names.items())
    ]


def _leave_out(names: Names) -> Names:
    """Take off what is left out; what an opt-in opens becomes `barred`."""
    left_out = read_list("left_out", rows=True)
    kept = {}
    for (kind, name), modules in names.items():
        rule = left_out.get((kind, name), [None])[0]
        if rule not in (None, "-"):
            kept["barred", name] = kept.get(("barred", name), set()) | modules
        elif rule is None:
            kept[kind, name] = modules
    return kept


def main(wheels):
    """Write the lists."""
    if wheels:
        about = ["What older releases of Keras define for models, where the installed ones don't:"]
        about += ["Keras 2.3 to 3.8, and tensorflow.python.keras."]
        about += ["Written by tests/gate/list_names.py.", "kind name modules"]
        _write("older", about, _spell(_leave_out(list_older(wheels))))
        return
    about = ["What the installed Keras and tf_keras define for models, with the modules below"]
    about += ["Keras's root that have it. `barred` is opened by opt-ins alone: see left_out.txt."]
    about += ["Written by tests/gate/list_names.py.", "kind name modules"]
    _write("installed", about, _spell(_leave_out(list_installed())))
    symbols = {("symbol", name): set() for name in list_tensor_functions()}
    kept = {key for key in read_list("tensor_functions") if not _is_in_namespace(key[1])}
    about = ["TensorFlow's functions of tensors, which layers may be made of."]
    about += ["Written by tests/gate/list_names.py.", "kind name"]
    _write("tensor_functions", about, _spell(_leave_out(symbols | {key: set() for key in kept})))


def _is_in_namespace(symbol):
    return symbol.rpartition(".")[0] in TENSOR_NAMESPACES


if __name__ == "__main__":
    main(sys.argv[1:])
