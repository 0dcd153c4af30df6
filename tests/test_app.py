"""The page's server asked as no page would: by strangers, with hostile files and fields; and closed tabs."""

import base64
import http.client
import json
import struct
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlparse

import numpy as np
import pytest
import pyvips
from click.testing import CliRunner

from fmkit.app.sheets import Sheets
from fmkit.app.strokes import painted
from fmkit.errors import InputError
from fmkit.restore import restore_image
from fmkit.restore.picture_file import read_pages, write_view
from tests.app_page import served
from tests.command_line import call

ASKED = {"points": [[8, 8], [24, 8]], "size": 3}


class Asker:
    """A session of a server, without a browser."""

    def __init__(self, address):
        self.host = urlparse(address).netloc
        _, told = self.ask("POST", "/session", session=False)
        self.session = told["session"]

    def ask(self, method, path, body=None, headers=None, session=True):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        body = json.dumps(body).encode() if isinstance(body, dict | list) else body
        connection.request(method, f"/s/{self.session}{path}" if session else path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        is_json = answer.headers.get("content-type") == "application/json"
        connection.close()
        return answer.status, json.loads(content) if is_json else content

    def refusal(self, *how, **more):
        status, told = self.ask(*how, **more)
        assert status == 400
        return told["error"]

    def watch(self):
        """A tab's connection; the session lives while it is open."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", f"/s/{self.session}/events")
        answer = connection.getresponse()
        answer.readline()
        return answer, connection

    def facts(self):
        answer, connection = self.watch()
        answer.readline()
        told = json.loads(answer.readline().removeprefix(b"data: "))
        connection.close()
        return told


@pytest.fixture(scope="module")
def address():
    with served(grace=60.0) as found:
        yield found


@pytest.fixture
def asker(address):
    return Asker(address)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "ramp.png"
    write_view(path, [np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)])
    return path.read_bytes()


def png_bytes(pixels):
    return bytes(pyvips.Image.new_from_array(pixels).pngsave_buffer())


def pixels_of(png):
    image = pyvips.Image.new_from_buffer(png, "")
    return image.numpy().reshape(image.height, image.width)


def png_of(width, height):
    """The beginning of a PNG that says it is so large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_to_more_than_may_be_is_refused_by_its_header(asker):
    told = asker.refusal("PUT", "/pictures?name=bomb.png", png_of(60_000, 60_000))
    assert told.startswith("bomb.png: pictures of at most 50 megapixels are taken, this one has 3,600")


def test_pages_of_a_tiff_are_restored_as_the_command_line_does_it(asker, tmp_path):
    ramp = (7 * np.add.outer(np.arange(40), 2 * np.arange(60)) % 256).astype(np.uint8)
    write_view(tmp_path / "scans.tif", [ramp, ramp.T, ramp[::-1]])
    status, told = asker.ask("PUT", "/pictures?name=scans.tif", (tmp_path / "scans.tif").read_bytes())
    assert status == 200
    assert [(page["name"], page["width"]) for page in told] == [
        ("scans.tif, page 1", 60),
        ("scans.tif, page 2", 40),
        ("scans.tif, page 3", 60),
    ]
    for number in (3, 1):
        asker.ask("POST", f"/pictures/{number}/restore", {"strokes": [ASKED], "quality": "fast"})
    for number in (3, 1):
        for _ in range(600):
            status, body = asker.ask("GET", f"/pictures/{number}/restored")
            if status == 200:
                break
            time.sleep(0.1)
    (tmp_path / "page.tif").write_bytes(body)
    (tmp_path / "scans_mask.tif").write_bytes(asker.ask("GET", "/pictures/1/mask")[1])
    command = asker.facts()["restore"][0]["command"]
    assert command == "fmkit restore scans.tif --mask scans_mask.tif --quality fast --out scans_restored.tif"
    assert call(*command.split()[1:], cwd=tmp_path).returncode == 0
    pairs = list(zip(*(read_pages(tmp_path / name) for name in ("page.tif", "scans_restored.tif")), strict=True))
    assert len(pairs) == 3
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours.pixels, theirs.pixels)
    assert (pairs[0][0].pixels != ramp).any()
    np.testing.assert_array_equal(pairs[1][0].pixels, ramp.T)

    asker.ask("POST", "/pictures/2/restore", {"strokes": [ASKED], "quality": "balanced"})
    for _ in range(600):
        told = asker.facts()["restore"][1]
        if told["state"] == "done":
            break
        time.sleep(0.1)
    assert told["command"].startswith("# pages were restored in different qualities")


def test_what_is_made_of_pages_is_a_tiff_whatever_the_name_and_one_that_fails_spoils_no_other(tmp_path, monkeypatch):
    ramp = np.add.outer(np.arange(20), np.arange(30)).astype(np.uint8)
    write_view(tmp_path / "scans.tif", [ramp, ramp.T])
    path = (tmp_path / "scans.tif").rename(tmp_path / "scan.png")
    sheets = Sheets(path)
    assert (sheets.out.name, sheets.mask.name) == ("scan_restored.tif", "scan_mask.tif")
    for page in (0, 1):
        np.save(sheets.part("lost.npy", page), np.zeros(sheets.read(page).pixels.shape, bool))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("fmkit.app.sheets.np.save", full)
        with pytest.raises(OSError, match="No space left"):
            sheets.finish(0, sheets.read(0), ramp + 1, ramp > 9, "fast", False)
    sheets.finish(1, sheets.read(1), ramp.T + 1, ramp.T > 9, "fast", False)
    first, second = read_pages(sheets.out)
    np.testing.assert_array_equal(first.pixels, ramp)
    np.testing.assert_array_equal(second.pixels, ramp.T + 1)


def test_of_two_requests_at_once_one_begins(address, asker, picture):
    asker.ask("PUT", "/pictures?name=a.png", picture)
    lines = [{"points": [[x % 60, x % 40], [30, 30]], "size": 3} for x in range(3000)]  # half a second to paint

    def begin(_):
        return asker.ask("POST", "/pictures/1/restore", {"strokes": lines, "quality": "fast"})[0]

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(begin, range(2))) == [200, 400]
    for _ in range(600):
        told = asker.facts()["restore"][0]
        if told["state"] not in ("waiting", "running"):
            break
        time.sleep(0.1)
    assert told["state"] == "done"
    assert told["n_states"] == 3  # waiting, running, done


def test_a_tiff_of_very_many_pages_is_refused(asker, tmp_path):
    write_view(tmp_path / "scans.tif", [np.zeros((8, 9), np.uint8)] * 101)
    assert asker.refusal("PUT", "/pictures?name=scans.tif", (tmp_path / "scans.tif").read_bytes()) == (
        "scans.tif: files of at most 100 pages are taken, this one has 101"
    )


@pytest.mark.parametrize("name", ["../../up.png", "/etc/passwd", "a\\b.png", ".hidden.png", "a\0b.png", "x" * 300, ""])
def test_a_name_that_is_no_plain_name_is_refused(asker, picture, name):
    assert "is no plain file name" in asker.refusal("PUT", f"/pictures?name={quote(name)}", picture)


def test_what_is_announced_as_too_large_is_refused_before_it_is_read(address, asker):
    connection = http.client.HTTPConnection(asker.host, timeout=30)
    connection.putrequest("PUT", f"/s/{asker.session}/pictures?name=huge.png")
    connection.putheader("content-length", str(2 << 30))
    connection.endheaders()
    answer = connection.getresponse()
    assert json.loads(answer.read())["error"] == "huge.png: files of at most 700 MB are taken, this one is larger"
    connection.close()


@pytest.mark.parametrize(
    "path", ["/pictures/1/../../../../etc/passwd", "/pictures/%2e%2e/view", "/pictures/1/..%2f..%2fetc%2fpasswd"]
)
def test_a_path_in_an_address_leads_nowhere(asker, picture, path):
    asker.ask("PUT", "/pictures?name=a.png", picture)
    status, told = asker.ask("GET", path)
    assert status in (400, 404)
    assert b"root:" not in (told if isinstance(told, bytes) else json.dumps(told).encode())


@pytest.mark.parametrize("at", [[-1, 3], [64, 3], [3, 48], [1], "here", [None, 1]])
def test_a_pixel_beside_the_picture_is_refused(asker, picture, at):
    asker.ask("PUT", "/pictures?name=a.png", picture)
    told = asker.refusal("POST", "/pictures/1/find", {"kind": "auto", "at": at})
    assert "beside the picture" in told or "not as the page sends them" in told
    assert asker.facts()["restore"][0]["state"] == "new"


@pytest.mark.parametrize("least", [0, 1.5, "0.5", [0.5]])
def test_a_confidence_that_is_no_probability_is_refused(asker, picture, least):
    asker.ask("PUT", "/pictures?name=a.png", picture)
    told = asker.refusal("POST", "/pictures/1/find", {"kind": "auto", "min_confidence": least})
    assert "min_confidence must be a probability above 0, such as .5" in told


def test_a_path_in_a_field_is_a_word_like_any_other(asker, picture):
    asker.ask("PUT", "/pictures?name=a.png", picture)
    wishes = {"strokes": [ASKED], "quality": "../../etc/passwd"}
    assert asker.refusal("POST", "/pictures/1/restore", wishes) == (
        "quality must be one of fast, balanced, best, got '../../etc/passwd'"
    )
    table = b"user,item,rating\na,b,1\n"
    asker.ask("PUT", "/tables?role=ratings&name=t.csv", table)
    asker.ask("POST", "/learn", {"columns": {"user": "/etc/passwd"}, "quality": "fast", "feedback": "auto"})
    for _ in range(200):
        told = asker.facts()["recommend"]
        if told["error"]:
            break
        time.sleep(0.1)
    assert told["error"] == "t.csv: there is no column '/etc/passwd' for user, the table has 'user', 'item', 'rating'"


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"how": "/etc/passwd"}, "how must be one of 'random', 'time'"),
        ({"test": "1"}, "test must be a share between 0 and 1, got '1'"),
        ({"top": 10**9}, "k must be at least 1 place and at most 100, got 1000000000"),
        ({"quality": None}, "quality must be one of fast, balanced, best, got None"),
        ({"columns": ["a"]}, "the columns are not as the page sends them"),
        ({"feedback": "no"}, "feedback must be one of auto, explicit, implicit, got 'no'"),
    ],
)
def test_an_evaluation_that_no_page_asks_for_is_refused(asker, wishes, told):
    usual = {"columns": {}, "quality": "fast", "feedback": "auto", "how": "random", "test": 0.2, "top": 10}
    assert "there is no table of ratings yet" in asker.refusal("POST", "/evaluation", usual)
    asker.ask("PUT", "/tables?role=ratings&name=t.csv", b"user,item,rating\na,b,1\n")
    assert told in asker.refusal("POST", "/evaluation", usual | wishes)
    assert "nothing was judged yet" in asker.refusal("GET", "/evaluation")


def test_twenty_pictures_of_two_tabs_at_once_are_not_mixed(address):
    shapes = [(40 + k, 60 - k) for k in range(20)]
    ramps = [np.add.outer((k + 3) * np.arange(n), 5 * np.arange(m)) for k, (n, m) in enumerate(shapes)]
    pictures = [(ramp % 256).astype(np.uint8) for ramp in ramps]
    tabs = [Asker(address), Asker(address)]
    strokes = [[{"points": [[5 + k, 8], [24, 8 + k]], "size": 3}] for k in range(20)]

    def work(k):
        tab = tabs[k % 2]
        status, told = tab.ask("PUT", "/pictures?name=same.png", png_bytes(pictures[k]))
        assert status == 200
        number = told[0]["number"]
        asked = {"strokes": strokes[k], "quality": "fast"}
        assert tab.ask("POST", f"/pictures/{number}/restore", asked)[0] == 200
        return number

    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(work, range(20)))
    for tab in (0, 1):
        assert sorted(numbers[tab::2]) == list(range(1, 11))
    for k, number in enumerate(numbers):
        for _ in range(600):
            status, body = tabs[k % 2].ask("GET", f"/pictures/{number}/restored")
            if status == 200:
                break
            time.sleep(0.1)
        lost = painted(strokes[k], shapes[k])
        np.testing.assert_array_equal(pixels_of(body), restore_image(pictures[k], lost, quality="fast"))


def test_sessions_do_not_see_each_others_work(address, asker, picture):
    asker.ask("PUT", "/pictures?name=mine.png", picture)
    other = Asker(address)
    assert "no longer here" in other.refusal("GET", "/pictures/1/view")
    other.session = "guessed"
    assert "has ended" in other.refusal("GET", "/pictures/1/view")


def test_a_page_from_elsewhere_is_refused(asker):
    assert asker.ask("POST", "/session", headers={"Origin": "http://evil.example"}, session=False)[0] == 403
    assert asker.ask("GET", "/", headers={"Host": "evil.example"}, session=False)[0] == 421


def test_nobody_comes_in_without_the_password():
    with served(password="correct horse") as address:
        host = urlparse(address).netloc
        for told, status in ((None, 401), ("wrong", 401), ("correct horse", 200)):
            coded = base64.b64encode(f"me:{told}".encode()).decode()
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.request("GET", "/", headers={} if told is None else {"Authorization": f"Basic {coded}"})
            assert connection.getresponse().status == status
            connection.close()


def test_the_work_of_a_closed_tab_ends_and_its_files_go(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3)).astype(np.uint8)
    write_view(tmp_path / "noise.png", [noise])
    body = (tmp_path / "noise.png").read_bytes()
    (tmp_path / "noise.png").unlink()
    with served(grace=0.5) as address:
        asker = Asker(address)
        answer, connection = asker.watch()
        asker.ask("PUT", "/pictures?name=big.png", body)
        lines = [{"points": [[0, y], [1600, y]], "size": 9} for y in range(20, 1200, 30)]
        assert asker.ask("POST", "/pictures/1/restore", {"strokes": lines, "quality": "best"})[0] == 200
        assert list(tmp_path.rglob("big.png"))
        answer.close()
        connection.close()
        for _ in range(100):
            time.sleep(0.1)
            told = asker.refusal("GET", "/pictures/1/found")  # no file, which might go while it is sent
            if "has ended" in told:
                break
        assert "has ended" in told

        # Another's turn comes, though the best restoration of two megapixels takes minutes.
        other = Asker(address)
        _, connection = other.watch()
        other.ask("PUT", "/pictures?name=a.png", picture)
        other.ask("POST", "/pictures/1/restore", {"strokes": [ASKED], "quality": "fast"})
        for _ in range(300):
            time.sleep(0.1)
            status = other.ask("GET", "/pictures/1/restored")[0]
            if status == 200:
                break
        assert status == 200
        assert not list(tmp_path.rglob("big.png"))
        connection.close()
    assert list(tmp_path.iterdir()) == []


def test_others_are_let_in_with_a_password_alone(tmp_path):
    from fmkit.cli import fmkit

    refused = CliRunner().invoke(fmkit, ["app", "--host", "0.0.0.0"])
    assert refused.exit_code == 2
    assert "give a password with --password-file FILE" in refused.output
    (tmp_path / "short").write_text("abc\n")
    refused = CliRunner().invoke(fmkit, ["app", "--host", "0.0.0.0", "--password-file", str(tmp_path / "short")])
    assert isinstance(refused.exception, InputError)
    assert "of at least 8 letters" in str(refused.exception)


def test_strokes_are_round_and_the_eraser_takes_them_away():
    mask = painted([{"points": [[5.5, 5.5]], "size": 5}], (11, 11))
    y, x = np.mgrid[:11, :11]
    np.testing.assert_array_equal(mask, (x - 5) ** 2 + (y - 5) ** 2 <= 2.5**2)
    erased = painted(
        [{"points": [[5.5, 5.5]], "size": 5}, {"points": [[5.5, 5.5]], "size": 3, "erase": True}], (11, 11)
    )
    np.testing.assert_array_equal(erased, mask & ((x - 5) ** 2 + (y - 5) ** 2 > 1.5**2))
    assert not painted([{"points": [[5, 5]], "size": 5}, {"clear": True}], (11, 11)).any()
    assert not painted([{"points": [[-50, -50], [-40, 90]], "size": 5}], (11, 11)).any()
    found = x == 3
    np.testing.assert_array_equal(painted([{"found": 1}], (11, 11), [found]), found)


@pytest.mark.parametrize(
    "strokes",
    [
        None, "x", [1], [{}], [{"points": [], "size": 3}], [{"points": [[1]], "size": 3}],
        [{"points": [["1", 2]], "size": 3}], [{"points": [[1e300, 2]], "size": 3}],
        [{"found": 1}], [{"points": [[1, 2]], "size": -3}], [{"points": [[1, 2]], "size": float("nan")}],
    ],
)  # fmt: skip
def test_strokes_that_no_page_sends_are_refused(strokes):
    with pytest.raises(InputError, match="strokes are not as the page sends them"):
        painted(strokes, (4, 4))


def test_a_room_is_made_once_however_often_it_is_asked(tmp_path):
    from fmkit.app.sessions import Session

    session, made = Session(tmp_path), []
    rooms = [session.room("restore", lambda: made.append(1) or object()) for _ in range(3)]
    assert rooms[0] is rooms[1] is rooms[2]
    assert made == [1]
