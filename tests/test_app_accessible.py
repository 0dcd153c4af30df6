"""axe-core over every room and state of the page: light and dark, on a telephone, a laptop and a wide screen."""

import pytest

from tests.app_scenes import SCENES

pytestmark = pytest.mark.browser

LOOKS = (("light", 400), ("light", 1280), ("dark", 2000), ("dark", 400))  # colours go by the one, layout by the other


@pytest.mark.parametrize("room", list(SCENES))
def test_axe_finds_nothing(chromium, address, room):
    if room == "classify":
        pytest.importorskip("torch", reason="nets need the extra fmkit[deep]")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    found = []
    for scene in SCENES[room]:
        scene(page)
        for scheme, width in LOOKS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(100)
            results = axe.Axe().run(page).response
            assert len(results["passes"]) > 10
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found += [
                f"{scene.__name__}, {scheme}, {width} pixels: {one['id']} ({one['impact']}), {node['html']}"
                for one in results["violations"]
                for node in one["nodes"]
            ]
    context.close()
    assert found == []
