"""No room but compat names what isn't public of TensorFlow or a Keras."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import kprobe

ROOT = Path(kprobe.__file__).parent
_MODULE = re.compile(
    r"tensorflow\.(python|core|tsl|compiler|lite\.python|_api)\b"
    r"|(keras|tf_keras)\.(src|_tf_keras|protobuf)\b"
    r"|(tensorflow|keras|tf_keras)\..*\b_(?!_)"
)
_ACCESS = {"getattr", "hasattr", "setattr", "delattr"}


# Python's own, and public for all their underscore.
_PUBLIC = {"_", "_exit", "_replace"}


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in _PUBLIC


class Finder(ast.NodeVisitor):
    """Finds what a file names that isn't its own, nor public."""

    def __init__(self):
        self.found = []
        self._scopes = []

    def add(self, node, what):
        self.found.append((node.lineno, what))

    def visit_scope(self, node):
        self._scopes.append(node)
        self.generic_visit(node)
        self._scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_scope  # noqa: N815

    def visit_Import(self, node):
        for alias in node.names:
            if _MODULE.match(alias.name):
                self.add(node, alias.name)

    def visit_ImportFrom(self, node):
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            if _MODULE.match(full):
                self.add(node, full)

    def visit_Attribute(self, node):
        if node.attr == "src" or (is_private(node.attr) and not self._is_own(node.value)):
            self.add(node, ast.unparse(node))
        self.generic_visit(node)

    def visit_Call(self, node):
        called = ast.unparse(node.func)
        texts = [part.value for part in node.args if isinstance(part, ast.Constant)]
        for text in (text for text in texts if isinstance(text, str)):
            reads = called.rpartition(".")[2] in {*_ACCESS, "attrgetter", "__setattr__"}
            if (reads and is_private(text)) or (
                called.endswith("import_module") and _MODULE.match(text)
            ):
                self.add(node, ast.unparse(node))
        self.generic_visit(node)

    def _is_own(self, owner):
        """Tell `self` and `cls` of a class in the file, and not of a function put into another."""
        if not isinstance(owner, ast.Name) or owner.id not in ("self", "cls"):
            return False
        for inner, around in zip(self._scopes[::-1], [*self._scopes[-2::-1], None], strict=True):
            if isinstance(inner, ast.FunctionDef):
                given = (*inner.args.posonlyargs, *inner.args.args)
                if owner.id in [argument.arg for argument in given]:
                    return isinstance(around, ast.ClassDef)
        return False


def find_private(source):
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT / "compat"]


def test_no_other_room_names_what_isnt_public():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in FILES
        for line, what in find_private(path.read_text())
    ]
    assert not found, "name these in kprobe/compat: " + "; ".join(found)


def test_no_other_room_replaces_what_is_tensorflow_s_or_keras_s():
    found = [path.name for path in FILES if "kprobe.compat.patching" in path.read_text()]
    assert not found, "replace it in kprobe/compat"


PRIVATE = [
    "import tensorflow.python.ops",
    "from tensorflow.python.eager import context",
    "from tensorflow.python import eager",
    "from tensorflow import python",
    "from tensorflow.core.protobuf.config_pb2 import ConfigProto",
    "from tensorflow.tsl.profiler.protobuf import xplane_pb2",
    "if TYPE_CHECKING:\n    from tensorflow.core.framework.graph_pb2 import GraphDef",
    "def f():\n    from tf_keras.src import backend",
    "from keras.src.models import Functional",
    "from keras import src",
    "library.src.saving.saving_lib.H5IOStore",
    "tensor._keras_mask",
    "model._flatten_layers()",
    "getattr(tensor, '_keras_mask', None)",
    "hasattr(layer, '_flatten_layers')",
    "setattr(tensor, '_keras_mask', mask)",
    "object.__setattr__(layer, '_tracker', 1)",
    "importlib.import_module('tf_keras.src.engine.base_layer_v1')",
    "class A:\n    def f(self):\n        return self.inner._id",
    "class A:\n    def f(self):\n        def call(self):\n            return self._clone(None)",
    "def call(self):\n    return self._clone(None)",
]
OWN = [
    "import tensorflow as tf\ntf.compat.v1.GraphDef()",
    "from tensorflow.compat.v1 import GraphDef",
    "importlib.import_module('tf_keras')",
    "class A:\n    def f(self):\n        return self._own",
    "class A:\n    def f(self):\n        def g():\n            return self._own",
    "class A:\n    def f(self, a, /):\n        return self._own",
    "class A:\n    @classmethod\n    def f(cls):\n        return cls._own",
    "attributes['_class']",
    "config.get('_states')",
    "layer.__class__",
]


@pytest.mark.parametrize("source", PRIVATE)
def test_a_private_name_would_be_found(source):
    assert find_private(source)


@pytest.mark.parametrize("source", OWN)
def test_what_is_public_or_a_files_own_is_left_alone(source):
    assert not find_private(source)


def test_all_rooms_are_looked_at():
    rooms = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert {"trace", "models", "engines", "inputs", "pipeline", "api.py"} <= rooms


def test_every_name_that_compat_holds_is_used():
    from kprobe.compat import keras_names, tensorflow_names
    from kprobe.compat.private_names import PrivateAttribute, PrivateName

    kinds = (PrivateName, PrivateAttribute)
    homes = {ROOT / "compat" / "keras_names.py", ROOT / "compat" / "tensorflow_names.py"}
    texts = [path.read_text() for path in ROOT.rglob("*.py") if path not in homes]
    users = [text for text in texts if any(home.stem in text for home in homes)]
    trees = [ast.parse(text) for text in users]
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for module in (keras_names, tensorflow_names):
        names = [name for name, value in vars(module).items() if isinstance(value, kinds)]
        assert len(names) > 10
        assert set(names) <= used
