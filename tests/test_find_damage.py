from itertools import pairwise

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

from fmkit.datasets import load_harvesters, make_damage
from fmkit.errors import InputError
from fmkit.restore import find_damage, restore_image, windows
from fmkit.restore.evidence import odds_by_colour, only_a_tail, share_of_damage
from fmkit.restore.rows import boxes, in_rows

ASTRONAUT = skimage.data.astronaut()
COFFEE = skimage.data.coffee()
CAMERA = skimage.data.camera()


def scratched(picture, value, channel=None):
    """Three strokes of 2, 3 and 4 pixels with soft rims; and what they cover."""
    row, column = np.indices(picture.shape[:2])
    away = [
        np.where((row > 30) & (row < 330), abs(column - 60 - row / 3) - 0.5, 9),
        np.where((column > 90) & (column < 380), abs(row - 300 + column / 4 - (column / 60) ** 2) - 1, 9),
        np.where((row > 20) & (row < 280), abs(column - 330 + row / 5) - 1.5, 9),
    ]
    return painted(picture, np.min(away, axis=0), value, channel)


def dusty(picture, value, channel=None, seed=0):
    """Sixty specks of 2 to 5 pixels; and what they cover."""
    rng = np.random.default_rng(seed)
    row, column = np.indices(picture.shape[:2])
    away = np.full(picture.shape[:2], 9.0)
    for r, c, radius in rng.uniform([5, 5, 1], [picture.shape[0] - 5, picture.shape[1] - 5, 2.5], (60, 3)):
        near = np.s_[int(r) - 5 : int(r) + 7, int(c) - 5 : int(c) + 7]
        away[near] = np.minimum(away[near], np.hypot(row[near] - r, column[near] - c) - radius)
    return painted(picture, away, value, channel)


def painted(picture, away, value, channel):
    cover = np.clip(0.5 - away, 0, 1)
    result = picture.astype(float)
    here = result if channel is None else result[..., channel]
    cover_here = cover.reshape(*cover.shape, *[1] * (here.ndim - 2))
    here += (value - here) * cover_here
    return np.rint(result).astype(np.uint8), cover > 0.2


def precision_recall(mask, lost):
    near = ndimage.binary_dilation(lost, np.ones((3, 3)), 3)  # the mask is grown over soft rims on purpose
    return near[mask].mean(), mask[lost].mean()


# Bright ones in all channels or in blue alone, dark ones in green alone.
WORN = [(ASTRONAUT, 250, None), (COFFEE, 250, None), (COFFEE, 250, 2), (COFFEE, 5, 1), (CAMERA, 250, None)]


@pytest.mark.parametrize(
    ("draw", "kind", "least_precision", "least_recall"),
    [
        (scratched, "auto", 0.95, 0.55),
        (scratched, "scratches", 0.8, 0.6),
        (dusty, "auto", 0.9, 0.55),
        (dusty, "dust", 0.75, 0.7),
    ],
)
def test_damage_is_found_and_little_else(draw, kind, least_precision, least_recall):
    found = [(find_damage(worn, kind).mask.ravel(), lost) for worn, lost in (draw(*case) for case in WORN)]
    near = [ndimage.binary_dilation(lost, np.ones((3, 3)), 3).ravel() for _, lost in found]
    mask, lost = np.concatenate([mask for mask, _ in found]), np.concatenate([lost.ravel() for _, lost in found])
    assert np.concatenate(near)[mask].mean() > least_precision
    assert mask[lost].mean() > least_recall


@pytest.mark.parametrize("name", ["astronaut", "brick", "camera", "chelsea", "coffee", "grass", "gravel", "rocket"])
def test_an_undamaged_picture_is_hardly_touched(name):
    assert find_damage(getattr(skimage.data, name)()).mask.mean() < 1e-3


def test_an_undamaged_painting_is_hardly_touched():
    assert find_damage(load_harvesters().picture).mask.mean() < 1e-3


@pytest.mark.parametrize(
    "name", ["coins", "cell", "clock", "immunohistochemistry", "moon", "page", "retina", "text", "hubble_deep_field"]
)
def test_an_undamaged_picture_that_it_was_not_fitted_with_is_hardly_touched(name):
    assert find_damage(getattr(skimage.data, name)()).mask.mean() < 1e-3


def test_a_drawn_page_of_letters_is_left_alone():
    rng = np.random.default_rng(0)
    page = np.full((400, 500), 225.0)
    glyphs = [np.kron([[dot == "#" for dot in line] for line in glyph], np.ones((2, 2))) for glyph in FONT.values()]
    for row in range(10, 380, 18):
        for column in range(10, 480, 9):
            page[row : row + 10, column : column + 6] -= 200 * glyphs[rng.integers(len(glyphs))]
    page = ndimage.gaussian_filter(page, 0.6) + rng.normal(0, 2, page.shape)
    assert find_damage(page.clip(0, 255).astype(np.uint8)).mask.mean() < 1e-3


def drawn_sky(n_stars, seed):
    """Stars and galaxies of every size and brightness, in the main faint."""
    rng = np.random.default_rng(seed)
    sky = np.zeros((500, 500))
    row, column = np.indices((41, 41)) - 20
    for r, c in rng.integers(20, 480, (n_stars, 2)):
        size, across, turn = rng.uniform(0.7, 3), rng.uniform(0.5, 1), rng.uniform(0, np.pi)
        one, other = np.cos(turn) * row + np.sin(turn) * column, np.cos(turn) * column - np.sin(turn) * row
        light = np.exp(-((one / size) ** 2 + (other / size / across) ** 2) / 2)
        sky[r - 20 : r + 21, c - 20 : c + 21] += 12 / rng.uniform(0.05, 1) * light
    return (12 + sky + rng.normal(0, 3, sky.shape)).clip(0, 255).astype(np.uint8)


def test_a_drawn_sky_of_many_stars_is_left_alone():
    sky = drawn_sky(3000, 0)
    assert find_damage(sky).mask.mean() < 1e-3
    assert find_damage(sky, "dust").mask.mean() > 1e-3  # what asks for specks gets them


def test_specks_that_are_the_tail_of_others_are_the_pictures_own():
    p = np.r_[np.full(10, 0.99), np.full(70, 0.6), np.full(100, 1e-3)]
    assert only_a_tail(p, share_of_damage(p, line=False))
    assert not only_a_tail(np.r_[p, np.full(10, 0.99)], share_of_damage(p, line=False))


def test_things_in_a_row_are_counted():
    letters = [[10, 20, left, left + 6] for left in range(0, 50, 10)]
    alone = [[100, 110, 0, 6], [300, 302, 40, 42]]
    np.testing.assert_array_equal(in_rows(np.array(letters + alone)), [5] * 5 + [1, 1])
    np.testing.assert_array_equal(in_rows(np.array(letters + alone)[:, [2, 3, 0, 1]]), [5] * 5 + [1, 1])


def test_boxes_are_those_of_scipy():
    labels, n = ndimage.label(np.random.default_rng(0).random((40, 50)) < 0.3)
    slices = [[r.start, r.stop, c.start, c.stop] for r, c in ndimage.find_objects(labels)]
    np.testing.assert_array_equal(boxes(labels.astype(np.int32), n), slices)


def same(one, other):
    """All but a thousandth of the pixels: ties at thresholds fall either way by rounding."""
    return np.mean(one != other) < 1e-3


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, lambda x: np.swapaxes(x, 0, 1)])
def test_the_way_a_picture_is_turned_does_not_matter(turn):
    worn, _ = scratched(COFFEE, 250)
    assert same(find_damage(turn(worn)).mask, turn(find_damage(worn).mask))


def test_a_gray_picture_stored_as_rgb_is_judged_as_the_gray_one():
    worn, _ = scratched(CAMERA, 250)
    assert same(find_damage(np.repeat(worn[..., None], 3, axis=2)).mask, find_damage(worn).mask)


def test_alpha_is_ignored():
    worn, _ = dusty(COFFEE, 250, 2)
    alpha = np.random.default_rng(0).integers(0, 256, (*worn.shape[:2], 1), np.uint8)
    for one, other in zip(find_damage(np.concatenate([worn, alpha], axis=2)), find_damage(worn), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("unit", [lambda x: x.astype(np.uint16) * 257, lambda x: x / 255, lambda x: x * 1e-3 - 40])
def test_units_do_not_matter(unit):
    worn, _ = dusty(COFFEE, 250)
    worn[0, :2] = [[0], [255]]  # the range of floats is that of their values
    assert same(find_damage(unit(worn)).mask, find_damage(worn).mask)


def test_the_confidence_belongs_to_the_mask():
    worn, lost = dusty(COFFEE, 250)
    damage = find_damage(worn, "dust")
    assert damage.confidence.dtype == np.float32
    assert damage.mask.dtype == bool
    np.testing.assert_array_equal(damage.confidence > 0, damage.mask)
    assert damage.confidence.max() <= 1
    near = ndimage.binary_dilation(lost, np.ones((3, 3)), 3)
    assert damage.confidence[damage.mask & near].mean() > damage.confidence[damage.mask & ~near].mean()


@pytest.mark.parametrize("kind", ["auto", "scratches", "dust"])
def test_the_less_sure_it_must_be_the_more_is_found(kind):
    worn, lost = scratched(CAMERA, 200)
    worn, specks = dusty(worn, 200)
    lost |= specks
    masks = [find_damage(worn, kind, min_confidence=least).mask for least in (1, 0.9, 0.5, 0.25, 0.05)]
    for less, more in pairwise(masks):
        assert not (less & ~more).any()
    confidence = find_damage(worn, kind, min_confidence=0.25).confidence
    assert confidence[confidence > 0].min() >= 0.25
    precision, recall = precision_recall(confidence > 0, lost)
    assert recall > 1.1 * precision_recall(find_damage(worn, kind).mask, lost)[1]
    assert precision > 0.5


def test_the_colour_of_sure_damage_speaks_where_it_is_rare():
    p = np.r_[np.full(10, 0.95), np.full(1000, 0.04), 0.5]
    white, straw = np.float32([1, 0.97, 0.9]), np.float32([0.7, 0.55, 0.2])
    colours = np.where(np.arange(1011)[:, None] < 10, white, straw)
    colours[-1] = white - np.float32(0.02)
    times = odds_by_colour(p, colours)
    assert times[-1] == 20  # at most
    assert (times[10:-1] == 1).all()
    colours[10:110] = white  # a tenth of what is no damage has it, too: .955 against .1
    np.testing.assert_allclose(odds_by_colour(p, colours)[[-1, 50, 500]], [9.53, 9.53, 1], atol=0.01)
    assert (odds_by_colour(p, np.broadcast_to(white, (1011, 3))) == 1).all()  # all white: it says nothing
    assert (odds_by_colour(p[9:], colours[9:]) == 1).all()  # a single sure one
    assert len(odds_by_colour(np.zeros(0), np.zeros((0, 3), np.float32))) == 0


def test_scratches_of_one_colour_vouch_for_each_other():
    picture = load_harvesters().picture
    lost = make_damage(picture.shape[:2], "scratches", share=0.005, size=2, random_state=1)
    worn = np.where(lost[..., None], np.uint8([244, 239, 226]), picture)
    precision, recall = precision_recall(find_damage(worn, "scratches").mask, lost)
    assert precision > 0.97
    assert recall > 0.7  # .60 by what each of them shows alone


FONT = {  # a date as a camera burns it in
    "1": ["..#", ".##", "..#", "..#", "..#"],
    "2": ["###", "..#", "###", "#..", "###"],
    "4": ["#.#", "#.#", "###", "..#", "..#"],
    "8": ["###", "#.#", "###", "#.#", "###"],
    "9": ["###", "#.#", "###", "..#", "###"],
}


@pytest.mark.parametrize("colour", [(255, 140, 0), (250, 250, 250)])
@pytest.mark.parametrize("kind", ["text", "auto"])
def test_a_date_is_found(colour, kind):
    stamped, lost = ASTRONAUT.copy(), np.zeros((512, 512), bool)
    for i, digit in enumerate("98124 1224".replace(" ", "")):
        glyph = np.kron([[dot == "#" for dot in line] for line in FONT[digit]], np.ones((4, 4))) > 0
        lost[460 : 460 + glyph.shape[0], 300 + 18 * i : 312 + 18 * i] |= glyph
    stamped[lost] = colour
    precision, recall = precision_recall(find_damage(stamped, kind).mask, lost)
    assert precision > 0.8
    assert recall > 0.95


@pytest.mark.parametrize("kind", ["white", "auto"])
def test_holes_are_found(kind):
    torn, lost = COFFEE.copy(), np.zeros(COFFEE.shape[:2], bool)
    row, column = np.indices(lost.shape)
    lost |= (np.hypot(row - 330, column - 100) < 20 + 4 * np.sin(np.arctan2(row - 330, column - 100) * 5)) | (
        (abs(row - 120) < 12) & (abs(column - 480) < 25)
    )
    torn[lost] = 255
    for picture in (torn, 255 - torn):
        precision, recall = precision_recall(find_damage(picture, kind).mask, lost)
        assert precision > 0.8
        assert recall > 0.99


def test_an_overexposed_sky_is_no_hole():
    row, column = np.indices((200, 300))
    sky = np.clip(400 - np.hypot(row - 80, (column - 150) / 1.3) * 4, 0, 255).astype(np.uint8)
    assert not find_damage(sky, "white").mask.any()


def test_what_is_no_number_is_damage():
    picture = CAMERA[:80, :80] / 255
    picture[20:30, 40:42] = np.nan
    picture[5, 5] = np.inf
    damage = find_damage(picture)
    assert damage.confidence[20:30, 40:42].min() == damage.confidence[5, 5] == 1
    assert damage.mask.sum() < 30
    assert find_damage(np.full((3, 4), np.nan)).mask.all()


@pytest.mark.parametrize("kind", ["auto", "scratches", "dust", "white", "text"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (2, 2, 3), (3, 5, 4), (7, 40, 2), (40, 40, 3)])
def test_a_constant_picture_has_no_damage(shape, kind):
    damage = find_damage(np.full(shape, 77, np.uint8), kind)
    assert damage.mask.shape == damage.confidence.shape == shape[:2]
    assert not damage.mask.any()


@pytest.mark.parametrize("kind", ["auto", "scratches", "dust", "white", "text"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2, 3), (8, 8), (13, 17, 3), (60, 1)])
def test_tiny_pictures_are_taken(shape, kind):
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert find_damage(noise, kind).mask.shape == shape[:2]


def test_large_pictures_are_judged_by_tiles_and_in_smaller_copies():
    row, column = np.indices((1100, 1200))
    picture = (20 + row / 10 + column / 20 + np.random.default_rng(0).normal(0, 2, row.shape)).astype(np.uint8)
    picture[545:554, 595:605] = 250  # too broad to be thin at full size, on the seam of four tiles
    picture[100:1000, 300:303] = 250
    mask = find_damage(picture).mask
    assert mask[545:554, 595:605].all()
    assert mask[100:1000, 300:303].mean() > 0.95
    assert mask.sum() < 4 * (9 * 10 + 900 * 3)


def test_the_number_of_threads_does_not_matter():
    worn, _ = dusty(COFFEE, 250)
    worn = np.tile(worn, (3, 2, 1))
    for one, other in zip(find_damage(worn, n_jobs=1), find_damage(worn, n_jobs=3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_progress_reaches_its_end_and_may_end_the_work():
    worn, _ = dusty(COFFEE, 250)
    told = []
    find_damage(worn, progress=lambda *share: told.append(share))
    assert told == sorted(told)
    assert told[-1] == (1000, 1000)

    def enough(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_damage(worn, progress=enough)


def test_a_hole_over_many_bands_and_letters_over_tiles_are_found_whole():
    row, column = np.indices((1300, 1000))
    picture = np.repeat((40 + row / 20 + column / 40).astype(np.uint8)[..., None], 3, axis=2)
    lost = abs(column - 500 - 100 * np.sin(row / 150)) < 12
    lost &= (row > 40) & (row < 1250)
    picture[lost] = 255
    letters = np.zeros_like(lost)
    for i, digit in enumerate("9812412248"):  # across the seam of two tiles
        glyph = np.kron([[dot == "#" for dot in line] for line in FONT[digit]], np.ones((4, 4))) > 0
        letters[640 : 640 + glyph.shape[0], 700 + 18 * i : 712 + 18 * i] |= glyph
    picture[letters] = (255, 140, 0)
    for kind, drawn in (("white", lost), ("text", letters)):
        precision, recall = precision_recall(find_damage(picture, kind).mask, drawn)
        assert precision > 0.99
        assert recall > 0.99


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 49])
@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 2), (53, 61)])
def test_windows_are_those_of_scipy(shape, size):
    plane = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    odd = size // 2 * 2 + 1
    np.testing.assert_array_equal(windows.highest(plane, odd), ndimage.maximum_filter(plane, odd))
    np.testing.assert_array_equal(windows.lowest(plane > 1, odd), ndimage.minimum_filter(plane > 1, odd))
    np.testing.assert_allclose(
        windows.mean_around(plane, odd), ndimage.uniform_filter(plane.astype(float), odd), atol=1e-6
    )
    blocks = windows.highest_of_blocks(plane, size)
    assert blocks[0, 0] == plane[:size, :size].max()
    assert blocks[-1, -1] == plane[(shape[0] - 1) // size * size :, (shape[1] - 1) // size * size :].max()


def test_what_is_found_can_be_restored():
    picture = CAMERA[20:140, 300:420]
    worn, lost = dusty(picture, 20)
    restored = restore_image(worn, find_damage(worn).mask, n_jobs=1)
    before, after = (np.abs(x[lost].astype(int) - picture[lost]).mean() for x in (worn, restored))
    assert after < before / 2


@pytest.mark.parametrize(
    ("picture", "kind", "sentence"),
    [
        (np.zeros((4, 5)), "cracks", "'cracks' is no kind of damage: choose one of auto, scratches, dust, white, text"),
        (np.zeros(5), "auto", r"has the shape \(5,\)"),
        (np.zeros((0, 5)), "auto", r"has the shape \(0, 5\)"),
        (np.zeros((4, 5), complex), "auto", "holds complex128"),
    ],
)
def test_bad_input_is_told(picture, kind, sentence):
    with pytest.raises(InputError, match=sentence):
        find_damage(picture, kind)


@pytest.mark.parametrize("least", [0, -1, 1.5, float("nan")])
def test_a_confidence_is_a_probability(least):
    with pytest.raises(InputError, match=r"min_confidence must be a probability above 0, such as .5, got"):
        find_damage(np.zeros((4, 5)), min_confidence=least)
