"""A tab of a real Chromium on Open WebUI 0.12: what a reader does and sees there, in the reader's words.

Waiting is Playwright's: each action and each expectation waits for what it needs to be there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    StorageState,
    ViewportSize,
    expect,
    sync_playwright,
)

from pipelines.provision.open_webui import OpenWebUI

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",  # Chromium has no sandbox for root
    *("--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WINDOW: ViewportSize = {"width": 1280, "height": 860}
PATIENCE_S = 20
"""For what a busy machine may delay; times that matter are measured by the tests themselves."""


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    found = next(filter(None, map(shutil.which, COMMANDS)), None)
    if found is None:
        pytest.fail(
            "The browser tests need Chromium or Chrome: install one (Debian: apt install chromium) "
            f"so that {' or '.join(COMMANDS)} is found.",
            pytrace=False,
        )
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


def new_window(browser: Browser, url: str, account: OpenWebUI | None = None) -> BrowserContext:
    """A window that shares nothing with others, signed in as `account` if one is given."""
    signed_in: StorageState = {"cookies": [], "origins": []}
    if account:
        signed_in["origins"] = [{"origin": url, "localStorage": [{"name": "token", "value": account.token}]}]
    window = browser.new_context(
        base_url=url,
        viewport=WINDOW,
        device_scale_factor=2,
        locale="en-US",
        color_scheme="light",
        storage_state=signed_in,
    )
    window.set_default_timeout(PATIENCE_S * 1000)
    return window


@dataclass(frozen=True)
class ChatTab:
    """One chat in one tab."""

    page: Page

    @classmethod
    def open(cls, window: BrowserContext) -> ChatTab:
        """A new chat of a signed-in reader."""
        tab = cls(window.new_page())
        cut: list[str] = []
        tab.page.on("requestfailed", lambda request: cut.append(request.failure or ""))
        tab.page.goto("/")
        expect(tab.input.or_(tab.page.get_by_text("500: Internal Error"))).to_be_visible()
        if any("ERR_NETWORK_CHANGED" in failure for failure in cut):
            # Chromium gives up what it fetches when an interface of this machine comes or goes, as containers' do
            tab.page.reload()
        expect(tab.input).to_be_visible()
        return tab

    @classmethod
    def sign_in(cls, window: BrowserContext, email: str, password: str) -> ChatTab:
        """A new chat of a reader who fills in the sign-in form."""
        tab = cls(window.new_page())
        tab.page.goto("/")
        tab.page.locator("#email").fill(email)
        tab.page.locator("#password").fill(password)
        tab.page.keyboard.press("Enter")
        expect(tab.input).to_be_visible()
        return tab

    def choose(self, model: str) -> None:
        """Pick a model by its id in the model selector."""
        self.page.get_by_role("button", name="Selected model").click()
        self.models.and_(self.page.locator(f'[data-value="{model}"]')).click()
        expect(self.models).to_have_count(0)

    def ask(self, question: str) -> None:
        """Type a question and press Enter."""
        self.input.click()
        self.page.keyboard.type(question)
        self.page.keyboard.press("Enter")

    def stop(self) -> None:
        """Press the Stop button."""
        self.page.get_by_role("button", name="Stop", exact=True).click()

    def try_again(self) -> None:
        """Ask for another answer to the newest question."""
        self.finished.click()
        self.page.get_by_text("Try Again", exact=True).click()

    def usage(self) -> Locator:
        """What is shown to who points at the newest answer's information button."""
        self.page.get_by_role("button", name="Info", exact=True).last.hover()
        return self.page.locator(".tippy-content").last

    def citation(self, name: str) -> Locator:
        """The first citation of this name in the newest answer; pressing it shows `passages`."""
        return self.answer.get_by_role("button", name=f"View source: {name}").first

    @property
    def passages(self) -> Locator:
        """The dialog with the name and the passages of a pressed citation."""
        return self.page.get_by_role("dialog").filter(has=self.page.get_by_label("Close citation modal"))

    @property
    def input(self) -> Locator:
        return self.page.locator("#chat-input")

    @property
    def models(self) -> Locator:
        """The models to choose from, while the selector is open."""
        return self.page.get_by_role("listbox", name="Available models").get_by_role("option")

    @property
    def suggestions(self) -> Locator:
        """The questions suggested on an empty chat."""
        return self.page.get_by_role("list", name="Suggested").get_by_role("listitem")

    @property
    def title(self) -> Locator:
        return self.page.locator("#chat-container h1")

    @property
    def answer(self) -> Locator:
        """The text of the newest answer with its citations."""
        return self.page.locator("#response-content-container").last

    @property
    def status(self) -> Locator:
        """The newest status line; pressing it shows all of them."""
        return self.page.get_by_role("button", name="Toggle status history").last

    def lengths(self) -> list[int]:
        """How long the newest answer is, looked at five times a second until it has ended."""
        seen: list[int] = []
        while not self.finished.is_visible():
            seen.append(len(self.answer.inner_text()))
            self.page.wait_for_timeout(200)
        return seen

    @property
    def finished(self) -> Locator:
        """What is shown only when the newest answer has ended."""
        return self.page.get_by_role("button", name="Regenerate").last
