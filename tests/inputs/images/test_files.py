"""Folders, patterns and lists of images as samples."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
from opened import open_all

from kprobe.errors import InputError, SampleError
from kprobe.image_options import ImageOptions
from kprobe.inputs import ModelInput
from kprobe.inputs.images.header import ImageHeader, read_header

IMAGE = ModelInput("image", (None, 24, 32, 3), "float32")
FREE = ModelInput("image", (None, None, None, 3), "float32")
NAMES = ["b/1.jpg", "b/deep/2.png", "a/3.gif", "a/4.bmp", "c/a b.JPEG", "c/né"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name, *, size=(30, 20), seed=0, **options):
    """Save an image of noise, and give its path."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), "uint8")
    kind = options.pop("format", None if path.suffix else "PNG")
    PIL.Image.fromarray(pixels).save(path, kind, **options)
    return path


@pytest.fixture
def tree():
    for seed, name in enumerate(NAMES):
        save(f"tree/{name}", seed=seed, size=(30 + seed, 20 + 3 * seed))
    Path("tree/notes.md").write_text("no image")
    Path("tree/LICENSE").write_text("no image")
    Path("tree/.hidden.jpg").write_text("no image")
    Path("tree/.git").mkdir()
    save("tree/.git/5.jpg")
    return sorted(NAMES)


def read(text, model_input=IMAGE, options=None, batch_size=4, **others):
    images = {} if options is None else {"": options}
    with open_all([text], [model_input], images=images, **others) as samples:
        names = [name.decode() for name in samples.names()[:]]
        rows = [batch[model_input.name] for _, batch in samples.batches(batch_size)]
        return names, np.concatenate(rows)


def load(paths, size=(24, 32)):
    options = {"target_size": size, "interpolation": "nearest"}
    images = [keras.utils.load_img(path, **options) for path in paths]
    return np.stack([keras.utils.img_to_array(image) for image in images])


def test_a_folder_of_damaged_images_is_said_with_the_first_of_them():
    for name in ("tree/b.png", "tree/a.jpg"):
        path = save(name)
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError) as caught:
        read("tree", FREE)
    (fault,) = caught.value.faults
    assert fault.startswith("tree: no image can be read; a.jpg: ")


NEAREST = ImageOptions(interpolation="nearest")


def test_a_folder_is_read_with_all_below_it_in_order(tree):
    names, rows = read("tree", options=NEAREST)
    assert names == tree
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows, load(f"tree/{name}" for name in tree))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("tree/c/*", ["a b.JPEG", "né"]),
        ("tree/*/[13].*", ["a/3.gif", "b/1.jpg"]),
        ("tree/**/*.png", ["b/deep/2.png"]),
        ("image=tree/b/?.jpg", ["1.jpg"]),
    ],
)
def test_a_pattern_is_read_in_order(pattern, found, tree):
    names, rows = read(pattern, options=NEAREST)
    assert names == found
    paths = [next(Path("tree").rglob(Path(name).name)) for name in found]
    np.testing.assert_array_equal(rows, load(paths))


def test_a_list_is_read_in_its_own_order_from_its_own_folder(tree):
    Path("tree/list.txt").write_text("b/1.jpg\n\na/4.bmp\nb/1.jpg\n")
    names, rows = read("tree/list.txt", options=NEAREST)
    assert names == ["b/1.jpg", "a/4.bmp", "b/1.jpg"]
    np.testing.assert_array_equal(rows, load(f"tree/{name}" for name in names))


def test_a_single_image_is_one_sample(tree):
    names, rows = read("tree/a/3.gif", options=NEAREST)
    assert names == ["3.gif"]
    np.testing.assert_array_equal(rows, load(["tree/a/3.gif"]))


def test_content_counts_and_not_the_name():
    save("png.jpg", format="PNG")
    save("jpg.png", format="JPEG")
    np.testing.assert_array_equal(read("*.*g", options=NEAREST)[1], load(["jpg.png", "png.jpg"]))


def test_links_are_followed_but_not_round_in_circles(tree):
    Path("tree/z").symlink_to(Path("tree/a").absolute())
    Path("tree/b/deep/round").symlink_to(Path("tree").absolute())
    names, _ = read("tree")
    assert set(tree) - set(names) <= {"a/3.gif", "a/4.bmp"}  # found by one of its two ways
    assert len(names) == len(tree)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_pipes_in_a_folder_are_no_files(tree, on_error):
    os.mkfifo("tree/pipe.png")
    # Else whoever opened it would wait for ever.
    pipe = os.open("tree/pipe.png", os.O_RDWR)
    try:
        os.write(pipe, Path("tree/b/deep/2.png").read_bytes()[:1000])
        with open_all(["tree"], [IMAGE], on_error=on_error) as samples:
            assert samples.rows == len(tree)
    finally:
        os.close(pipe)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_of_any_size_give_the_same_rows(batch_size, tree):
    np.testing.assert_array_equal(
        read("tree", batch_size=batch_size)[1], read("tree", batch_size=2)[1]
    )


def test_reading_begins_anywhere(tree):
    whole = read("tree")[1]
    with open_all(["tree"], [IMAGE]) as samples:
        np.testing.assert_array_equal(samples.peek(2)["image"], whole[:2])
        rows = [batch["image"] for _, batch in samples.batches(2, 3, 6)]
        np.testing.assert_array_equal(np.concatenate(rows), whole[3:])
        np.testing.assert_array_equal(samples.peek(3)["image"], whole[:3])


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((None, 24, 32, 3), ImageOptions(), (24, 32, 3)),
        ((None, 24, 32, 1), ImageOptions(resize="model"), (24, 32, 1)),
        ((None, None, None, 3), ImageOptions(resize=(9, 8)), (9, 8, 3)),
        ((None, None, None, None), ImageOptions(resize=(9, 8), channels=4), (9, 8, 4)),
        ((None, None, None, None), ImageOptions(resize=(9, 8)), (9, 8, 3)),
        ((None, 3, 24, 32), ImageOptions(), (3, 24, 32)),
        ((None, 24, 32), ImageOptions(), (24, 32)),
        ((None, None, None, 3), ImageOptions(), (20, 30, 3)),
    ],
)
def test_the_model_decides_on_size_channels_and_axes_unless_told(shape, options, expected):
    save("a.png")
    model_input = ModelInput("image", shape, "float32")
    assert read("a.png", model_input, options)[1].shape == (1, *expected)


def test_options_for_one_input_leave_the_other_alone(tree):
    inputs = [ModelInput("left", (None, None, None, 3), "float32")]
    inputs += [ModelInput("right", (None, None, None, 3), "float32")]
    images = {"": ImageOptions(resize=(8, 8)), "right": ImageOptions(resize=(6, 6))}
    with open_all(["left=tree", "right=tree"], inputs, images=images) as samples:
        assert {name: shape for name, (shape, _) in samples.specs().items()} == {
            "left": (8, 8, 3),
            "right": (6, 6, 3),
        }


def test_images_keep_their_sizes_where_the_model_has_none(tree):
    _, rows = read("tree", FREE)
    for name, row in zip(tree, rows, strict=True):
        np.testing.assert_array_equal(
            row, keras.utils.img_to_array(keras.utils.load_img(f"tree/{name}"))
        )


@pytest.mark.parametrize("options", [{"format": "JPEG"}, {"format": "JPEG", "progressive": True}])
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0" + bytes(60_000)])
def test_the_header_of_a_jpeg_tells_its_size(options, exif):
    save("a", size=(310, 17), exif=exif, **options)
    with Path("a").open("rb") as file:
        assert read_header(file) == ImageHeader((17, 310), 3)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "JPEG"])
def test_headers_cut_short_tell_no_size(kind):
    content = save("a", size=(310, 17), format=kind).read_bytes()
    for length in range(200):
        Path("b").write_bytes(content[:length])
        with Path("b").open("rb") as file:
            header = read_header(file)
            assert header is None or header.size == (17, 310)
    with Path("a").open("rb") as file:
        assert read_header(file) == ImageHeader((17, 310), 3)


def test_labels_are_the_folders_at_the_top(tree):
    with open_all(["tree"], [IMAGE], labels_from_folders=True) as samples:
        assert samples.labels.classes == ["a", "b", "c"]
        assert samples.labels.indices.tolist() == [0, 0, 1, 1, 2, 2]
    reference = keras.utils.image_dataset_from_directory(
        "tree", labels="inferred", shuffle=False, verbose=False
    )
    assert reference.class_names == samples.labels.classes


def break_files():
    """Damage some images of the tree, and give those rows with the message of each."""
    content = Path("tree/b/1.jpg").read_bytes()
    Path("tree/b/1.jpg").write_bytes(content[: len(content) // 2])
    content = Path("tree/a/4.bmp").read_bytes()
    Path("tree/a/4.bmp").write_bytes(content[:900])
    Path("tree/b/deep/2.png").write_bytes(b"")
    Path("tree/c/a b.JPEG").write_bytes(b"<html>not found</html>")
    return {
        1: "a/4.bmp: the BMP image is damaged or cut short",
        2: "b/1.jpg: the JPEG image is damaged or cut short",
        3: "b/deep/2.png: is empty (0 bytes)",
        4: "c/a b.JPEG: expected a JPEG, PNG, BMP, GIF, WebP or TIFF image, received one that "
        "begins b'<html>not found<'",
    }


def test_a_damaged_image_is_an_error_that_names_it(tree):
    break_files()
    with pytest.raises(SampleError) as caught:
        read("tree")
    assert str(caught.value) == "a/4.bmp: the BMP image is damaged or cut short"
    assert caught.value.row == 1
    assert caught.value.reason == "the BMP image is damaged or cut short"


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_damaged_images_are_passed_over_where_wanted(batch_size, tree):
    whole = read("tree")[1]
    expected = break_files()
    with open_all(["tree"], [IMAGE], on_error="skip") as samples:
        rows = []
        for first, batch in samples.batches(batch_size):
            last = first + len(batch["image"])
            assert {row for row in expected if row < last} == set(samples.faults)
            rows.append(batch["image"])
    assert samples.faults == expected
    rows = np.concatenate(rows)
    assert not rows[[*expected]].any()
    np.testing.assert_array_equal(rows[[0, 5]], whole[[0, 5]])


def test_a_row_is_damaged_if_that_of_any_input_is(tree):
    whole = read("tree")[1]
    expected = break_files()
    np.save("right.npy", np.arange(6.0))
    inputs = [IMAGE, ModelInput("right", (None,), "float32")]
    with open_all(["image=tree", "right=right.npy"], inputs, on_error="skip") as samples:
        peeked = samples.peek(2)
        assert peeked["right"].tolist() == [0, 5]
        np.testing.assert_array_equal(peeked["image"], whole[[0, 5]])
        ((_, batch),) = samples.batches(6)
        assert batch["right"].tolist() == [0, 1, 2, 3, 4, 5]
        assert samples.faults == expected


def test_a_run_needs_one_image_that_can_be_read(tree):
    for name in tree:
        Path("tree", name).write_bytes(b"GIF8")
    damaged = "a/3.gif: the GIF image is damaged"
    with (
        open_all(["tree"], [IMAGE], on_error="skip") as samples,
        pytest.raises(SampleError, match=damaged),
    ):
        samples.peek(1)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("given", ["tree", "tree/*/*.*"])
def test_a_run_needs_one_image(given, on_error, tree):
    for name in tree:
        Path("tree", name).write_bytes(b"")
    with pytest.raises(InputError, match=r"expected images, received none, though .*: a/3.gif, "):
        open_all([given], [IMAGE], on_error=on_error)


@pytest.fixture
def mixed():
    """A folder of the kinds that cameras, browsers and scanners write, and what lies beside them.

    Gives the names of the images, and of the files that are called so and are none.
    """
    names = ["a.jpg", "b.JPG", "c.webp", "d.tif", "e.PNG", "sub/f.TIFF", "sub/g.JPeG", "sub/h"]
    for seed, name in enumerate(names):
        save(f"mixed/{name}", seed=seed, size=(30 + seed, 20 + 3 * seed))
    Path("mixed/lost.jpg").write_text("<html>404</html>")
    Path("mixed/sub/none.JPG").write_bytes(b"")
    Path("mixed/notes.md").write_text("no image")
    Path("mixed/labels.csv").write_text("name,label\na.jpg,cat\n")
    return names, ["lost.jpg", "sub/none.JPG"]


def test_of_a_folder_all_that_hold_images_are_read_and_the_others_counted(mixed):
    names, others = mixed
    with open_all(["mixed"], [IMAGE], images={"": NEAREST}) as samples:
        assert [name.decode() for name in samples.names()[:]] == names
        ((_, batch),) = samples.batches(99)
        assert samples.notes == [
            "mixed: left out 2 of 10 files, which hold no image: lost.jpg, sub/none.JPG"
        ]
        assert samples.identity()[0]["left_out"] == len(others)
    np.testing.assert_array_equal(batch["image"], load(f"mixed/{name}" for name in names))


def test_what_holds_no_image_keeps_its_row_where_that_is_wanted(mixed):
    names, others = mixed
    with open_all(["mixed"], [IMAGE], images={"": NEAREST}, on_error="skip") as samples:
        told = [name.decode() for name in samples.names()[:]]
        assert told == sorted([*names, *others], key=lambda name: name.split("/"))
        ((_, batch),) = samples.batches(99)
        assert {told[row] for row in samples.faults} == {*others}
        assert samples.notes == []
    good = [told.index(name) for name in names]
    np.testing.assert_array_equal(batch["image"][good], load(f"mixed/{name}" for name in names))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("mixed/**/*.jpg", ["a.jpg", "b.JPG"]),
        ("mixed/**/*.JPEG", ["sub/g.JPeG"]),
        ("mixed/**/*.[jp][pn]*g", ["a.jpg", "b.JPG", "e.PNG", "sub/g.JPeG"]),
        ("mixed/*/*.tif?", ["sub/f.TIFF"]),
        ("mixed/**", ["a.jpg", "b.JPG", "c.webp", "d.tif", "e.PNG", "sub/f.TIFF", "sub/g.JPeG"]),
    ],
)
def test_a_pattern_finds_what_the_folder_does(pattern, found, mixed):
    found += ["sub/h"] if pattern.endswith("**") else []
    assert read(pattern)[0] == found
    with open_all([pattern], [IMAGE]) as samples:
        left_out = [note for note in samples.notes if "lost.jpg" in note]
        assert len(left_out) == ("**" in pattern and "JPEG" not in pattern)


def test_other_extensions_are_as_they_are_written():
    np.save("a.npy", np.zeros((1, 2), "f4"))
    Path("b.NPY").write_bytes(Path("a.npy").read_bytes())
    assert read("*.npy", ModelInput("x", (None, 2), "float32"))[0] == ["a.npy[0]"]


def test_samples_of_another_kind_are_not_taken_for_what_lies_beside_images(mixed):
    np.save("mixed/rows.npy", np.zeros((1, 2), "f4"))
    with pytest.raises(InputError, match=r"\*: expected images alone, received mixed/rows.npy too"):
        open_all(["mixed/*"], [IMAGE])


# How files of kinds that nothing here decodes begin.
HEIF = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
JPEG_XL = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "


def test_images_that_nothing_decodes_are_never_left_out_in_silence(mixed):
    Path("mixed/x.HEIC").write_bytes(HEIF)
    Path("mixed/y.jxl").write_bytes(JPEG_XL)
    for given in ("mixed", "mixed/**"):
        with pytest.raises(InputError) as caught:
            open_all([given], [IMAGE])
        assert caught.value.faults == (
            f"{given}: expected JPEG, PNG, BMP, GIF, WebP or TIFF images, received also "
            "x.HEIC (HEIF), y.jxl (JPEG XL)",
        )
        assert caught.value.hint == "convert them, or keep their rows empty: on_error='skip'"
    with open_all(["mixed"], [IMAGE], on_error="skip") as samples:
        list(samples.batches(99))
    assert "x.HEIC: expected a JPEG, PNG, BMP, GIF, WebP or TIFF image, received HEIF" in (
        samples.faults.values()
    )


def test_a_file_that_went_missing_is_damaged():
    save("tree/a.png")
    Path("list.txt").write_text("tree/a.png\ntree/b.png\n")
    with pytest.raises(SampleError, match=r"^tree/b.png: there is no such file$"):
        read("list.txt")


def test_an_image_that_is_not_resized_and_grew_is_damaged():
    save("tree/a.png")
    save("tree/b.png")
    with open_all(["tree"], [FREE]) as samples:
        save("tree/b.png", size=(5, 6))
        with pytest.raises(SampleError, match=r"shape \(20, 30, 3\), received \(6, 5, 3\)"):
            list(samples.batches(2))


@pytest.mark.parametrize(
    ("text", "model_input", "options", "fault"),
    [
        ("empty", IMAGE, {}, "empty: expected images, received none"),
        ("no/*.png", IMAGE, {}, "no/*.png: expected files, received a pattern that none fits"),
        ("empty.txt", IMAGE, {}, "empty.txt: expected a list of image files, a path a line"),
        ("bytes.txt", IMAGE, {}, "bytes.txt: expected a list of image files, received no text"),
        ("good", ModelInput("x", (None, 7), "float32"), {}, "input 'x' expects shape (None, 7)"),
        (
            "good",
            FREE,
            {"resize": "model"},
            "resize to the model's size: input 'image' expects shape",
        ),
        ("good", ModelInput("x", (None, 8, 8, 5), "float32"), {}, "1, 3 or 4 channels, not 5"),
        ("good", IMAGE, {"resize": (9, 9)}, "expects shape (None, 24, 32, 3), received (1, 9, 9"),
        ("rows.npy", IMAGE, {"resize": (9, 9)}, "resizing is for images, received"),
    ],
)
def test_what_cannot_be_read_as_images_is_said(text, model_input, options, fault):
    Path("empty").mkdir()
    Path("empty/readme").write_text("nothing")
    Path("empty.txt").write_text("\n\n")
    Path("bytes.txt").write_bytes(b"\xff\xfe\xfa")
    save("good/a.png")
    np.save("rows.npy", np.zeros((2, 24, 32, 3), "uint8"))
    with pytest.raises(InputError) as caught:
        read(text, model_input, ImageOptions(**options) if options else None)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("flat", "a.png in flat lies in no folder of a class"),
        ("flat/*.png", "labels from folders: expected a folder, received flat/*.png"),
        ("rows.npy", "labels from folders: expected a folder of images, received none"),
    ],
)
def test_labels_need_folders(text, fault):
    save("flat/a.png")
    np.save("rows.npy", np.zeros((2, 24, 32, 3), "uint8"))
    with pytest.raises(InputError, match=fault.replace("*", r"\*")):
        read(text, labels_from_folders=True)


@pytest.mark.parametrize(
    "options", [{"resize": (0, 5)}, {"resize": "big"}, {"fit": "cut"}, {"channels": 2}]
)
def test_options_that_there_are_not_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        ImageOptions(**options)


def test_the_identity_changes_with_the_files(tree):
    def identify():
        with open_all(["tree"], [IMAGE]) as samples:
            return samples.identity()[0]

    before = identify()
    assert before["files"] == 6
    assert before["bytes"] == sum(Path("tree", name).stat().st_size for name in tree)
    assert before == identify()
    os.utime("tree/a/3.gif", (0, 0))
    assert identify()["listing_sha256"] != before["listing_sha256"]
