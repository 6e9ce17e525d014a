"""Read what Python bytecode names, without running it or making it code.

`marshal.loads` may crash on bytes that were made to, and reads that of its own Python alone. This
reads that of any Python from 2.7 on as far as it tells names and texts, and makes nothing else
of it. Its time and memory are bounded by the bytes that it is given.
"""

from __future__ import annotations

import base64
import binascii
import struct
import sys
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kprobe.escaping import show_short
from kprobe.naming import list_names

# Of a file, no more bytes are read: a function in a layer takes a few hundred.
MOST_BYTES = 1 << 19
_DEEPEST = 60
_FLAG_REF = 0x80
_LONGEST = 40
_LISTED = 8


class _Layout(NamedTuple):
    """How the versions of Python write code: numbers, objects, a number, and objects.

    Attributes:
        before: How many numbers come first.
        objects: The objects behind them.
        after: How many objects come behind the number of the first line.
        text: What names are: bytes in Python 2.
    """

    before: int
    objects: tuple[str, ...]
    after: int
    text: type = str


_OLD = ("code", "consts", "names", "varnames", "freevars", "cellvars", "filename", "name")
_NEW = ("code", "consts", "names", "varnames", "kinds", "filename", "name", "qualname")
_LAYOUTS = (
    _Layout(5, _NEW, 2),  # 3.11 and later
    _Layout(6, _OLD, 1),  # 3.8 to 3.10
    _Layout(5, _OLD, 1),  # 3.0 to 3.7
    _Layout(4, _OLD, 1, bytes),  # 2
)
# Types of fixed sizes in bytes, and of those of a size before them: the bytes of that size, and
# whether it is text.
_FIXED = {b"N": 0, b"F": 0, b"T": 0, b"S": 0, b".": 0, b"i": 4, b"I": 8, b"g": 8, b"y": 16}
_SIZED = {
    b"s": (4, False),
    b"t": (4, True),
    b"u": (4, True),
    b"a": (4, True),
    b"A": (4, True),
    b"z": (1, True),
    b"Z": (1, True),
    b"f": (1, False),
}
_LISTS = {b"(": 4, b")": 1, b"[": 4, b"<": 4, b">": 4}


@dataclass(frozen=True)
class CodeNames:
    """What bytecode names.

    Attributes:
        names: The names that it looks up or imports, in order; `os.system` where a name of
            Python's own library comes before another.
        texts: The texts in it.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]

    def __str__(self) -> str:
        """Tell both, the first few of each."""
        told = [_show(name) for name in self.names]
        texts = [repr(_show(text)) for text in self.texts]
        parts = [f"names {list_names(told, _LISTED)}"] if told else []
        parts += [f"holds {'the text' if len(texts) == 1 else 'the texts'} "
                  f"{list_names(texts, _LISTED)}"] if texts else []  # fmt: skip
        return " and ".join(parts) or "names nothing"


def read_bytecode(content: bytes) -> CodeNames | None:
    """Read what bytecode names.

    Args:
        content: What `marshal.dumps` of any Python made of a code object.

    Returns:
        The names and texts; None where the bytes are no bytecode, or too many.
    """
    if len(content) > MOST_BYTES:
        return None
    for layout in _LAYOUTS:
        reader = _Reader(content, layout)
        try:
            reader.read_object(0)
        except (_NoBytecodeError, struct.error):
            continue
        if reader.codes and reader.position == len(content):
            names = [name for code in reader.codes for name in code.names]
            texts = [text for code in reader.codes for text in code.texts]
            return CodeNames(tuple(dict.fromkeys(_join(names))), tuple(dict.fromkeys(texts)))
    return None


def decode_bytecode(value: object) -> bytes | None:
    """Decode bytecode as configs hold it: in base64, or a character for each byte.

    Args:
        value: The value in the config: the text, a list that begins with it, or a dict of either.

    Returns:
        The bytes; None where it is something else.
    """
    if isinstance(value, dict):
        # A tuple, as tf_keras may write it; or each part by its name.
        value = value.get("items", value.get("code"))
    text = value[0] if isinstance(value, list) and value else value
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error):
        # Older Keras. As it decodes: its loaders take what isn't base64 for this.
        return text.encode("raw_unicode_escape", "replace")


class _NoBytecodeError(Exception):
    """The bytes aren't what this layout expects."""


@dataclass
class _Reader:
    """What is read of the bytes, by one layout.

    Attributes:
        content: The bytes.
        layout: How code lies in them.
        position: Where the next object begins.
        codes: What was read of code, in it and in functions inside.
    """

    content: bytes
    layout: _Layout
    position: int = 0
    codes: list[CodeNames] = field(default_factory=list)
    _referred: list[Any] = field(default_factory=list)
    _interned: list[Any] = field(default_factory=list)
    _told: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def read_object(self, depth: int) -> Any:
        """Read an object: texts, bytes and tuples as such, anything else as None.

        Raises:
            _NoBytecodeError: There is none.
        """
        if depth > _DEEPEST:
            raise _NoBytecodeError
        flagged = self._take(1)[0]
        kind = bytes([flagged & ~_FLAG_REF])
        number = None
        if flagged & _FLAG_REF:
            number = len(self._referred)
            self._referred.append(None)
        value = self._read_kind(kind, depth)
        if number is not None:
            self._referred[number] = value
        return value

    def _read_kind(self, kind: bytes, depth: int) -> Any:
        if kind in _FIXED:
            self._take(_FIXED[kind])
            return None
        if kind in _SIZED:
            size, is_text = _SIZED[kind]
            return self._read_text(kind, self._take(self._read_number(size)), is_text)
        if kind in _LISTS:
            count = self._read_number(_LISTS[kind])
            if count > len(self.content) - self.position:
                raise _NoBytecodeError
            return tuple(self.read_object(depth + 1) for _ in range(count))
        if kind in (b"r", b"R"):
            known = self._referred if kind == b"r" else self._interned
            number = self._read_number(4)
            if number >= len(known):
                raise _NoBytecodeError
            return known[number]
        if kind == b"l":
            digits = struct.unpack("<i", self._take(4))[0]
            self._take(2 * abs(digits))
        elif kind == b"x":
            for _ in range(2):
                self._take(self._read_number(1))
        elif kind == b":":
            for _ in range(3):
                self.read_object(depth + 1)
        elif kind == b"{":
            while self.content[self.position : self.position + 1] != b"0":
                self.read_object(depth + 1)
            self._take(1)
        elif kind == b"c":
            self._read_code(depth)
        else:
            raise _NoBytecodeError
        return None

    def _read_text(self, kind: bytes, content: bytes, is_text: bool) -> Any:
        is_old = self.layout.text is bytes
        if is_text and not (is_old and kind == b"t"):
            return content.decode("utf-8", "backslashreplace")
        if is_old:
            # Python 2 refers to names by their numbers.
            self._interned += [content] * (kind == b"t")
        return content

    def _read_code(self, depth: int) -> None:
        layout, place = self.layout, len(self.codes)
        self.codes.append(CodeNames((), ()))  # those inside come behind
        self._take(4 * layout.before)
        parts = {name: self.read_object(depth + 1) for name in layout.objects}
        self._take(4)
        for _ in range(layout.after):
            self.read_object(depth + 1)
        names, consts = parts["names"], parts["consts"]
        fits = isinstance(parts["code"], bytes) and isinstance(parts["name"], layout.text)
        if not (fits and isinstance(names, tuple) and isinstance(consts, tuple)):
            raise _NoBytecodeError
        if not all(isinstance(name, layout.text) for name in names):
            raise _NoBytecodeError
        self.codes[place] = CodeNames(self._tell(names), self._tell(consts))

    def _tell(self, values: tuple[Any, ...]) -> tuple[str, ...]:
        """Give the texts among values, once: many functions may share one list."""
        if id(values) in self._told:
            return ()
        self._told[id(values)] = values
        is_old = self.layout.text is bytes
        found = []
        for value in values:
            if isinstance(value, str):
                found.append(value)
            elif is_old and isinstance(value, bytes):
                found.append(value.decode("latin-1"))
        return tuple(found)

    def _read_number(self, size: int) -> int:
        number: int = struct.unpack("<I" if size == 4 else "<B", self._take(size))[0]
        return number

    def _take(self, count: int) -> bytes:
        if count > len(self.content) - self.position:
            raise _NoBytecodeError
        self.position += count
        return self.content[self.position - count : self.position]


def _join(names: list[str]) -> list[str]:
    """Join the names of Python's own modules to what is taken of them, which comes behind."""
    joined: list[str] = []
    open_module = False
    for name in names:
        is_module = name.partition(".")[0] in sys.stdlib_module_names
        if open_module and not is_module:
            joined[-1] = f"{joined[-1]}.{name}"
        else:
            joined.append(name)
        open_module = is_module
    return joined


def _show(text: str) -> str:
    return show_short(text, _LONGEST)
