"""The Classify room as a person uses it, in Chromium: digits drawn, own nets asked, contrasts run, hostile input."""

import base64
import io
import json
import multiprocessing
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.io import wavfile

from fmkit import FMRegressor, load, save
from fmkit.app.digits import drawn_digit
from fmkit.app.rows import numbers
from fmkit.errors import InputError
from fmkit.restore.picture_file import write_view
from fmkit.restore.views import heat
from tests.app_page import served
from tests.app_scenes import THREE, draw_line
from tests.test_app import Asker, png_of

pytest.importorskip("torch", reason="nets need the extra fmkit[deep]")
pytestmark = pytest.mark.browser

MODERN = {"activation": "relu", "init": "normalised", "regularisation": "none", "descent": "stochastic"}
SERIES = [0.5, 1.5, 0.0, 2.0]


def opened(chromium, address, room="#classify"):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.mistakes, page.drawings = [], []
    page.on("pageerror", lambda error: page.mistakes.append(str(error)))
    page.on("request", lambda one: one.url.endswith("/draw") and page.drawings.append(json.loads(one.post_data)))
    page.goto(f"{address}/{room}")
    page.wait_for_selector("body[data-ready]")
    return page


@pytest.fixture(scope="module")
def page(chromium, address):
    """A page whose nets of the digits are trained."""
    page = opened(chromium, address)
    page.wait_for_selector("#get-digits:visible", timeout=120_000)
    page.wait_for_selector("#train-stop", state="hidden", timeout=120_000)
    yield page
    assert page.mistakes == []
    page.context.close()


@pytest.fixture
def own(page):
    """The page, where nets of one's own are asked."""
    page.check("[name=which][value=own]", force=True)
    yield page
    page.check("[name=which][value=digits]", force=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saved nets of every kind, hardly trained, and a recommender's machine."""
    from fmkit.deep import CNNClassifier, MLPClassifier, RNNClassifier

    folder, rng = tmp_path_factory.mktemp("nets"), np.random.default_rng(0)
    texts = ["good and so good", "so bad, so bad"] * 10
    save(
        RNNClassifier(cell="lstm", n_units=5, max_epochs=2, random_state=0).fit(texts, ["yes", "no"] * 10),
        folder / "texts.fmkit",
    )
    series = [rng.normal(size=n) for n in range(5, 25)]
    save(RNNClassifier(n_units=4, max_epochs=1, random_state=0).fit(series, [0, 1] * 10), folder / "series.fmkit")
    pictures = rng.integers(0, 255, (20, 16, 16, 3)).astype(np.uint8)
    net = CNNClassifier(["conv 4", "pool", "conv 6"], max_epochs=1, random_state=0, n_jobs=1)
    save(net.fit(pictures, ["cat", "dog", "frog", "owl"] * 5), folder / "pictures.fmkit")
    write_view(folder / "frog.png", [pictures[2]])
    import pyarrow as pa

    table = pa.table({"age": rng.normal(40, 9, 30), "job": ["cook", "smith", "vet"] * 10})
    save(MLPClassifier((4,), max_epochs=1, random_state=0).fit(table, [0, 1] * 15), folder / "people.fmkit")
    sounds = [rng.integers(-9999, 9999, 4000).astype(np.int16) for _ in range(8)]
    heard = RNNClassifier(n_units=3, sampling_rate=8000, max_epochs=1, random_state=0).fit(sounds, ["hiss", "hum"] * 4)
    save(heard, folder / "sounds.fmkit")
    wavfile.write(folder / "hiss.wav", 8000, sounds[0])
    save(FMRegressor(random_state=0).fit([[1, 0], [0, 1]], [1, 2]), folder / "machine.fmkit")
    return folder


def draw(page, *lines):
    """Lines on the pad, in hundredths of its side."""
    if page.is_enabled("#pad-clear"):
        page.click("#pad-clear")
        page.wait_for_selector("#answer", state="hidden")
    for line in lines:
        draw_line(page, line)
    page.wait_for_selector("#answer:visible")
    page.wait_for_timeout(1500)  # until the last line is answered


def shown_chances(page):
    return [float(told.rstrip("%")) / 100 for told in page.locator("#chances td:last-child").all_text_contents()]


def shown_picture(page, name):
    import pyvips

    _, _, coded = page.get_attribute(name, "src").partition("base64,")
    return pyvips.Image.new_from_buffer(base64.b64decode(coded), "").numpy()[..., :3]


def take(page, path):
    page.set_input_files("#own-net", str(path))
    page.wait_for_selector(f"#own-facts:has-text('{path.name}')", timeout=30_000)
    return load(path)


def wait_for(fact, seconds=60):
    for _ in range(10 * seconds):
        if fact():
            return True
        time.sleep(0.1)
    return False


def test_a_drawn_digit_is_answered_as_the_library_answers_it(page, tmp_path):
    from fmkit.deep.convnet_plots import feature_maps, grad_cam

    draw(page, THREE)
    with page.expect_download() as told:
        page.click("#get-digits")
    told.value.save_as(tmp_path / "digits.fmkit")
    model, picture = load(tmp_path / "digits.fmkit"), drawn_digit(page.drawings[-1]["strokes"])
    chances = model.predict_proba(picture[None])[0]
    np.testing.assert_allclose(shown_chances(page), chances, atol=1.1e-3)
    assert model.predict(picture[None])[0] == 3
    assert "This is a 3" in page.text_content("#verdict")

    seen = shown_picture(page, "#seen")
    np.testing.assert_array_equal(seen[..., 0], np.rint(picture * 255 / picture.max()))
    for label in (3, 8):
        if label == 8:
            page.click("#chances button:text-is('8')")
            page.wait_for_selector("#evidence-title:has-text('for 8')")
        expected = 0.4 * seen + 0.6 * heat(grad_cam(model, picture, label))
        np.testing.assert_allclose(shown_picture(page, "#evidence"), expected, atol=2)
    layers = [
        f"{name}: {len(maps)} maps of {maps.shape[1]} x {maps.shape[2]}" for name, maps in feature_maps(model, picture)
    ]
    told = page.locator("#layers .name").all_text_contents()
    assert len(told) == 4
    assert all(layer in line for layer, line in zip(layers[1:], told, strict=True))


def test_a_drawn_digit_is_read_row_by_row(page, tmp_path):
    draw(page, THREE)
    with page.expect_download() as told:
        page.click("#get-rows")
    told.value.save_as(tmp_path / "rows.fmkit")
    model, picture = load(tmp_path / "rows.fmkit"), drawn_digit(page.drawings[-1]["strokes"])
    assert f"takes it for a {model.predict(picture[None])[0]}," in page.text_content("#reader")
    page.select_option("#trace", "layer 1, forwards")
    update = model.gates(picture[None])[0]["update"][0, 0].mean(axis=1)
    label = page.get_attribute("#gate-charts figure:has-text('update') svg", "aria-label")
    assert f"from {update[0]:.2f} to {update[-1]:.2f}" in label


def test_digits_of_both_sizes_and_any_place_are_the_same(page):
    small = [(60 + x / 5, 10 + y / 5) for x, y in THREE]
    pictures = [drawn_digit([{"points": [list(point) for point in line]}]) for line in (THREE, small)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
    draw(page, small)
    assert "This is a 3" in page.text_content("#verdict")


def test_a_digit_is_drawn_by_keys_and_taken_back(page):
    if page.is_enabled("#pad-clear"):
        page.click("#pad-clear")
    page.focus("#pad")
    for key in [*["Shift+ArrowUp"] * 3, "Space", *["Shift+ArrowDown"] * 6, "Space"]:
        page.keyboard.press(key)
    page.wait_for_selector("#verdict:has-text('This is a 1')")
    page.keyboard.press("Control+z")
    page.wait_for_selector("#answer", state="hidden")
    assert page.is_disabled("#pad-undo")


def test_a_sentence_is_classified_and_its_gates_are_shown_word_by_word(own, folder):
    model = take(own, folder / "texts.fmkit")
    own.fill("#typed", "good, so good")
    own.click("#own-text button")
    own.wait_for_selector("#gates:visible")
    np.testing.assert_allclose(shown_chances(own), model.predict_proba(["good, so good"])[0], atol=1.1e-3)
    assert own.locator("#gate-charts figcaption").count() == 3
    own.select_option("#trace", "layer 1, backwards")
    own.click("#gate-table summary")
    means = model.gates(["good, so good"])[0]["forget"][0, 1].mean(axis=1)
    lines = own.locator("#gate-table tr").all_inner_texts()
    assert [line.split("\t")[0] for line in lines[1:]] == ["1 good", "2 ,", "3 so", "4 good"]
    forget = lines[0].split("\t").index("forget")
    assert [float(line.split("\t")[forget]) for line in lines[1:]] == pytest.approx(means, abs=0.006)


def test_a_series_is_pasted_or_dropped(own, folder, tmp_path):
    model = take(own, folder / "series.fmkit")
    own.fill("#typed", "\n".join(map(str, SERIES)))
    own.click("#own-text button")
    own.wait_for_selector("#gates:visible")
    expected = model.predict_proba([np.array(SERIES)])[0]
    np.testing.assert_allclose(shown_chances(own), expected, atol=1.1e-3)
    own.fill("#typed", "1, 2, abc")
    own.click("#own-text button")
    own.wait_for_selector("#alert:has-text(\"line 1: 'abc' is no number\")")
    path = tmp_path / "wave.csv"
    path.write_text("height\n3\nx\n")
    own.set_input_files("#own-row", str(path))
    own.wait_for_selector("#alert:has-text(\"wave.csv: line 3: 'x' is no number\")")


def test_a_sound_is_dropped(own, folder):
    model = take(own, folder / "sounds.fmkit")
    own.set_input_files("#own-row", str(folder / "hiss.wav"))
    own.wait_for_selector("#gates:visible")
    sound = wavfile.read(folder / "hiss.wav")[1]
    np.testing.assert_allclose(shown_chances(own), model.predict_proba([sound])[0], atol=1.1e-3)
    assert own.is_hidden("#own-text")


def test_a_row_of_a_table_is_pasted_under_the_names_of_its_columns(own, folder):
    model = take(own, folder / "people.fmkit")
    assert own.input_value("#typed") == "age,job\n"
    own.fill("#typed", "job,age\nvet,41")
    own.click("#own-text button")
    own.wait_for_selector("#chances tr")
    import pyarrow as pa

    expected = model.predict_proba(pa.table({"age": [41], "job": ["vet"]}))[0]
    np.testing.assert_allclose(shown_chances(own), expected, atol=1.1e-3)
    own.fill("#typed", "age\n41")
    own.click("#own-text button")
    own.wait_for_selector("#alert:has-text('typed.csv: columns of the fit are missing: job')")


def test_a_picture_is_dropped_and_wrong_files_are_told(own, folder, tmp_path):
    model = take(own, folder / "pictures.fmkit")
    own.set_input_files("#own-row", str(folder / "frog.png"))
    own.wait_for_selector("#layers li")
    np.testing.assert_allclose(shown_chances(own), model.predict_proba([str(folder / "frog.png")])[0], atol=1.1e-3)
    for name, content, sentence in (
        ("letter.png", b"no picture", "letter.png: this is no PNG, JPEG, TIFF or WebP picture"),
        ("bomb.png", png_of(60_000, 60_000), "bomb.png: pictures of at most 50 megapixels are taken"),
    ):
        (tmp_path / name).write_bytes(content)
        own.set_input_files("#own-row", str(tmp_path / name))
        own.wait_for_selector(f"#alert:has-text('{sentence}')")
    own.set_input_files("#own-net", str(folder / "machine.fmkit"))
    own.wait_for_selector("#alert:has-text('machine.fmkit: the file holds a FMRegressor, no net that classifies')")
    (tmp_path / "broken.fmkit").write_bytes(b"no model")
    own.set_input_files("#own-net", str(tmp_path / "broken.fmkit"))
    own.wait_for_selector("#alert:has-text('broken.fmkit: this is no model file, or a damaged one')")
    assert "pictures.fmkit" in own.text_content("#own-facts")


def test_contrasts_run_live_as_the_library_has_them_and_are_stopped(page):
    from fmkit.app.contrasting import parameters_of
    from fmkit.deep.contrasts import fit_net

    page.check("[name=which][value=contrasts]", force=True)
    page.select_option("#contrast-0-regularisation", "none")
    page.select_option("#contrast-epochs", "10")
    page.click("#contrast-form .main")
    page.wait_for_selector("#contrast-told:has-text('Training')", timeout=60_000)
    page.wait_for_selector("#chart-saturation path.curve.net-1", timeout=60_000)
    page.wait_for_selector("#contrast-told:has-text('Done')", timeout=60_000)
    traditional = {"activation": "tanh", "init": "constant", "regularisation": "L1 and L2", "descent": "batch"}
    lines = page.locator("#contrast-table tr").all_inner_texts()[1:]
    for line, wishes in zip(lines, (MODERN, traditional), strict=True):
        run = fit_net(parameters_of(wishes), max_epochs=10)
        last = run["history"][-1]
        _, epoch, loss, saturated, tested, trained, overfit = line.split("\t")
        assert epoch == "10"
        assert float(loss) == pytest.approx(last["train_loss"], rel=0.01)
        assert float(saturated) == pytest.approx(max(last["saturation"].values()), abs=0.006)
        expected = [run[name] for name in ("test", "train", "overfit")]
        assert [float(one) for one in (tested, trained, overfit)] == pytest.approx(expected, abs=6e-4)

    page.click("#contrast-add")
    page.select_option("#contrast-epochs", "100")
    page.click("#contrast-form .main")
    page.wait_for_selector("#contrast-told:has-text('Training')", timeout=60_000)
    assert multiprocessing.active_children()
    page.click("#contrast-stop")
    page.wait_for_selector("#contrast-told:has-text('Stopped')")
    assert wait_for(lambda: not multiprocessing.active_children(), 10)
    page.check("[name=which][value=digits]", force=True)


def test_training_is_stopped_and_begun_again_and_ends_with_the_tab(chromium, address, page):
    other = opened(chromium, address)
    other.wait_for_selector("#train-stop:visible")
    other.click("#train-stop")
    other.wait_for_selector("#train-told:has-text('is not trained')")
    assert wait_for(lambda: not multiprocessing.active_children(), 10)
    other.click("#train")
    other.wait_for_selector("#train-stop:visible")
    other.check("[name=which][value=contrasts]", force=True)
    other.click("#contrast-form .main")
    assert wait_for(lambda: len(multiprocessing.active_children()) == 2, 10)
    other.context.close()
    assert wait_for(lambda: not multiprocessing.active_children(), 20)
    assert page.is_visible("#get-digits")  # another tab's net is none of its affair


@pytest.fixture(scope="module")
def lasting():
    with served(grace=60.0) as found:
        yield found


def test_two_pages_do_not_share_their_nets(lasting, folder):
    one, other = Asker(lasting), Asker(lasting)
    assert one.ask("PUT", "/nets/own?name=a.fmkit", (folder / "series.fmkit").read_bytes())[0] == 200
    assert one.ask("POST", "/nets/own/text", {"text": "1 2 3"})[0] == 200
    assert "there is no net of yours yet" in other.refusal("POST", "/nets/own/text", {"text": "1 2 3"})


def test_a_net_without_places_answers_without_evidence(lasting, folder, tmp_path):
    from fmkit.deep import CNNClassifier

    pictures = np.random.default_rng(0).integers(0, 255, (20, 16, 16, 3)).astype(np.uint8)
    save(CNNClassifier(["dense 4"], max_epochs=1, n_jobs=1).fit(pictures, [0, 1] * 10), tmp_path / "dense.fmkit")
    asker = Asker(lasting)
    asker.ask("PUT", "/nets/own?name=dense.fmkit", (tmp_path / "dense.fmkit").read_bytes())
    status, told = asker.ask("PUT", "/nets/own/row?name=frog.png", (folder / "frog.png").read_bytes())
    assert status == 200
    assert len(told["classes"]) == 2
    assert "layers" not in told


@pytest.mark.parametrize("name", ["..%2Fup.fmkit", "%2Fetc%2Fpasswd", "a%5Cb.fmkit", ".hidden", "a%00b"])
@pytest.mark.parametrize("place", ["own", "own/row"])
def test_a_name_that_is_no_plain_name_is_refused(lasting, folder, name, place):
    asker = Asker(lasting)
    asker.ask("PUT", "/nets/own?name=a.fmkit", (folder / "texts.fmkit").read_bytes())
    assert "is no plain file name" in asker.refusal("PUT", f"/nets/{place}?name={name}", b"x")


def test_what_no_page_sends_is_refused_with_a_sentence(lasting, folder):
    asker = Asker(lasting)
    assert asker.ask("GET", "/nets/..%2f..%2fetc/file")[0] == 404
    assert "is no net of this page" in asker.refusal("GET", "/nets/theirs/file")
    assert "is not there yet" in asker.refusal("POST", "/nets/digits/draw", {"strokes": []})
    asker.ask("PUT", "/nets/own?name=a.fmkit", (folder / "pictures.fmkit").read_bytes())
    assert "no row yet" in asker.refusal("GET", "/nets/own/evidence/0")
    assert "drop a file" in asker.refusal("POST", "/nets/own/text", {"text": "/etc/passwd"})
    assert asker.refusal("POST", "/nets/own/text", {"text": 3}) == "nothing is typed yet"
    asker.ask("PUT", "/nets/own/row?name=frog.png", (folder / "frog.png").read_bytes())
    assert "there is no class of the number 99" in asker.refusal("GET", "/nets/own/evidence/99")
    for nets in (None, [], [MODERN] * 9, ["x"]):
        assert "from 1 to 4 nets" in asker.refusal("POST", "/contrasts", {"nets": nets, "epochs": 10})
    assert "epochs must be" in asker.refusal("POST", "/contrasts", {"nets": [MODERN], "epochs": 10**9})
    wishes = {"nets": [{**MODERN, "init": "../../x"}], "epochs": 1}
    assert asker.refusal("POST", "/contrasts", wishes) == "init must be one of normalised, constant, got '../../x'"
    assert multiprocessing.active_children() == []


def test_a_net_of_weights_that_no_memory_holds_is_refused(lasting, folder):
    content = (folder / "series.fmkit").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    told = json.loads(header["__metadata__"]["fmkit"])
    told["facts"]["parameters"]["n_units"] = 200_000
    header["__metadata__"]["fmkit"] = json.dumps(told)
    packed = json.dumps(header).encode()
    wide = len(packed).to_bytes(8, "little") + packed + content[end:]
    sentence = Asker(lasting).refusal("PUT", "/nets/own?name=a.fmkit", wide)
    assert sentence.startswith("a.fmkit: the file is damaged: the net's ")


def test_the_room_says_what_is_missing_where_there_is_no_torch(chromium, address, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    page = opened(chromium, address)
    page.wait_for_selector("#no-torch:has-text(\"Nets need torch: pip install 'fmkit[deep]'\")")
    assert page.is_hidden("#with-torch")
    page.context.close()


def test_the_page_starts_without_torch():
    code = "import fmkit.app.server, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("strokes", [None, "x", [1], [{}], [{"points": []}], [{"points": [["1", 2]]}]])
def test_drawings_that_no_page_sends_are_refused(strokes):
    with pytest.raises(InputError, match="strokes are not as the page sends them"):
        drawn_digit(strokes)


def test_drawings_fill_the_squares_as_the_digits_of_scikit_learn_do():
    from sklearn.datasets import load_digits

    digits = load_digits().images
    zero = [[50 + 25 * np.cos(t), 50 + 38 * np.sin(t)] for t in np.linspace(0, 2 * np.pi, 30)]
    for points in (zero, [[50, 10], [50, 90]], [[x, y] for x, y in THREE]):
        picture = drawn_digit([{"points": points}])
        assert (picture > 0).any(axis=1).all()
        assert 0 <= picture.min() < picture.max() <= 16
        assert digits.sum(axis=(1, 2)).min() < picture.sum() < digits.sum(axis=(1, 2)).max()
    dot = drawn_digit([{"points": [[50, 50]]}])
    assert dot.sum() > 0


def test_numbers_are_read_from_lines():
    assert numbers("1;2\n\n3\t4", 2).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match="line 2: 1 numbers, but the net takes 2 a line"):
        numbers("1 2\n3", 2)
    with pytest.raises(InputError, match="there are no numbers in it"):
        numbers(io.StringIO("a,b\n").read(), 2)
