"""The page in Chromium: real uploads, broken ones, screenshots' widths, labels for screen readers.

The service runs as a process of its own, as `keras-cmg serve` starts it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.serving.conftest import film, picture, tone

pytestmark = pytest.mark.slow
pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), "")
MAX_BYTES = 2**20
SECONDS = 60


@pytest.fixture(scope="module")
def address(run_folder: Path, clips_folder: Path, tmp_path_factory: Any) -> Iterator[str]:
    """Where the page is."""
    command = [sys.executable, "-m", "recipes.console", "serve", "--run", str(run_folder)]
    command += ["--ui"]
    command += ["--port", "0", "--media", str(clips_folder), "--max-bytes", str(MAX_BYTES)]
    command += ["--workers", "1"]
    path = os.pathsep.join(filter(None, sys.path))
    with (
        (tmp_path_factory.mktemp("server") / "log.txt").open("w+") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        ) as server,
    ):
        try:
            found = re.search(r"http://\S+/", server.stdout.readline())  # type: ignore[union-attr]
            log.seek(0)
            assert found, log.read()
            yield found[0]
            assert server.poll() is None, "the server died"
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode == 130


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser."""
    if not CHROMIUM:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, which loads nothing from elsewhere and raises no error in a script."""
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    opened.set_default_timeout(SECONDS * 1000)
    addresses: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: addresses.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    opened.goto(address)
    opened.wait_for_selector("#answer h2")
    yield opened
    opened.close()
    assert errors == []
    here = (address, "blob:", "data:", address.replace("http:", "ws:"))
    assert [url for url in addresses if not url.startswith(here)] == []


def ask(address: str, body: Any = None) -> tuple[int, str]:
    """Status and body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_no_file_is_read_that_was_not_uploaded(address: str, tmp_path: Path) -> None:
    """A client of the page's own interface can name any path of the server."""
    private = tone(tmp_path / "private.wav", 0)
    assert ask(f"{address}gradio_api/file={private}")[0] == 403
    given = {"path": str(private), "meta": {"_type": "gradio.FileData"}}
    body = {"data": [given, "its picture", 3], "fn_index": 0, "session_hash": "s"}
    assert ask(f"{address}gradio_api/queue/join", body)[0] == 200
    _, events = ask(f"{address}gradio_api/queue/data?session_hash=s")
    (done,) = (line for line in events.splitlines() if "process_completed" in line)
    assert '"success":false' in done
    assert "Nearest to" not in done


def upload(page: Any, path: Path) -> None:
    """Drops a file, in place of an earlier one."""
    remove = page.locator("#drop button[aria-label='Clear'], #drop button[aria-label='Remove']")
    if remove.count():
        remove.first.click()
    page.set_input_files("#drop input[type=file]", str(path))


def answer_to(page: Any, name: str) -> Any:
    """The answer, once it is that to a query."""
    heading = page.locator("#answer h2", has_text=f"Nearest to “{name}”")
    heading.wait_for()
    return page.locator("#answer")


def test_a_sound_a_picture_and_a_video_find_clips(page: Any, tmp_path: Path) -> None:
    for path in (
        tone(tmp_path / "bark.wav", 0),
        picture(tmp_path / "shore.png", 1),
        film(tmp_path / "walk.mp4", 2),
    ):
        upload(page, path)
        answer = answer_to(page, path.name)
        headings = answer.locator("h3").all_inner_texts()
        assert headings == ["Sounds", "Pictures", "Texts"]
        assert answer.locator(".cmg-clips").nth(0).locator("audio").count() == 6
        assert answer.locator(".cmg-clips").nth(1).locator("img").count() == 6
        assert answer.locator(".cmg-clips").nth(2).locator("blockquote").count() == 6
        text = answer.inner_text()
        code = re.search(r"It has code (\d+)", text)
        assert code and re.search(r"How sure:\s+\d+ of the 18 clips below are labelled", text)
        assert re.search(rf"code {code[1]} is \d+ % nearer than the next one", text)
        same = answer.locator(".cmg-same").all_inner_texts()
        assert set(same) <= {f"✓ same code {code[1]}"}
        # The map marks the code of the query, and the menu below shows what falls on it.
        marked = page.locator("#map .cmg-query title")
        if "no indexed clip" not in text:
            assert marked.text_content().startswith(f"code {code[1]},")
            page.locator("#of-code p", has_text=f"Code {code[1]} is").wait_for()
    # What was shown can be seen and heard.
    image = page.locator("#answer .cmg-clips img").first
    image.scroll_into_view_if_needed()
    page.wait_for_function(
        "image => image.complete && image.naturalWidth > 0", arg=image.element_handle()
    )
    sound = page.locator("#answer .cmg-clips audio").first
    sound.evaluate("async sound => { await sound.play(); }")
    assert sound.evaluate("sound => sound.duration") == pytest.approx(0.25, abs=0.01)


def test_the_own_sound_of_an_indexed_clip_comes_first(page: Any, clips_folder: Path) -> None:
    upload(page, clips_folder / "sea3.wav")
    first = answer_to(page, "sea3.wav").locator(".cmg-clips").nth(0).locator("li").first
    assert "similarity 1.00" in first.inner_text()
    assert "same code" in first.inner_text()


def test_the_sound_of_a_video_is_another_query_than_its_picture(page: Any, tmp_path: Path) -> None:
    page.get_by_label("its sound").check()
    upload(page, film(tmp_path / "walk.mp4", 2))
    assert "audio" in answer_to(page, "walk.mp4").locator(".cmg-preview").inner_html()


def test_words_find_clips_by_the_keyboard_alone(page: Any) -> None:
    page.get_by_label("or write words").focus()
    page.keyboard.type("a dog number 1")
    page.keyboard.press("Enter")
    answer = answer_to(page, "a dog number 1")
    assert "similarity 1.00" in answer.locator(".cmg-clips").nth(2).locator("li").first.inner_text()


def test_markup_and_templates_in_words_are_shown_as_they_are(page: Any) -> None:
    words = "a dog <img src=x onerror=alert(1)> ${alert(1)} {{7*7}} <b>"
    page.get_by_label("or write words").fill(words)
    page.get_by_role("button", name="Search").click()
    answer_to(page, words)


BROKEN = {
    "truncated.wav": (lambda good: good[: len(good) // 2], "is truncated"),
    "empty.wav": (lambda good: b"", "is empty"),
    "renamed.png": (lambda good: good, "is named .png but holds WAV"),
    "noise.mp4": (lambda good: bytes(range(256)) * 40, "is named .mp4 but holds"),
    "<img src=x onerror=alert(1)>.wav": (lambda good: good[:99], "is truncated"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_uploads_get_a_reason_and_the_next_is_answered(
    page: Any, tmp_path: Path, name: str
) -> None:
    damage, reason = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(damage(tone(tmp_path / "good.wav", 0).read_bytes()))
    upload(page, path)
    alert = page.locator("#answer [role=alert]")
    alert.wait_for()
    assert reason in alert.inner_text()
    upload(page, tmp_path / "good.wav")
    answer_to(page, "good.wav")


def test_a_file_above_the_limit_is_refused(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(bytes(MAX_BYTES + 1))
    upload(page, path)
    page.get_by_text(re.compile("exceeds|too large|maximum", re.IGNORECASE)).first.wait_for()
    page.reload()
    page.wait_for_selector("#answer h2")
    upload(page, tone(tmp_path / "good.wav", 0))
    answer_to(page, "good.wav")


def test_nothing_given_gets_a_reason(page: Any) -> None:
    page.get_by_role("button", name="Search").click()
    page.locator("#answer [role=alert]", has_text="Drop a file or write some words").wait_for()


@pytest.mark.parametrize("width", [1300, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(
    page: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    upload(page, tone(tmp_path / "bark.wav", 0))
    answer_to(page, "bark.wav")
    page.get_by_text(re.compile("All .* codes in use")).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("KERAS_CMG_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/page-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.wait_for_selector("#answer h2")
    upload(page, tone(tmp_path / "bark.wav", 0))
    answer_to(page, "bark.wav")
    page.wait_for_timeout(1000)
    found = {
        (violation["id"], node["html"][:200])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    }
    assert found == set()
