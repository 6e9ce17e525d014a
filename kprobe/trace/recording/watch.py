"""Watch both Kerases while a model runs, and tell a recorder of every layer's call."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from kprobe.compat.eager_loops import functions_run_eagerly
from kprobe.compat.layer_calls import layer_calls_replaced, layer_returns_noted
from kprobe.compat.retrace import functions_traced_anew
from kprobe.trace.recording.copy_restored import restored_functions_copied
from kprobe.trace.recording.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANGING = threading.RLock()


@contextlib.contextmanager
def recording(*, eager: bool = False) -> Iterator[Recorder]:
    """Record the layer calls that are traced inside the block, of keras and of tf_keras.

    Only the libraries already imported are watched. Their classes are put back when the block
    is left, and no layer keeps anything of it.

    Args:
        eager: Record what runs eagerly instead, functions and loops among it.
    """
    recorder = Recorder(eager)
    with (
        # The libraries' classes are the whole process's: one thread at a time changes them.
        _CHANGING,
        functions_run_eagerly(recorder.run_loop) if eager else functions_traced_anew(),
        restored_functions_copied(recorder),
        layer_calls_replaced(recorder.run),
        layer_returns_noted(recorder.note_masks),
    ):
        yield recorder
