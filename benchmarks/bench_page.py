"""What the page takes: start, weight, a restoration beside the library's, previews, a list, twenty large uploads.

    pip install -e .[dev]
    python benchmarks/bench_page.py

In Chromium, as a person would see it. Start: from the command to a page that can be used, `fmkit app` a process, the
browser running. A restoration of 512 x 512 with four painted strokes is timed from the press to the finished page, by
requests, and beside it `restore_image` of the mask that the page gives; five pairs. Previews are those that the page
asked for and got. Of twenty uploads of ten megapixels each is restored, and the memory is the server's peak.
"""

import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tabulate import tabulate

from fmkit.datasets import load_harvesters
from fmkit.restore import restore_image
from fmkit.restore.picture_file import read_picture, write_view

sys.path.insert(0, str(Path(__file__).parent.parent))  # the tests know how to ask the page

from tests.app_page import browser
from tests.app_scenes import recommend_columns, recommend_empty
from tests.test_app import Asker

PAIRS, UPLOADS = 5, 20


def start():
    """`fmkit app` and its address."""
    run = [sys.executable, "-c", "from fmkit.cli import main; main()", "app", "--no-browser", "--port", "0"]
    server = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (found := re.search(r"http://[\d.:]+", server.stdout.readline())):
        if server.poll() is not None:
            raise SystemExit("fmkit app ended")
    return server, found[0]


def opened(chromium, address):
    """A page, and the bytes that it took."""
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    loaded = []
    page.on("response", lambda answer: loaded.append(answer))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    weight = sum(len(answer.body()) for answer in loaded if "/events" not in answer.url and answer.ok)
    return page, weight


def restored(page, path, folder):
    """Seconds of the page and of the library, and the longest wait for a preview."""
    page.set_input_files("#pictures", str(path))
    page.wait_for_selector("#go:enabled:visible")
    page.locator("#size").fill("20")
    box = page.locator("#stage").bounding_box()
    for k in range(4):
        y = box["y"] + box["height"] * (0.2 + 0.2 * k)
        page.mouse.move(box["x"] + box["width"] * 0.4, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, y + 10, steps=8)
        page.mouse.up()
    times, ended = [], []
    page.on("response", lambda answer: times.append(time.monotonic()) if "/preview" in answer.url else None)
    page.on("request", lambda asked: ended.append(time.monotonic()) if "/after" in asked.url else None)
    begun = time.monotonic()
    page.click("#go")
    page.wait_for_selector("#done:visible", timeout=600_000)
    waits = np.diff([begun, *times, ended[0]])
    with page.expect_download() as told:
        page.click("#get-mask")
    told.value.save_as(folder / "mask.png")
    picture, lost = read_picture(path).pixels, read_picture(folder / "mask.png").pixels == 255
    alone = time.monotonic()
    restore_image(picture, lost)
    alone = time.monotonic() - alone
    page.click("#queue li:last-child button[aria-label^='Remove']")
    return ended[0] - begun, alone, waits.max()


def newcomers_list(page):
    """Seconds from the tenth rating to the list."""
    recommend_empty(page)
    recommend_columns(page)
    page.click("#learn")
    page.wait_for_selector("#to-rate li", timeout=120_000)
    answers = []
    page.on("response", lambda answer: answers.append((answer.url, time.monotonic())))
    lines = page.query_selector_all("#to-rate li")
    for line in lines[:9]:
        line.query_selector("input[value='4']").check(force=True)
    page.wait_for_timeout(2000)
    answers.clear()
    begun = time.monotonic()
    lines[9].query_selector("input[value='5']").check(force=True)
    page.wait_for_selector("#n-rated:has-text('10 rated')")
    page.wait_for_timeout(1000)
    return answers[-1][1] - begun


def uploads(server, address, folder):
    """Seconds until all are taken, until all are done, and the server's peak of memory in GB."""
    whole = load_harvesters().picture
    large = np.tile(whole, (3, 4, 1))[:2500, :4000]
    write_view(folder / "large.jpg", [large])
    body, asker = (folder / "large.jpg").read_bytes(), Asker(address)
    watched = asker.watch()
    begun = time.monotonic()
    with ThreadPoolExecutor(UPLOADS) as pool:
        list(pool.map(lambda i: asker.ask("PUT", f"/pictures?name={i}.jpg", body), range(UPLOADS)))
    taken = time.monotonic() - begun
    wishes = {"strokes": [{"points": [[500, 500], [700, 600]], "size": 20}], "quality": "fast", "certainty": False}
    for number in range(1, UPLOADS + 1):
        asker.ask("POST", f"/pictures/{number}/restore", wishes)
    while (states := {one["state"] for one in asker.facts()["restore"]}) != {"done"}:
        if "failed" in states:
            raise SystemExit("an upload failed")
        time.sleep(0.5)
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1]) / 1e6
    watched[1].close()
    return taken, time.monotonic() - begun, peak


def main():
    """Print them."""
    with browser() as chromium, tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), []
        begun = time.monotonic()
        server, address = start()
        page, weight = opened(chromium, address)
        rows += [["start to a page that can be used, s", time.monotonic() - begun, "6"]]
        rows += [["weight of the page, kB", weight / 1000, "3,000"]]
        write_view(folder / "small.png", [load_harvesters().picture[200:712, 200:712]])
        restored(page, folder / "small.png", folder)  # compiles what the library needs
        pairs = np.array([restored(page, folder / "small.png", folder) for _ in range(PAIRS)])
        rows += [["512 x 512, balanced: page / library, middle of 5", np.median(pairs[:, 0] / pairs[:, 1]), "1.15"]]
        rows += [["the longest wait for a preview there, s", pairs[:, 2].max(), "2"]]
        rows += [["a newcomer's list after the tenth rating, s", newcomers_list(page), ".3"]]
        taken, done, peak = uploads(server, address, folder)
        rows += [[f"{UPLOADS} uploads of 10 megapixels taken, s", taken, ""], ["all of them restored, s", done, ""]]
        rows += [["the server's peak of memory, GB", peak, "4"]]
        server.terminate()
        server.wait()
    print(tabulate(rows, ["", "measured", "asked: at most"], floatfmt=".2f"))


if __name__ == "__main__":
    main()
