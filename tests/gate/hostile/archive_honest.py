"""Archives that are odd, and harmless."""

from __future__ import annotations

import zipfile

from gate.hostile.archive_files import LATE, bomb, by_zipfile, changed, descriptor, extend, field
from gate.hostile.case import Case
from gate.hostile.zip_writer import (
    Member,
    write_end_64,
)

HONEST = (
    ("as-keras-writes-it", extend()),
    ("deflated", by_zipfile(zipfile.ZIP_DEFLATED)),
    ("with-folders", by_zipfile(folders=("assets/", "assets/layers/"))),
    ("forced-zip64", by_zipfile(force_zip64=True)),
    ("streamed", by_zipfile(seekable=False)),
    ("streamed-deflated", by_zipfile(zipfile.ZIP_DEFLATED, seekable=False)),
    ("streamed-zip64", by_zipfile(force_zip64=True, seekable=False)),
    ("descriptor-without-magic", changed(
        local=LATE, central={"flags": 8}, behind=descriptor(magic=b""))),
    ("zip64-end", extend(end_64=write_end_64)),
    ("directory-in-another-order", extend(order=lambda entry: entry[46:])),
    ("with-assets", extend(Member("assets/layers/lookup/vocabulary.txt", "ä\nö".encode()))),
    ("unicode-name", extend(Member("assets/layers/größe/vocabulary.txt", b"a\nb"))),
    ("without-ending", extend(name="model")),
    ("other-ending", extend(name="model.v2")),
    ("times-and-owner", changed(
        local={"extra": field(0x5455, bytes(9)) + field(0x7875, bytes(11))},
        central={"extra": field(0x5455, bytes(5)) + field(0x7875, bytes(11))},
    )),
    ("windows-times", changed(central={"extra": field(0x000A, bytes(32)), "attributes": 0x20})),
    ("zeros-well-deflated", bomb(size=16 << 20)),
)  # fmt: skip


CASES = tuple(Case(f"archive-honest-{name}", make, None) for name, make in HONEST)
