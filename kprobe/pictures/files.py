"""What files of pictures may be, and what they are called: never anything outside their folder."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Collection

PictureFormat = Literal["png", "svg", "pdf"]
PICTURE_FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)
_LONGEST = 100  # characters of a name


def name_file(name: str, taken: Collection[str] = ()) -> str:
    """Make a file's name of an address, without a suffix.

    Args:
        name: Any text; `/` becomes `.`, as in the names of datasets.
        taken: Names that other files have, in lower case.

    Returns:
        Letters, digits and `._@-` alone, not beginning with a full stop. Where more had to be
        changed, and where the name is taken, it ends with a digest of the text.
    """
    known = name.replace("/", ".")
    chosen = re.sub(r"[^\w.@-]", "_", known, flags=re.ASCII).lstrip(".-") or "_"
    if chosen != known or len(chosen) > _LONGEST or chosen.lower() in taken:
        digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
        chosen = f"{chosen[: _LONGEST - 9]}-{digest}"
    return chosen
