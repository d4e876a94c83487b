"""compose/tls.yml on this machine: names under `localhost` are given certificates by Caddy's own authority.

A certificate of a public authority, and HTTP/3, are not shown. The ports are the real ones, 80 and 443.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import bcrypt
import httpx
import pytest
from playwright.sync_api import Browser, HttpCredentials, expect

from pipelines.provision.n8n_credentials import FORM_USER
from pipelines.provision.open_webui import OpenWebUI
from tests.compose.asking import streamed
from tests.compose.conftest import QUESTION
from tests.compose.deployment import Deployment, Images, deployed
from tests.compose.replicas import until
from tests.e2e.test_upload_and_sync_workflows import LOCKER, send

pytestmark = pytest.mark.stack

CHAT, EDITOR = "localhost", "n8n.localhost"
OPERATOR = ("operator", "opens the door of the editor")


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, images: Images, shared_stack_frozen: None) -> Iterator[Deployment]:
    settings = {
        "SITE_ADDRESS": CHAT,
        "N8N_SITE_ADDRESS": EDITOR,
        "EDITOR_USER": OPERATOR[0],
        "EDITOR_PASSWORD_HASH": bcrypt.hashpw(OPERATOR[1].encode(), bcrypt.gensalt(10)).decode(),
    }
    project = f"{request.config.getoption('--project')}-tls"
    with deployed(project, overlays=("tls",), images=images, **settings) as stack:
        stack.up()
        yield stack


@contextmanager
def site(stack: Deployment, name: str) -> Iterator[httpx.Client]:
    """Somebody for whom this name leads here, and who trusts Caddy's authority and no other."""
    context = ssl.create_default_context(cadata=authority(stack))

    def by_name(request: httpx.Request) -> None:
        request.headers["Host"] = name
        request.extensions["sni_hostname"] = name

    with httpx.Client(base_url="https://127.0.0.1", verify=context, event_hooks={"request": [by_name]}) as client:
        yield client


def authority(stack: Deployment) -> str:
    return stack.exec("proxy", "cat", "/data/caddy/pki/authorities/local/root.crt")


def cookies(answer: httpx.Response) -> dict[str, str]:
    """What is set, by name."""
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


def test_only_the_proxy_is_published(stack: Deployment) -> None:
    published = {one.service: one.published for one in stack.containers() if one.published}
    assert {service: {at.rpartition(":")[2] for at in found} for service, found in published.items()} == {
        "proxy": {"80", "443"}
    }


def test_who_comes_without_tls_is_led_to_it(stack: Deployment) -> None:
    for name in (CHAT, EDITOR):
        answer = httpx.get("http://127.0.0.1/", headers={"Host": name})
        assert answer.is_redirect
        assert answer.headers["location"] == f"https://{name}/"


def test_a_reader_signs_in_and_is_answered_and_the_cookie_is_for_tls_alone(
    stack: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = {"email": "admin@example.org", "password": stack.settings["OPEN_WEBUI_ADMIN_PASSWORD"]}
    with site(stack, CHAT) as browser:
        assert "Open WebUI" in browser.get("/auth").raise_for_status().text
        signed_in = browser.post("/api/v1/auths/signin", json=account).raise_for_status()
    assert "secure" in cookies(signed_in)["token"].lower()
    assert "httponly" in cookies(signed_in)["token"].lower()

    trusted = stack.folder / "authority.pem"
    trusted.write_text(authority(stack))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with OpenWebUI(f"https://{CHAT}", **account) as admin:

        def cited() -> bool:
            return "source" in [part for _, part, _ in streamed(admin, QUESTION)]

        until(cited, within_s=120)


def test_the_editor_asks_for_its_own_password_before_it_is_seen(stack: Deployment) -> None:
    owner = {"emailOrLdapLoginId": "owner@example.org", "password": stack.settings["N8N_OWNER_PASSWORD"]}
    with site(stack, EDITOR) as browser:
        for path in ("/", "/rest/settings", "/api/v1/workflows", "/favicon.ico"):
            assert browser.get(path).status_code == 401, path
            assert browser.get(path, auth=(OPERATOR[0], "wrong")).status_code == 401, path

        browser.auth = httpx.BasicAuth(*OPERATOR)
        assert "n8n" in browser.get("/").raise_for_status().text
        signed_in = browser.post("/rest/login", json=owner, headers={"browser-id": "ragline"}).raise_for_status()
        assert "secure" in cookies(signed_in)["n8n-auth"].lower()


def test_webhooks_cannot_be_called_from_outside_and_the_form_has_its_own_password(stack: Deployment) -> None:
    with site(stack, EDITOR) as browser:
        for path in ("/webhook/answer-question", "/webhook-test/answer-question", "/metrics", "/healthz"):
            assert browser.get(path, auth=OPERATOR).status_code == 404, path
        assert browser.get("/form/upload-document").status_code == 401
        assert browser.get("/form/upload-document", auth=OPERATOR).status_code == 401
        password = stack.settings["UPLOAD_FORM_PASSWORD"]
        assert "Add" in browser.get("/form/upload-document", auth=(FORM_USER, password)).raise_for_status().text


@pytest.mark.browser
def test_the_form_works_to_its_end_for_who_knows_its_password_alone(stack: Deployment, chromium: Browser) -> None:
    account: HttpCredentials = {"username": FORM_USER, "password": stack.settings["UPLOAD_FORM_PASSWORD"]}
    # Chromium trusts no authority of ours; the certificate is looked at by the other tests
    with chromium.new_context(
        base_url=f"https://{EDITOR}", http_credentials=account, ignore_https_errors=True
    ) as window:
        page = window.new_page()
        page.goto("/form/upload-document")
        send(page, {"Schließfächer.md": LOCKER}, readers="Everyone")
        expect(page.locator("body")).to_contain_text("Schließfächer.md is ready: 1 passage.", timeout=60_000)
