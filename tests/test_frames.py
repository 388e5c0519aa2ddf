"""A slider shows what it was given: its letters are read back bit by bit, its drawing as XML, its words as HTML."""

import base64
import io
import itertools
import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import MagicMock
from xml.etree import ElementTree

import jaxtyping
import numpy as np
import planted
import pytest
from PIL import Image

from actlib import frames, published, report, slider
from actlib.frames import Frame

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import BuildError, chapter, check, records  # noqa: E402
from driver.chapter import Book  # noqa: E402
from driver.notebook import Event, compose, events, fill  # noqa: E402

ALTS = [f"Two clouds of dots that lie {k} times as far from each other as each is wide." for k in range(12)]
CAPTION = "One dot for each image."


def rng(seed=0):
    return np.random.default_rng(seed)


def clouds(n_frames=3, n=40, seed=0):
    """Frames of points, each with its own scale, wider than high or higher than wide."""
    found = [rng(seed + k).normal(size=(n, 2)) * [10.0**k, 3] + k for k in range(n_frames)]
    return [Frame(f"layer {k}", ALTS[k], points=cloud, note=f"{k} %") for k, cloud in enumerate(found)]


def curves(scale=1.0, **more):
    x = np.arange(1, 30)
    lines = [{"a": (x, scale * x**k), "b": (x[:7], scale / x[:7])} for k in (1, 2)]
    return [Frame(f"power {k}", ALTS[k], curves={**line, **more}) for k, line in enumerate(lines)]


def bits(letters):
    """Return places (n, 2) by writing all bytes as one row of bits and cutting it every twelve."""
    row = "".join(f"{byte:08b}" for byte in base64.b64decode(letters))
    return np.array([int(row[k : k + 12], 2) for k in range(0, len(row), 12)]).reshape(-1, 2)


class Page(HTMLParser):
    """A piece of HTML as lists: the tags with their attributes, and the text inside each tag's name."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag):
        return [data for name, data in self.texts if name == tag and data.strip()]


def drawing(page):
    """Return the drawing of a page, read as XML."""
    return ElementTree.fromstring(re.search(r"<svg role.*?</svg>", page, re.DOTALL)[0])


def svg(page):
    """Return the drawing's paths for classes or curves, each an array (n, 2) of places, from the markup alone."""
    paths = [path.get("d") for path in drawing(page).find("g")]
    return [np.array(re.findall(r"\d+", path.replace("h0", "")), dtype=int).reshape(-1, 2) for path in paths]


def one_scale(points, places):
    """Return the scale that takes points to places, both axes alike and y turned; check that nothing is left over."""
    turned = points * [1, -1]
    scale = ((turned - turned.mean(0)) * (places - places.mean(0))).sum() / ((turned - turned.mean(0)) ** 2).sum()
    np.testing.assert_allclose(places - places.mean(0), scale * (turned - turned.mean(0)), atol=1.01)
    return scale


# ---------------------------------------------------------------------------------------------------- points


def test_letters_hold_the_points_up_to_a_grid_of_4096_steps_with_equal_axes():
    given = clouds()
    content = frames.compact(given, label="layer")
    for frame, kept in zip(given, content["frames"], strict=True):
        places = bits(kept["marks"])
        assert one_scale(frame.points, places) > 0
        low, high = places.min(0), places.max(0)
        assert (high - low).max() == 4095  # the frame's own scale: its longer side fills the grid
        np.testing.assert_allclose(low + high, 4095, atol=2)  # the shorter one is in the middle


def test_shared_points_have_one_scale_in_all_frames():
    given = clouds()
    kept = frames.compact(given, label="layer", shared=True)["frames"]
    scales = [one_scale(frame.points, bits(one["marks"])) for frame, one in zip(given, kept, strict=True)]
    np.testing.assert_allclose(scales, scales[-1], rtol=0.02)
    own = frames.compact(given, label="layer")["frames"]
    own = [one_scale(frame.points, bits(one["marks"])) for frame, one in zip(given, own, strict=True)]
    assert own[0] > 10 * own[-1]


@pytest.mark.parametrize("points", [[[2, 3]], [[5, 5], [5, 5]], [[1e-9, 0], [0, 0]]])
def test_one_point_and_points_that_coincide_are_drawn(points):
    content = frames.compact([Frame("a", ALTS[0], points=points), Frame("b", ALTS[1], points=points)], label="x")
    places = bits(content["frames"][0]["marks"])
    assert len(places) == len(points)
    np.testing.assert_allclose((places.min(0) + places.max(0)) / 2, 2047.5, atol=1)


def test_the_start_frame_is_drawn_with_one_path_a_class_and_its_words():
    groups = rng().integers(0, 3, 40)
    content = frames.compact(clouds(), label="layer", start=1, groups=groups, classes=["x", "y", "z"])
    assert [int(letter, 16) for letter in content["groups"]] == groups.tolist()
    page = slider.html(content)
    paths = svg(page)
    for k in range(3):
        np.testing.assert_array_equal(paths[k], bits(content["frames"][1]["marks"])[groups == k])
    read = Page(page)
    assert read.text("strong") == ["layer 1"]
    assert read.text("output") == ["1 %"]
    assert "2 of 3" in read.text("span")
    assert [tag["aria-label"] for tag in read.all("svg") if tag.get("role") == "img"] == [ALTS[1]]
    assert [tag["aria-pressed"] for tag in read.all("button")] == ["false"] * 3
    (control,) = read.all("input")
    assert (control["min"], control["max"], control["value"]) == ("0", "2", "1")
    assert control["aria-valuetext"] == "layer 1"
    assert "hidden" in read.all("label")[0]  # until the script runs


def test_without_groups_there_is_one_path_and_no_legend():
    given = [*clouds(2), Frame("c", ALTS[5], points=[[0, 0], [1, 2]])]  # sizes may differ
    page = slider.html(frames.compact(given, label="layer", start=2))
    np.testing.assert_array_equal(svg(page)[0], bits(frames.compact(given, label="layer")["frames"][2]["marks"]))
    assert Page(page).all("button") == []


def test_ten_frames_of_600_points_add_at_most_60_kb_to_a_page():
    given = [Frame(f"layer {k}", ALTS[k], points=rng(k).uniform(size=(600, 2)), note="9" * 80) for k in range(10)]
    groups, classes = rng().integers(0, 12, 600), [f"class {k}" for k in range(12)]
    page = slider.html(frames.compact(given, label="layer", groups=groups, classes=classes))
    assert 30_000 < len(page.encode()) <= 60_000
    assert page.count(frames.compact(given, label="layer")["frames"][7]["marks"]) == 1


# ---------------------------------------------------------------------------------------------------- curves


def at(ticks, places):
    """Return the values of places by reading between the first and the last tick of an axis."""
    (low, first), *_, (high, last) = [(place, float(text.replace(",", ""))) for place, text in ticks]
    return first + (places - low) / (high - low) * (last - first), (last - first) / abs(high - low)


@pytest.mark.parametrize("scale", [1.0, -3e5, 2e-4])
def test_curves_can_be_read_off_their_ticks(scale):
    given = curves(scale)
    content = frames.compact(given, label="power", xlabel="x", ylabel="y")
    assert content["names"] == ["a", "b"]
    for frame, kept in zip(given, content["frames"], strict=True):
        for name, letters in zip("ab", kept["marks"], strict=True):
            x, x_step = at(content["xticks"], bits(letters)[:, 0])
            y, y_step = at(content["yticks"], bits(letters)[:, 1])
            np.testing.assert_allclose(x, frame.curves[name][0], atol=2 * x_step)
            np.testing.assert_allclose(y, frame.curves[name][1], atol=2 * y_step)


def test_logarithmic_axes_can_be_read_off_their_decades():
    given = curves()
    content = frames.compact(given, label="power", xlabel="x", ylabel="y", xscale="log", yscale="log")
    decades = [[place, str(np.log10(float(text)))] for place, text in content["yticks"]]
    assert [text for _, text in content["yticks"]] == ["1", "10", "100", "1000"]
    y, step = at(decades, bits(content["frames"][1]["marks"][0])[:, 1])
    np.testing.assert_allclose(y, 2 * np.log10(np.arange(1, 30)), atol=2 * step)


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(0, 1, "linear"), (-3, 7, "linear"), (0, 2e6, "linear"), (5, 5, "linear"), (0, 0, "linear"),
     (1e17, 1e17, "linear"), (1e-9, 3e-9, "linear"), (1e-5, 1, "log"),
     (1e-30, 1e30, "log"), (2, 8, "log"), (1.1, 1.3, "log"), (7, 7, "log")],
)  # fmt: skip
def test_every_axis_has_a_few_ticks_that_say_where_they_are(low, high, scale):
    axis = frames._Axis.around(np.array([low, high], dtype=float), scale)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert len({text for _, text in ticks}) == len(ticks)
    for value, text in ticks:
        np.testing.assert_allclose(float(text.replace(",", "")), value, rtol=1e-6, atol=1e-12 * abs(high))
    places = [axis.place(value) for value, _ in ticks]
    assert 0 <= min(places) < max(places) <= 1
    assert all(0 < axis.place(end) < 1 for end in (low, high))


def test_the_drawing_of_curves_has_axes_labels_and_dashes():
    page = slider.html(frames.compact(curves(), label="power", xlabel="epoch", ylabel="loss (nats)"))
    root = drawing(page)
    texts = [node.text for node in root.iter("text")]
    assert {"epoch", "loss (nats)", "0", "800"} <= set(texts)
    left, top, width, height = map(float, root.get("viewBox").split())
    for node in root.iter("text"):
        assert left < float(node.get("x")) < left + width
        assert top < float(node.get("y")) < top + height
    assert len({path.get("stroke-dasharray") for path in root.find("g")}) == 2
    marks = frames.compact(curves(), label="power", xlabel="x", ylabel="y")["frames"][0]["marks"]
    for path, letters in zip(svg(page), marks, strict=True):
        np.testing.assert_array_equal(path, bits(letters))


# ---------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 5, 7), (3, 5, 7)])
def test_pictures_are_kept_pixel_by_pixel(shape):
    given = [rng(k).integers(0, 256, shape, dtype=np.uint8) for k in range(2)]
    content = frames.compact([Frame(str(k), ALTS[k], picture=p) for k, p in enumerate(given)], label="step", start=1)
    for picture, kept in zip(given, content["frames"], strict=True):
        kind, _, data = kept["marks"].partition(",")
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        shown = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        expected = picture if shape in [(5, 7), (5, 7, 3)] else np.moveaxis(picture, 0, -1).squeeze()
        np.testing.assert_array_equal(shown, expected)
    (image,) = Page(slider.html(content)).all("img")
    assert (image["src"], image["alt"]) == (content["frames"][1]["marks"], ALTS[1])


# ---------------------------------------------------------------------------------------------------- the page

EVIL = "</script><script>alert('1')</script> \"&amp; <b>"


def test_words_are_words_and_never_markup():
    given = [Frame(EVIL + str(k), EVIL + ALTS[k], points=rng().normal(size=(4, 2)), note=EVIL) for k in range(2)]
    read = Page(slider.html(frames.compact(given, label=EVIL, groups=[0, 1, 1, 0], classes=[EVIL, "b"])))
    assert len(read.all("script")) == 2
    assert not read.all("b")
    assert "".join(read.text("strong")) == EVIL + "0"
    assert "".join(read.text("output")) == EVIL
    assert EVIL in "".join(read.text("button"))
    assert EVIL in "".join(read.text("label"))
    assert read.all("input")[0]["aria-valuetext"] == EVIL + "0"
    content, program = (text for tag, text in read.texts if tag == "script")
    assert json.loads(content)["frames"][1]["note"] == EVIL
    assert "alert" not in program
    axes = slider.html(frames.compact(curves(), label="x", xlabel=EVIL, ylabel=EVIL))
    assert [node.text for node in drawing(axes).iter("text")].count(EVIL) == 2


def test_a_slider_needs_nothing_from_elsewhere_and_has_no_ids_that_could_meet_twice():
    page = slider.html(frames.compact(clouds(), label="layer", groups=[0, 1] * 20, classes=["a", "b"]))
    assert not re.search(r"https?:|src=|href=|url\(|@import|\bid=|getElementById|import\b", page)


def contrast(colour):
    """Return the contrast of a colour such as #0072b2 with white, as WCAG 2.2 defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_there_is_a_colour_for_each_class_and_each_can_be_seen_on_white():
    assert len(set(slider.COLOURS)) == frames.MOST
    assert min(contrast(colour) for colour in slider.COLOURS) >= 3.2  # rounding spares no reader
    assert "opacity=" not in slider.html(frames.compact(clouds(), label="layer"))


def test_a_colour_that_is_too_pale_would_be_found():
    assert contrast("#e69f00") < 3


# How readers without one kind of cone see linear red, green and blue (Machado et al. 2009, severity 1).
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, vision):
    """Return CIELAB (white D65) of a colour such as #0072b2 as readers with one kind of vision see it."""
    rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    seen = np.clip(
        np.array(VISION[vision]) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1
    )
    xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]] @ seen
    x, y, z = (t ** (1 / 3) if t > (6 / 29) ** 3 else t * 841 / 108 + 4 / 29 for t in xyz / [0.95047, 1, 1.08883])
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(first, second):
    """Return the distance of two CIELAB colours in the letters of Sharma, Wu and Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    stretch = 1 + (1 - math.sqrt(mean**7 / (mean**7 + 25**7))) / 2
    c1, c2 = math.hypot(stretch * a1, b1), math.hypot(stretch * a2, b2)
    h1, h2 = math.degrees(math.atan2(b1, stretch * a1)) % 360, math.degrees(math.atan2(b2, stretch * a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    waves = [(-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63)]
    t = 1 + sum(size * math.cos(math.radians(k * hue + shift)) for size, k, shift in waves)
    s_l = 1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    bend = math.sin(math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2))))
    r_t = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * bend
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / s_h
    return math.sqrt(d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h)


def nearest_colours(colours):
    """Return the distance of the two colours that some reader can tell apart worst, the colours and the vision."""
    return min(
        (ciede2000(lab(a, vision), lab(b, vision)), a, b, vision)
        for vision in VISION
        for a, b in itertools.combinations(colours, 2)
    )


def test_readers_with_each_kind_of_colour_vision_can_tell_all_colours_apart():
    assert nearest_colours(slider.COLOURS)[0] >= 12


def test_two_colours_that_one_reader_confuses_would_be_found():
    assert nearest_colours(["#0072b2", "#000000", "#d065c7"])[0] < 7
    assert nearest_colours(["#0072b2", "#000000", "#d065c7"])[1:] == ("#0072b2", "#d065c7", "protanopia")


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [  # of the table by which Sharma, Wu and Dalal (2005) test programs
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_of_colours_is_that_of_its_published_table(first, second, distance):
    np.testing.assert_allclose(ciede2000(first, second), distance, atol=1e-4)


# ------------------------------------------------------------------------------------------- readers of all kinds


def test_a_slider_has_a_name_that_tells_it_from_the_others():
    (root, *_), plain = (Page(slider.html(frames.compact(clouds(), label="x"), **name)).all("div") for name in NAMES)
    assert (root["role"], root["aria-label"]) == ("group", 'a "run"')
    assert plain[0]["aria-label"] == "Slider"


NAMES = ({"name": 'a "run"'}, {})


def test_the_present_and_the_recorded_slider_of_a_page_have_different_names(book, shown):
    recorded_run(book)
    del shown[:]
    show()
    names = [Page(bundle["text/html"]).all("div")[0]["aria-label"] for bundle, _ in shown]
    assert names == ["fig-x, this run", "fig-x, recorded run"]


def test_without_javascript_every_title_and_note_can_be_read():
    given = [*clouds(2), Frame("c <b>", ALTS[5], points=[[0, 0], [1, 2]])]
    page = slider.html(frames.compact(given, label="layer"))
    told = Page(re.search(r"<noscript>(.*?)</noscript>", page, re.DOTALL)[1])
    assert "".join(told.text("ul")) == ""
    assert told.text("li")[:2] == ["layer 0: 0 %", "layer 1: 1 %"]
    assert "".join(told.text("li")[2:]) == "c <b>"


def test_the_card_stays_white_where_a_reader_s_system_forces_its_own_colours():
    (rule,) = re.findall(r"@media \(forced-colors: active\) \{(.*)\}", slider._STYLE)
    assert rule.split() == [".frames-card", "{", "forced-color-adjust:", "none;", "}"]


# ---------------------------------------------------------------------------------------------------- bad input

NAN = np.array([[0, np.nan], [1, 1]])
GREY = np.zeros((4, 5), dtype=np.uint8)


def pair(**content):
    """Two frames, the second with other content."""
    return [Frame("a", ALTS[0], points=np.eye(2)), Frame("b", ALTS[1], **content)]


def pictures(first, second):
    return [Frame("a", ALTS[0], picture=first), Frame("b", ALTS[1], picture=second)]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "0 frames; a slider needs two or more"),
        (clouds(1), {}, "1 frames; .* a single one is a report.figure"),
        (clouds(), {"start": 3}, "start = 3; it is the index of a frame, 0 to 2"),
        (clouds(), {"start": -1}, "start = -1"),
        (clouds(), {"start": True}, "start = True"),
        (pair(picture=GREY), {}, "frames of picture and points"),
        (pair(), {}, "'b' has nothing; give one of"),
        (pair(points=np.eye(2), picture=GREY), {}, "'b' has points and picture"),
        (pair(points=NAN), {}, "'b' has values not finite"),
        (pair(points=np.zeros((0, 2))), {}, r"'b' has points \(0, 2\); give \(n, 2\) with n above zero"),
        (pair(points=np.zeros((4, 3))), {}, r"'b' has points \(4, 3\)"),
        ([clouds()[0], *clouds(2)], {}, "titles .* none may be empty or stand twice"),
        ([clouds()[0], Frame(" ", ALTS[1], points=np.eye(2))], {}, "titles"),
        (clouds(), {"label": ""}, "label"),
        (clouds(), {"xlabel": "x"}, "unknown option xlabel for points; there is groups, classes, shared"),
        (clouds(), {"groups": [0] * 40}, "groups and classes belong together"),
        (clouds(), {"groups": [0] * 39, "classes": "ab"}, r"groups \(39,\) for frames of \[40, 40, 40\] points"),
        ([*clouds(2), Frame("c", ALTS[9], points=np.eye(2))], {"groups": [0] * 40, "classes": "ab"}, "40, 40, 2"),
        (clouds(), {"groups": [0, 2] * 20, "classes": "ab"}, "groups are int64, 0 to 2; give 0 to 1"),
        (clouds(), {"groups": [0, -1] * 20, "classes": "ab"}, "-1 to 0"),
        (clouds(), {"groups": [0, 0.5] * 20, "classes": "ab"}, "float64"),
        (clouds(), {"groups": [0] * 40, "classes": "abcdefghijklm"}, "13 classes; give 1 to 12"),
        (clouds(), {"groups": [0] * 40, "classes": []}, "0 classes"),
        (clouds(), {"groups": [0] * 40, "classes": ["a", "a"]}, "classes .*stand twice"),
        (curves(), {"ylabel": "y"}, "xlabel"),
        (curves(), {"xlabel": "x"}, "ylabel"),
        (curves(), {"xlabel": "x", "ylabel": "y", "yscale": "symlog"}, "scale 'symlog'; it is 'linear' or 'log'"),
        (curves(-1), {"xlabel": "x", "ylabel": "y", "yscale": "log"}, "the value -841 on a logarithmic axis"),
        (
            curves(c=([1, 2], [1])),
            {"xlabel": "x", "ylabel": "y"},
            r"curve 'c' of frame 'power 0' has \[\(2,\), \(1,\)\]; give x and y, \(n,\) twice",
        ),
        (
            curves(c=([1], [1], [1])),
            {"xlabel": "x", "ylabel": "y"},
            r"curve 'c' .* has \[\(1,\), \(1,\), \(1,\)\]; give",
        ),
        (curves(c=([1],)), {"xlabel": "x", "ylabel": "y"}, r"curve 'c' .* has \[\(1,\)\]; give x and y"),
        (curves(c=([[1]], [[1]])), {"xlabel": "x", "ylabel": "y"}, r"curve 'c' .* has \[\(1, 1\), \(1, 1\)\]"),
        (curves(c=([1], [-1e308])), {"xlabel": "x", "ylabel": "y"}, "'power 0' has values not finite or beyond 1e100"),
        (pair(points=[[1e308, 0], [-1e308, 0]]), {}, "'b' has values not finite or beyond 1e100"),
        (curves(c=([], [])), {"xlabel": "x", "ylabel": "y"}, "curve 'c'"),
        (curves(c=([1], [np.inf])), {"xlabel": "x", "ylabel": "y"}, "not finite"),
        ([curves()[0], curves(c=([1], [1]))[1]], {"xlabel": "x", "ylabel": "y"}, r"has the curves \['a', 'b', 'c'\]"),
        (pictures(GREY, GREY.T), {}, "give all as uint8 of one size"),
        (pictures(GREY / 255, GREY / 255), {}, "float64.*uint8"),
        (pictures(GREY[None, None], GREY[None, None]), {}, "uint8 of one size"),
        (pictures(GREY[:0], GREY[:0]), {}, "uint8 of one size"),
        (pictures(GREY, GREY), {"shared": True}, "unknown option shared for picture; there is none"),
        (
            pictures(*rng().integers(0, 256, (2, 400, 400), dtype=np.uint8)),
            {},
            "the slider has 4.. kB, allowed are 300",
        ),
    ],
)
def test_bad_frames_are_refused_with_the_reason(given, options, message):
    with pytest.raises(ValueError, match=message):
        frames.compact(given, **{"label": "layer", **options})


def test_numbers_are_words_too(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests, where types go unchecked
    x = np.arange(1.0, 4)
    given = [Frame(k, ALTS[k], curves={1: (x, x), 2: (x, k + x)}, note=k / 2) for k in range(2)]
    content = frames.compact(given, label=7, xlabel=8, ylabel=9)
    assert [content[key] for key in ("label", "xlabel", "ylabel", "names")] == ["7", "8", "9", ["1", "2"]]
    assert [(frame["title"], frame["note"]) for frame in content["frames"]] == [("0", "0.0"), ("1", "0.5")]
    read = Page(slider.html(content))
    assert read.text("strong") == ["0"]
    assert "".join(read.text("button")) == "12"


@pytest.mark.parametrize("size", [1e-90, 1e90])
def test_small_and_large_values_are_drawn(size):
    cloud = rng().normal(size=(9, 2))
    for points in (cloud, cloud * size):
        given = [Frame(str(k), ALTS[k], points=points) for k in range(2)]
        places = bits(frames.compact(given, label="x")["frames"][0]["marks"])
        assert one_scale(points / abs(points).max(), places) > 0
    assert frames.compact(curves(size), label="x", xlabel="x", ylabel="y")["yticks"]


# ------------------------------------------------------------------------------------- the report and the driver


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A planted book whose chapter 01_dice has begun."""
    planted.write(tmp_path)
    monkeypatch.setenv("ACTLIB_BOOK", str(tmp_path))
    monkeypatch.delenv("ACTLIB_STALE", raising=False)
    published._table.cache_clear()
    begin("quick", "digits")
    yield Book(tmp_path)
    published._table.cache_clear()


@pytest.fixture
def shown(monkeypatch):
    """What would be displayed in a notebook: a list of (bundle, metadata)."""
    found = []
    monkeypatch.setattr("IPython.get_ipython", MagicMock)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: found.append((bundle, metadata)))
    return found


def begin(profile, data):
    report.start("01_dice", profile=profile, seed=0)
    report.source(data)


def show(**change):
    report.frames(clouds(), **{"name": "fig-x", "caption": CAPTION, "start": 1, **change})


def in_notebook(book, outputs, profile="quick"):
    """Return the chapter of a book, and its notebook after a run in which one cell had these outputs."""
    loaded = chapter.load(book, "01_dice", profile)
    done = compose(loaded)
    for cell in done["cells"]:
        cell |= {"execution_count": 1} if cell["cell_type"] == "code" else {}
        if "raises-exception" in cell["metadata"].get("tags", []):
            error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "", "traceback": []}
            cell["metadata"]["raised"] = [error]
        if "report.figure" in cell["source"]:
            cell["outputs"] = [
                {"output_type": "display_data", "data": dict(bundle), "metadata": dict(metadata)}
                for bundle, metadata in outputs
            ]
    return loaded, fill(loaded, done)


def test_a_slider_is_reported_as_a_figure_with_caption_data_and_all_text_alternatives(book, shown):
    show()
    ((bundle, metadata),) = shown
    payload = metadata["actlib"]["figure"]
    assert payload["caption"].startswith(CAPTION + " *Data: digits. Profile quick, CPU")
    assert (payload["alt"], payload["alts"]) == (ALTS[1], ALTS[:3])
    assert list(bundle) == ["text/html", "text/plain"]
    assert bundle["text/plain"] == f"{ALTS[1]} (Frame 2 of 3.)"
    assert "marks" not in json.dumps(payload)  # the content stands in the page alone
    (entry,) = report.entries()
    assert json.loads(entry[2]) == frames.compact(clouds(), label="layer", start=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x"}, "must begin with 'fig-'"),
        ({"caption": " "}, "no caption"),
        ({"caption": ALTS[2]}, "differ from the caption"),
        ({"start": 7}, "start = 7"),
    ],
)
def test_a_slider_keeps_the_rules_of_figures(book, change, message):
    with pytest.raises(ValueError, match=message):
        show(**change)
    assert report.entries() == []


@pytest.mark.parametrize("alt", ["short", "x" * 251, ALTS[0]])
def test_each_frame_has_a_text_alternative_of_its_own(book, alt):
    with pytest.raises(ValueError, match="write 40 to 250 that differ from the caption and from each other frame's"):
        report.frames([*clouds(2), Frame("c", alt, points=np.eye(2))], name="fig-x", caption=CAPTION)


def test_the_driver_finds_the_same_content_in_a_notebook_as_in_a_plain_run(book, shown):
    show()
    loaded, made = in_notebook(book, shown)
    (found,) = events(made)
    entry = report.entries()[0]
    assert (found.kind, found.payload) == (entry.kind, entry.payload)
    assert json.loads(found.content) == json.loads(entry[2])
    check.notebook(loaded, made)
    (metadata,) = [cell["metadata"]["mystnb"] for cell in made["cells"] if "mystnb" in cell["metadata"]]
    assert metadata["figure"]["name"] == "fig-x"


def recorded_run(book, profile="real"):
    """Write the record of a run on other data; return the content that it showed."""
    begin(profile, "MNIST")
    show(label="depth")
    (entry,) = report.entries()
    records.write(book, chapter.load(book, "01_dice", profile), [Event(1, *entry)], 1.0)
    begin("quick", "digits")
    return json.loads(entry[2])


def test_a_recorded_slider_follows_the_present_one_labelled_with_its_data(book, shown):
    content = recorded_run(book)
    entry = published.record("real", "01_dice")["figures"]["fig-x"]
    assert entry["file"] == "01_dice/fig-x.json"
    assert json.loads((book.root / "results/real" / entry["file"]).read_text()) == content
    del shown[:]
    show()
    (present, _), (bundle, metadata) = shown
    assert metadata == {}
    read = Page(bundle["text/html"])
    assert [tag["class"] for tag in read.all("figure")] == ["recorded"]
    assert "Recorded, profile real." in read.text("strong")
    assert "Data: MNIST. Profile real" in " ".join(read.text("figcaption"))
    (again,) = (json.loads(text) for tag, text in read.texts if tag == "script" and text.startswith("{"))
    assert again["label"] == "depth"
    assert [frame["marks"] for frame in again["frames"]] == [frame["marks"] for frame in content["frames"]]
    assert {frame["alt"] for frame in again["frames"]} == {f"Recorded run, MNIST. {alt}" for alt in ALTS[:3]}
    assert not {frame["alt"] for frame in again["frames"]} & set(ALTS)  # no alternative twice on a page
    # Both in one cell are one figure: the driver makes events of the present one only.
    loaded, made = in_notebook(book, shown)
    check.notebook(loaded, made)
    assert len(events(made)) == 1
    assert len(present["text/html"].encode()) + len(bundle["text/html"].encode()) < 30_000


def test_a_recorded_slider_of_the_same_data_is_not_shown_again(book, shown):
    recorded_run(book)
    report.source("MNIST")
    del shown[:]
    show()
    assert len(shown) == 1


def test_a_new_record_replaces_the_sliders_and_pictures_of_the_old_one(book):
    recorded_run(book)
    begin("real", "MNIST")
    show(name="fig-y")
    (entry,) = report.entries()
    records.write(book, chapter.load(book, "01_dice", "real"), [Event(1, *entry)], 1.0)
    assert [path.name for path in (book.root / "results/real/01_dice").iterdir()] == ["fig-y.json"]


def event(name, *alts):
    return Event(1, "figure", {"name": name, "caption": CAPTION.ljust(45), "alt": alts[0], "alts": list(alts)})


@pytest.mark.parametrize(
    ("alt", "message"),
    [("short", "has 5 characters"), (ALTS[0], "two frames have the same"), (CAPTION.ljust(45), "the caption again")],
)
def test_the_driver_holds_each_frame_to_the_rules_of_text_alternatives(book, alt, message):
    loaded = chapter.load(book, "01_dice", "quick")
    with pytest.raises(BuildError, match=message):
        check.reports(loaded, [event("fig-x", ALTS[0], alt)])


def test_no_frame_of_another_chapter_has_the_same_text_alternative():
    check.across("01_x", [event("fig-x", *ALTS[:2])], {"02_y": [event("fig-y", *ALTS[2:4])]})
    with pytest.raises(BuildError, match=r"the text alternative 'Two clouds .* is also in 02_y"):
        check.across("01_x", [event("fig-x", *ALTS[:2])], {"02_y": [event("fig-y", *ALTS[1:3])]})
    with pytest.raises(BuildError, match="figure fig-x is also in 02_y"):
        check.across("01_x", [event("fig-x", *ALTS[:2])], {"02_y": [event("fig-x", *ALTS[2:4])]})


@pytest.mark.parametrize(
    ("page", "silent"),
    [
        ("<img src='x.png'>", True),
        ("<p><IMG src='x.png' alt=''></p>", True),
        ("<svg viewBox='0 0 1 1'></svg>", True),
        ("<canvas></canvas>", True),
        ("<img src='x.png' alt='A dog.'>", False),
        ("<svg role='img' aria-label='A dog.'></svg><svg aria-hidden='true'></svg>", False),
        ("<table><tr><td>1</td></tr></table>", False),
    ],
)
def test_a_picture_in_html_needs_words_too(book, page, silent):
    loaded, made = in_notebook(book, [({"text/html": page}, {})])
    if silent:
        with pytest.raises(BuildError, match="a picture without text alternative"):
            check.notebook(loaded, made)
    else:
        check.notebook(loaded, made)


def test_two_sliders_in_one_cell_are_refused(book, shown):
    show()
    show(name="fig-y")
    with pytest.raises(BuildError, match="2 figures in one cell"):
        check.notebook(*in_notebook(book, shown))
