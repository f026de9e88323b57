"""What a page looks like, and how fast it answers.

    python -m tests.tables.page_in_browser pictures PAGE FOLDER
    python -m tests.tables.page_in_browser latency PAGE

PAGE is a file that `python -m lowlevel_mnist.page` has written. Both need Chromium, and `latency`
also measures WebKit where there is one.
"""

import contextlib
import pathlib
import statistics
import sys

import pytest

from tests.helpers.browser import Page, chromium, webkit
from tests.helpers.handwriting import written

SIZES = ((1280, 800), (820, 1180), (390, 844), (740, 360))
THEMES = ("light", "dark")
LANGUAGES = ("en", "ko")
MOVEMENTS = 300

# Notes when a movement of the pen arrives, and when the bars have been set for it.
STOPWATCH = """
window.arrived = null;
window.latencies = [];
const canvas = document.getElementById("drawing");
canvas.addEventListener("pointermove", () => (window.arrived ??= performance.now()), true);
new MutationObserver(() => {
  if (window.arrived !== null) {
    window.latencies.push(performance.now() - window.arrived);
    window.arrived = null;
  }
}).observe(document.getElementById("classes"), {attributes: true, subtree: true});
"""


def take_pictures(file, folder):
    """Saves the page with a 3 drawn on it, in all sizes, themes and languages."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for size in SIZES:
            for theme in THEMES:
                for language in LANGUAGES:
                    fingers = size[0] < 1000
                    page = Page(browser, file, size, theme, language, fingers)
                    page.draw(*written(3, 7, seed=3, size=0.7, step=1))
                    page.do("scrollTo(0, 0)")
                    name = f"{size[0]}x{size[1]}-{theme}-{language}.png"
                    browser.save_screenshot(folder / name)
                    print(folder / name)


def measure_latency(file):
    """Prints how long the bars take to follow a movement of the pen, in each browser there is."""
    for engine in (chromium, webkit):
        with contextlib.suppress(pytest.skip.Exception):
            measure_latency_in(engine, file)


def measure_latency_in(engine, file):
    with engine() as browser:
        page = Page(browser, file)
        page.do(STOPWATCH)
        digit = 0
        while (count := page.do("return latencies.length")) < MOVEMENTS:
            page.click("#clear")
            page.draw(*written(digit % 10, digit, seed=0))
            digit += 1
        found = page.do("return latencies")[:count][:MOVEMENTS]
    print(
        f"{engine.__name__}: {MOVEMENTS} movements of the pen, milliseconds from the event to the "
        f"bars: median {statistics.median(found):.1f}, worst {max(found):.1f}"
    )


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    commands = {"pictures": take_pictures, "latency": measure_latency}
    commands[command](*map(pathlib.Path, paths))
