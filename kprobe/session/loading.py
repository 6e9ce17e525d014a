"""Load a model, whether it is a file, code, or in memory already."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import ModelError
from kprobe.models import load as models
from kprobe.models.code import Code
from kprobe.models.weights.stored_weights import check_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kprobe.engines.compute import Compute
    from kprobe.gate.findings import Opened
    from kprobe.models.file import ModelFile
    from kprobe.models.spec import ModelSpec
    from kprobe.models.weights.weights_file import WeightsFile


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model in memory, which may not be built, or lack its weights.

    Attributes:
        spec: Which model was asked for.
        source: Where it was loaded from; None for one that was in memory.
        model: The model: of keras or tf_keras, or a signature.
        digests: What waits for the SHA-256 of each file, by the attribute of a dump that it is for.
        weights: The weights that it is to be given instead of its own, open; None for none.
    """

    spec: ModelSpec
    source: ModelFile | Code | None
    model: Any
    digests: Mapping[str, Callable[[], str]]
    weights: WeightsFile | None = None

    def identify(self) -> dict[str, Any]:
        """Tell which model it is, as attributes of a dump.

        Raises:
            ModelError: A file can't be read.
        """
        known: dict[str, Any] = {name: digest() for name, digest in self.digests.items()}
        if self.source is None:
            known = {"model_sha256": _hash_weights(self.model), **known}
        if files := self.spec.custom.list_files():
            known["custom_objects_sha256"] = [_hash(file) for file in files]
        if self.spec.custom.names:
            known["custom_objects"] = self.spec.custom.describe()
        return known


def load(
    spec: ModelSpec, compute: Compute | None = None, source: ModelFile | Code | None = None
) -> Loaded:
    """Load a model, uncompiled, with the Keras that saved it.

    Args:
        spec: Which model, and how.
        compute: On what it will be computed; None leaves that as it is.
        source: What `kprobe.models.load.find_source` found, if that was called.

    Raises:
        UnsafeModelError: The file would run code of its own.
        ModelCodeError: The code raised.
        ModelError: The model can't be loaded or made.
        KprobeError: There is no such device, or it can't be chosen any more.
    """
    digests: dict[str, Callable[[], str]] = {}
    if source is None and not spec.in_memory:
        source = models.find_source(spec)
    weights = check_weights(source, spec)
    if source is not None and not isinstance(source, Code):
        digests["model_sha256"] = _start_hashing(source.opened)
    if weights is not None:
        digests["weights_sha256"] = _start_hashing(*weights.list_files())
    if source is None:
        _set_up(compute, in_memory=True)
        return Loaded(spec, None, spec.model, digests, weights)
    # From here on it takes seconds: TensorFlow is imported, which reads just once what is prepared.
    models.prepare_import(models.choose_keras(source, spec.keras))
    _set_up(compute, in_memory=False)
    from kprobe.session.seeding import seed_initializers
    from kprobe.trace.recording.graph_mode import recording_session

    if compute is not None and (spec.random_weights or isinstance(source, Code)):
        seed_initializers(compute.seed)
    model = models.load_source(
        source,
        keras=spec.keras,
        custom_objects=spec.custom,
        unsafe=spec.unsafe,
        allow=spec.allowed,
        arguments=spec.arguments,
        around=recording_session,
    )
    if isinstance(source, Code) and (path := source.find_file()):
        digests["model_sha256"] = _start_hashing(path)
    return Loaded(spec, source, model, digests, weights)


def _set_up(compute: Compute | None, *, in_memory: bool) -> None:
    """Choose the device and the threads; a process that has a model keeps what isn't asked for."""
    if compute is None:
        return
    from kprobe.engines.device import select_device, set_threads

    if compute.device is not None or not in_memory:
        select_device(compute.device)
    if compute.threads is not None:
        set_threads(compute.threads)


def _hash_weights(model: Any) -> str:
    """Hash the weights of a model in memory, which is all of it that may change unseen."""
    digest = hashlib.sha256()
    # A model that isn't built has none, and some kinds don't tell them.
    with contextlib.suppress(AttributeError, ValueError):
        for weight in model.get_weights():
            array = np.ascontiguousarray(weight)
            if array.dtype.hasobject:  # strings, which lie elsewhere
                digest.update(repr(array.tolist()).encode())
            else:
                digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _start_hashing(*files: Path | Opened) -> Callable[[], str]:
    """Hash a file, or several, while the model loads; what is returned waits for the digest."""
    named = [file if isinstance(file, Path) else file.path for file in files]
    digests: list[str] = []
    errors: list[OSError] = []

    def hash_file() -> None:
        # What is open stays so as long as it is hashed: `files` is held here.
        paths = [file if isinstance(file, Path) else Path(file.name) for file in files]
        try:
            digests.append(_hash(*paths, names=[path.name for path in named]))
        except OSError as error:
            errors.append(error)

    # A daemon: nobody waits for the hash of a large file when the job can't be done.
    thread = threading.Thread(target=hash_file, daemon=True)
    thread.start()

    def wait() -> str:
        thread.join()
        for error in errors:
            said = error.filename if isinstance(files[0], Path) else named[0]
            raise ModelError(f"{said or named[0]}: can't be read: {error.strerror}")
        return digests[0]

    return wait


def _hash(*paths: Path, names: Sequence[str] = ()) -> str:
    """Hash a file; or several, or all in a directory, each behind its name.

    Args:
        *paths: The files, or the directory.
        names: What several files are called, if their paths don't tell.
    """
    digest = hashlib.sha256()
    files = [*zip(names or [path.name for path in paths], paths, strict=True)]
    if paths[0].is_dir():
        inside = sorted(paths[0].rglob("*"))
        files = [(path.relative_to(paths[0]).as_posix(), path) for path in inside]
    for name, file in files:
        if not file.is_file():
            continue
        if paths != (file,):
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
