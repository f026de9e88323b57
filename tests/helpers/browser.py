"""Real browsers for the tests of the page, driven by Selenium: Chromium, and iPhones' WebKit."""

import base64
import contextlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

PATIENCE = 120  # seconds that a script may take, on a machine that has much else to do
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


@contextlib.contextmanager
def chromium():
    """Yields a Chromium with a new profile, which logs its console and all requests.

    The test is skipped where there is no Chromium or no driver for it.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs a browser: Chromium or Chrome, and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        browser.set_script_timeout(PATIENCE)
        yield browser


@contextlib.contextmanager
def webkit():
    """Yields WebKit's small browser on a display that nobody sees.

    The test is skipped where there is none, no driver for it or no such display.
    """
    driver, display = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    if not (driver and display):
        pytest.skip("needs WebKit: Debian's packages webkit2gtk-driver and xvfb")
    reader, writer = os.pipe()
    command = [display, "-displayfd", str(writer), "-screen", "0", "1600x1200x24"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as screen:
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as numbers:
            environment = {**os.environ, "DISPLAY": f":{numbers.readline().strip()}"}
        try:
            service = webdriver.WebKitGTKService(driver, env=environment)
            with webdriver.WebKitGTK(service=service) as browser:
                browser.set_script_timeout(PATIENCE)
                yield browser
        finally:
            screen.terminate()


class Page:
    """A page that `page` has written, open in a browser.

    Only Chromium can be told a theme, a language, and that there are fingers; and says what it has
    logged and asked for.
    """

    def __init__(
        self, browser, file, size=(1280, 800), theme="light", language="en", fingers=False
    ):
        self.browser, self.is_chromium = browser, browser.name == "chrome"
        browser.get("about:blank")
        if self.is_chromium:
            self.requested(), self.console()  # what was logged before is not this page's
            scheme = {"name": "prefers-color-scheme", "value": theme}
            agent = self.do("return navigator.userAgent")
            self.cdp("Emulation.setEmulatedMedia", features=[scheme])
            self.cdp("Emulation.setTouchEmulationEnabled", enabled=fingers)
            self.cdp("Network.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
            self.cdp("Storage.clearDataForOrigin", origin="file://", storageTypes="all")
        self.resize(*size)
        browser.get(file.resolve().as_uri())

    def cdp(self, command, **arguments):
        """Returns what a command of the Chrome DevTools Protocol returns."""
        return self.browser.execute_cdp_cmd(command, arguments)

    def resize(self, width, height):
        """Gives the window this size; if a side has less than 600 pixels, it is a phone's."""
        if self.is_chromium:
            size = {"width": width, "height": height, "mobile": min(width, height) < 600}
            self.cdp("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **size)
        else:
            self.browser.set_window_size(width, height)

    def do(self, script, *arguments):
        """Returns what a piece of JavaScript returns in the page."""
        return self.browser.execute_script(script, *arguments)

    def settle(self):
        """Waits until all that has happened is shown: for the frame after the next."""
        self.browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.do("return document.querySelector(arguments[0]).textContent", selector)

    def answer(self):
        """Returns the answer and its probability, as they are shown."""
        return self.text("#answer"), self.text("#probability")

    def seen(self):
        """Returns the image that the network sees, `uint8` [height, width]."""
        return np.uint8(self.do("return Array.from(seen.image)")).reshape(
            self.do("return content.imageStyle.size")
        )

    def click(self, selector):
        self.find(selector).click()
        self.settle()

    def press(self, *keys):
        """Presses keys, on what has the focus; a modifier holds for those after it."""
        self.browser.switch_to.active_element.send_keys(*keys)
        self.settle()

    def draw(self, *strokes):
        """Draws strokes, each a list of points [x, y] in 0..1 of the canvas, with the mouse."""
        left, top, width, height = self.do(
            """
            const canvas = document.getElementById("drawing");
            canvas.scrollIntoView({block: "center"});
            const box = canvas.getBoundingClientRect();
            return [box.left, box.top, box.width, box.height];
            """
        )
        chain = ActionChains(self.browser, duration=0)
        pointer = chain.w3c_actions.pointer_action
        for points in strokes:
            for number, (x, y) in enumerate(points):
                pointer.move_to_location(round(left + x * width), round(top + y * height))
                if number == 0:
                    pointer.pointer_down()
            pointer.pointer_up()
        chain.perform()
        self.settle()

    def canvas_png(self):
        """Returns the bytes of the canvas as a person would save it."""
        url = self.do("return document.getElementById('drawing').toDataURL('image/png')")
        return base64.b64decode(url.partition(",")[2])

    def console(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requested(self):
        """Returns the addresses that were asked for since this was asked before."""
        log = [json.loads(entry["message"]) for entry in self.browser.get_log("performance")]
        events = [entry["message"] for entry in log]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]
