"""SavedModels with odd files beside the graph, and files of variables."""

from __future__ import annotations

import os

from gate.hostile.saved_models import (
    LINKS,
    RESOURCE,
    STRING,
    case,
    describe,
    lay,
    make_model,
    of_files,
    of_graph,
    write,
    write_variables,
)


def write_half(path, marker):
    write_variables(path, [(b"w", describe())], shards=2)
    data = path / "variables" / "variables.data-00000-of-00001"
    data.rename(data.with_name("variables.data-00000-of-00002"))


def of_variables(*entries: tuple[bytes, bytes], **settings):
    def make(folder, marker):
        saved, _ = make_model()
        return write_variables(write(folder, saved), entries, **settings)

    return make


def link(name: str, target: str):
    def edit(path, marker):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(target)

    return of_files(edit)


def link_graph(path, marker):
    (path / "saved_model.pb").rename(path.parent / "elsewhere.pb")
    (path / "saved_model.pb").symlink_to("../elsewhere.pb")


def make_pipe(path, marker):
    (path / "assets").mkdir()
    os.mkfifo(path / "assets" / "words.txt")


def hollow(name: str, size: int):
    def edit(path, marker):
        (path / name).touch()
        os.truncate(path / name, size)

    return of_files(edit)


def read_outside(graph, marker):
    asset = graph.asset_file_def.add(filename="../../secret.txt")
    asset.tensor_info.name = "x:0"


CASES = (
    case("link-to-a-file", "members", link("assets/words.txt", "/etc/hostname"), LINKS),
    case("link-to-a-directory", "members", link("assets", "/"), LINKS),
    case("link-for-the-graph", "members", of_files(link_graph), LINKS),
    case("link-to-nothing", "members", link("variables", "/nowhere"), LINKS),
    case("pipe", "members", of_files(make_pipe)),
    case("stray-code", "members", lay("setup.py")),
    case("stray-in-variables", "members", lay("variables/variables.data-00000-of-00001.bak")),
    case("link-for-a-repository", "members", link(".git", "/etc"), LINKS),
    case("repository-in-assets", "members", lay("variables/.git/config")),
    case("stray-directory", "members", of_files(lambda path, marker: (path / "src").mkdir())),
    case("terminal-codes", "members", lay("\x1b]0;title\x07\nwhole\u202e")),
    case("graph-as-text-beside", "members", lay("saved_model.pbtxt")),
    case("graph-in-chunks-beside", "members", lay("saved_model.cpb")),
    case("deep-directories", "members", lay("assets/a/b/c/d/e/f")),
    case("asset-outside", "members", of_graph(read_outside), "CWE-22"),
    case("huge-fingerprint", "size", hollow("fingerprint.pb", 2**40)),
    case("huge-metadata", "size", hollow("keras_metadata.pb", 2**40)),
    case("huge-graph", "size", hollow("saved_model.pb", 2**31)),
    case("no-shard", "variables", lay("variables/variables.index")),
    case("no-index", "variables", lay("variables/variables.data-00000-of-00001")),
    case("shard-of-three", "variables", of_variables(shards=3)),
    case("shard-of-two", "variables", of_files(write_half)),
    case("value-of-no-type", "variables", of_variables((b"w", describe(dtype=99)))),
    case("index-cut-short", "variables", of_variables((b"w", describe()), header=False)),
    case("index-compressed", "variables", of_variables((b"w", describe()), kind=1), "snappy bomb"),
    case("index-block-twice", "variables", of_variables((b"w", describe()), twice=True)),
    case(
        "index-out-of-order", "variables", of_variables(*[(b"w", describe())] * 2, data=b"\0" * 24)
    ),
    case("index-shares-too-much", "variables", of_variables((b"w", describe()), shared=5)),
    case("index-damaged-entry", "variables", of_variables((b"w", b"\xff\xff"))),
    case("index-hides-entries", "variables", of_variables((b"w", describe()), restart=9)),
    case("index-long-key", "variables", of_variables((b"w" * 5000, describe()))),
    case("shape-bomb", "variables", of_variables((b"w", describe((2**40,)))), "shape bomb"),
    case("shape-overflow", "variables", of_variables((b"w", describe((2**32, 2**32))))),
    case("shape-negative", "variables", of_variables((b"w", describe((-3,))))),
    case("value-outside", "variables", of_variables((b"w", describe(offset=4)))),
    case("value-before", "variables", of_variables((b"w", describe(offset=-4)))),
    case("value-of-no-shard", "variables", of_variables((b"w", describe(shard=1)))),
    case("value-shared", "variables", of_variables((b"a", describe()), (b"b", describe()))),
    case("value-of-handles", "variables", of_variables((b"w", describe(dtype=RESOURCE)))),
    case("texts-bomb", "variables", of_variables((b"w", describe((2**30,), dtype=STRING)))),
    case("plain", None, of_files(lambda path, marker: None)),
    case("strays-of-a-mac", None, lay("variables/.DS_Store")),
    case("from-a-collection", None, lay("README.md")),
    case("from-a-repository", None, lay(".git/objects/pack/a/b/c/d.pack")),
    case("of-a-hub", None, lay("tfhub_module.pb")),
    case("more-assets", None, lay("assets.extra/serving/requests")),
    case("debug", None, lay("debug/saved_model_debug_info.pb", b"")),
    case("variables", None, of_variables((b"w", describe()))),
)
