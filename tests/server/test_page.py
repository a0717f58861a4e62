"""The page in a real browser: Chromium, headless, which may talk to nobody but the server."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data import weight
from tests.server.conftest import live
from tests.server.stand_ins import FixedAge, FixedGender, cached_attributes
from tests.stand_ins import ColorModel

playwright = pytest.importorskip("playwright.sync_api")
playwright.expect.set_options(timeout=60_000)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]
FILLED = "#model_name option:nth-child(4)"
#: Screenshots for a look at the page are put here.
SHOTS = os.environ.get("DEEPFACE_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, colors: ColorModel) -> Iterator[str]:
    weight("face_detection_yunet_2023mar.onnx")
    monkeypatch.setenv("DEEPFACE_SQLITE_PATH", str(tmp_path / "faces.db"))
    monkeypatch.delenv("DEEPFACE_POSTGRES_URI", raising=False)
    cached_attributes(monkeypatch, Age=FixedAge(), Gender=FixedGender())
    with live() as (made, _):
        yield made


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """The page, loaded; whatever it says on its console or asks elsewhere is a failure."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    made = context.new_page()
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("request", lambda asked: said.append(asked.url) if elsewhere(asked.url, url) else None)
    made.goto(url)
    made.wait_for_selector(FILLED, state="attached")
    yield made
    context.close()
    assert [text for text in said if "400 (Bad Request)" not in text] == []


def elsewhere(asked: str, url: str) -> bool:
    return not asked.startswith((url, "blob:", "data:"))


def run(page: Any, function: str, files: list[Path], **fields: str) -> None:
    page.select_option("#function", function)
    for name, value in fields.items():
        if page.evaluate("name => document.getElementById(name).tagName", name) == "SELECT":
            page.select_option(f"#{name}", value)
        else:
            page.fill(f"#{name}", value)
    page.set_input_files("#files", [str(file) for file in files])
    page.press("#run", "Enter")
    playwright.expect(page.locator("#status")).to_have_text(re.compile("^Done"))
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{function}.png", full_page=True)


def test_faces_are_drawn_over_the_pictures(page: Any, pictures: Path) -> None:
    files = [pictures / "a.jpg", pictures / "c.jpg", pictures / "noface.png"]
    run(page, "extract_faces", files, detector_backend="yunet")
    sections = page.locator(".picture")
    assert sections.count() == 3
    rect = sections.nth(0).locator("svg rect")
    assert [rect.get_attribute(k) for k in ("x", "y", "width", "height")] == [
        "88", "58", "99", "127",
    ]  # fmt: skip
    assert sections.nth(0).locator("svg circle").count() == 2
    assert '"confidence": 0.93' in sections.nth(0).locator("pre").text_content()
    assert sections.nth(2).locator("svg").count() == 0
    assert "could not be detected" in sections.nth(2).locator(".error").text_content()


def test_attributes_and_vectors_are_told(page: Any, pictures: Path) -> None:
    run(page, "represent", [pictures / "a.jpg"], detector_backend="skip", model_name="Dlib")
    assert "128 numbers" in page.locator("pre").text_content()


def test_two_pictures_are_compared(page: Any, pictures: Path) -> None:
    files = [pictures / "a.jpg", pictures / "b.jpg"]
    run(page, "verify", files, detector_backend="yunet", model_name="Dlib")
    told = page.locator(".told").nth(0).text_content()
    assert "Different persons: distance 0.0742" in told and "threshold 0.07" in told
    assert page.locator("svg rect").count() == 2


def test_people_are_registered_and_found(page: Any, pictures: Path) -> None:
    chosen = {"detector_backend": "yunet", "model_name": "Dlib"}
    run(page, "register", [pictures / "a.jpg"], **chosen, img_name="Abel <b>P</b>")
    assert "1 stored" in page.locator(".told").text_content()
    page.reload()
    page.wait_for_selector(FILLED, state="attached")
    run(page, "search", [pictures / "a.jpg"], **chosen)
    assert page.locator("svg text").text_content() == "Abel <b>P</b>"  # text, not markup
    assert "Abel <b>P</b>: distance 0.000" in page.locator(".told li").nth(0).text_content()


def test_pictures_can_be_dropped(page: Any, pictures: Path) -> None:
    data = (pictures / "a.jpg").read_bytes()
    page.evaluate(
        """bytes => {
          const file = new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" });
          const transfer = new DataTransfer();
          transfer.items.add(file);
          document.getElementById("drop").dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        list(data),
    )
    assert page.locator("h2").text_content() == "dropped.jpg"
    assert page.is_enabled("#run")


def test_only_fields_of_the_function_are_shown(page: Any) -> None:
    for function, shown in (
        ("extract_faces", set()),
        ("verify", {"model_name", "distance_metric"}),
        ("register", {"model_name", "img_name"}),
        ("search", {"model_name", "distance_metric", "similarity_search"}),
    ):
        page.select_option("#function", function)
        names = ("model_name", "distance_metric", "img_name", "similarity_search")
        assert {name for name in names if page.is_visible(f"#{name}")} == shown


def test_it_works_by_keyboard(page: Any, pictures: Path) -> None:
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"files", "function", "detector_backend", "token", "align"} <= reached
    page.set_input_files("#files", pictures / "a.jpg")  # the dialog is the browser's own
    page.focus("#detector_backend")
    page.keyboard.type("yunet")
    for _ in range(9):  # as far as the button
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "run":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("svg rect", state="attached")
    page.keyboard.press("Tab")  # the answer can be scrolled
    assert page.evaluate("document.activeElement.tagName") == "PRE"


def test_a_phone_needs_no_sideways_scrolling(browser: Any, url: str, pictures: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, device_scale_factor=2)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(FILLED, state="attached")
    run(page, "extract_faces", [pictures / "a.jpg"], detector_backend="yunet")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/phone.png", full_page=True)
    context.close()


def test_the_list_of_routes(browser: Any, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/docs")
    page.wait_for_selector("h2")
    titles = page.locator("h2").all_text_contents()
    assert {"POST /represent", "POST /search", "GET /metrics"} <= set(titles)
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/docs.png")
    page.close()


def test_a_token_is_asked_for(browser: Any, pictures: Path) -> None:
    with live(tokens="s3cret") as (url, _):
        page = browser.new_page()
        page.goto(url)
        playwright.expect(page.locator("#status")).to_contain_text("token")
        page.fill("#token", "s3cret")
        page.press("#token", "Tab")
        page.wait_for_selector(FILLED, state="attached")
        page.close()
