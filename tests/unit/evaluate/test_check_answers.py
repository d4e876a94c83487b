"""What makes an answer right: the fact in it, its citations, and declining where there is none."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from pipelines.answer.openai_format import completion_body
from pipelines.answer.prompt import NOT_FOUND
from pipelines.answer.sources import to_source
from pipelines.domain import Citation, Message, Question, User
from pipelines.errors import InvalidRequest, ModelUnavailable, Unauthorized, Unavailable
from pipelines.evaluate.answer_facts import declines, says
from pipelines.evaluate.answer_sources import GatewayAnswers
from pipelines.evaluate.answer_verdict import CitedPage, GivenAnswer, cited_numbers, gives_as_current, judge
from pipelines.evaluate.check_answers import check_answers, write_check
from pipelines.evaluate.questions import GoldenQuestion, RightPlace
from tests.fakes.served import served

HOTEL = GoldenQuestion(
    "hotel",
    "What is the hotel limit in Lisbon?",
    "contradiction",
    (RightPlace("travel-2026.pdf", 2),),
    fact="155 EUR",
    older_fact="125 EUR",
    older=RightPlace("travel-2024.pdf", 1),
)
PRICE = GoldenQuestion("price", "What does it cost?", "unanswerable", ())
BONUS = GoldenQuestion("bonus", "What is the bonus?", "single", (RightPlace("people/bonus.docx"),), group="people")
PAGES = {1: CitedPage("travel-2026.pdf", 2), 2: CitedPage("travel-2024.pdf", 1), 3: CitedPage("leave.md", None)}


def answer(text: str) -> GivenAnswer:
    return GivenAnswer(text, PAGES, 1.0)


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("1,800 EUR", "The budget is 1 800 € a year [1]."),
        ("1,800 EUR", "Das Budget beträgt 1.800 Euro [1]."),
        ("0.38 EUR", "Es werden 0,38 € je Kilometer gezahlt."),
        ("€30", "It costs 30 EUR."),
        ("30 days", "within **30 days**[2] of the trip"),
        ("30 days", "a 30-day limit"),
        ("one hour", "Report it within 1 hour."),
        ("Twenty-six", "There were 26 of them."),
        ("three months", "after 3 months"),
        ("12 %", "It is 12 percent."),
        ("25th", "on the 25 of the month"),
        ("14 November 2028", "It is valid until November 14, 2028."),
        ("0.5 to 70", "0.5–70 m"),
        ("9:30-13:00", "from 9:30 until 13:00"),
        ("240.00", "The surcharge is CHF 240 per night."),
        ("134 °C", "at 134 degrees Celsius"),
        ("18 min", "18 minutes"),
        ("-1", "on floor -1"),
        ("carbon dioxide", "Carbon-dioxide extinguishers must not be used."),
    ],
)
def test_a_fact_is_said_in_any_spelling(fact: str, text: str) -> None:
    assert says(fact, text)


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("30 days", "130 days"),
        ("30 days", "30 weeks, not days"),
        ("1,800 EUR", "1.8 EUR"),
        ("0.38 EUR", "38 EUR"),
        ("3", "see [3]"),
        ("15 EUR", "15.50 EUR"),
        ("-1", "on floor 1"),
        ("one hour", "two hours"),
    ],
)
def test_another_fact_is_not_it(fact: str, text: str) -> None:
    assert not says(fact, text)


@pytest.mark.parametrize(
    "text",
    [
        NOT_FOUND,
        f'"{NOT_FOUND}"',
        "Ich konnte das in Ihren Dokumenten nicht finden.",
        "Je n’ai pas trouvé cela dans vos documents.",
        "No he podido encontrar esto en sus documentos.",
    ],
)
def test_the_sentence_that_nothing_was_found_declines_in_any_language(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{NOT_FOUND} The closest is a limit of 155 EUR [1].",
        "I could not find this for Rome, but in Lisbon it is 155 EUR.  The limit is per night.",
        "I could not find the price [1].",
        "The limit is 155 EUR.",
    ],
)
def test_an_answer_that_quotes_does_not_decline(text: str) -> None:
    assert not declines(text)


def test_citation_numbers_are_read_once_each() -> None:
    assert cited_numbers("A [1][2]. B [2, 4]. C [1].") == [1, 2, 4]


def test_a_current_cited_fact_passes() -> None:
    verdict = judge(HOTEL, answer("The limit is 155 EUR [1]. An older policy said 125 EUR [2]."))
    assert verdict.passed
    assert (verdict.cited_right, verdict.cited_wrong, verdict.cited_nothing) == (1, 0, 0)


@pytest.mark.parametrize(
    ("text", "failures"),
    [
        ("The limit is 125 EUR [1].", ("fact missing", "outdated fact")),
        ("The limit is 125 EUR [2]. It is 155 EUR [1].", ("outdated fact",)),
        ("The limit is 155 EUR [3].", ("right page not cited",)),
        ("The limit is 155 EUR.", ("right page not cited",)),
        ("The limit is 155 EUR [1][9].", ("cites what is not there",)),
        (NOT_FOUND, ("declined",)),
        ("", ("fact missing", "right page not cited")),
    ],
)
def test_what_is_wrong_is_named(text: str, failures: Sequence[str]) -> None:
    assert tuple(judge(HOTEL, answer(text)).failures) == failures


def test_numbers_that_lead_elsewhere_are_counted() -> None:
    verdict = judge(HOTEL, answer("The limit is 155 EUR [1][3]."))
    assert verdict.passed
    assert verdict.cited_wrong == 1


@pytest.mark.parametrize(
    ("text", "current"),
    [
        ("It is 155 EUR. The older edition differs: 125 EUR.", False),
        ("- 155 EUR [1]\n- An older document differs: 125 EUR [2]", False),
        ("It is 155 EUR. It is 125 EUR.", True),
        ("125 EUR", True),
        ("It is 155 EUR.", False),
    ],
)
def test_an_older_fact_must_be_called_one(text: str, current: bool) -> None:
    assert gives_as_current("125 EUR", "155 EUR", text) is current


def test_what_has_no_answer_must_be_declined() -> None:
    assert judge(PRICE, answer(NOT_FOUND)).passed
    assert judge(PRICE, answer("It costs 5 EUR [1].")).failures == ("did not decline",)


def test_a_page_is_found_by_path_name_and_pattern() -> None:
    for place in ("people/bonus.docx", "bonus.docx", "*bonus*"):
        question = replace(BONUS, right=(RightPlace(place),))
        for document in ("people/bonus.docx", "bonus.docx"):
            given = GivenAnswer("12 % [1]", {1: CitedPage(document, None)}, 1.0)
            assert judge(question, given).citations_right, (place, document)


class _Script:
    """Answers from a list, by question and whether the asker is in a group; a plain Answers."""

    knows_groups = True

    def __init__(self, texts: dict[tuple[str, bool], str]) -> None:
        self._texts = texts

    async def answer(self, question: Question) -> GivenAnswer:
        return answer(self._texts[question.text, bool(question.user.groups)])


async def test_a_question_for_a_group_is_asked_by_an_outsider_too(tmp_path: Path) -> None:
    bonus = {(BONUS.text, True): "12 % [1]", (BONUS.text, False): NOT_FOUND}
    scripted = _Script({**bonus, (HOTEL.text, False): "155 EUR [1]", (PRICE.text, False): "5 EUR [3]"})
    told: list[int] = []
    check = await check_answers(
        [replace(BONUS, right=(RightPlace("travel-2026.pdf"),)), HOTEL, PRICE],
        scripted,
        names=("folder", "file", "script"),
        at_once=2,
        report=lambda done, total, name: told.append(done),
    )
    assert [(row.kind, row.passed.count, row.passed.of) for row in check.summaries] == [
        ("single", 1, 1),
        ("closed", 1, 1),
        ("contradiction", 1, 1),
        ("unanswerable", 0, 1),
        ("all", 3, 4),
    ]
    assert [verdict.id for verdict in check.failures] == ["price"]
    assert check.share("declined").share == 0.5
    assert check.share("passed").low == pytest.approx(0.3006)  # Wilson's interval of 3 in 4
    assert told == [1, 2, 3, 4]
    write_check(check, tmp_path / "new" / "answers.json")
    assert orjson.loads((tmp_path / "new" / "answers.json").read_bytes())["verdicts"][0]["fact"] is None


async def test_what_ends_the_check_comes_out_as_it_was_raised() -> None:
    class Down(_Script):
        async def answer(self, question: Question) -> GivenAnswer:
            raise ModelUnavailable("Ollama does not answer.")

    with pytest.raises(ModelUnavailable, match="Ollama does not answer"):
        await check_answers([HOTEL, PRICE], Down({}), names=("folder", "file", "script"), at_once=2)


@pytest.fixture
async def gateway() -> AsyncGenerator[str, None]:
    """What a gateway answers on the wire; a question chooses which answer."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JSONResponse:
        if request.headers["authorization"] != "Bearer right":
            return JSONResponse({"error": {"message": "no"}}, status_code=401)
        body = await request.json()
        asked = body["messages"][-1]["content"]
        if asked == "fail":
            return JSONResponse({"error": {"message": "the model failed"}}, status_code=502)
        said = completion_body("1", body["model"], f" {len(body['messages'])} turns [2]", "stop", None)
        if asked == "plain":
            return JSONResponse(said)
        citations = [Citation(1, "a", None, "leave.md", ("text",), (0.5,))]
        citations.append(Citation(2, "b", 7, "travel-2026.pdf p.7", ("text",), (0.5,)))
        return JSONResponse({**said, "sources": [to_source(each) for each in citations]})

    async with served(app) as url:
        yield url


async def test_a_gateway_tells_text_and_pages(gateway: str) -> None:
    answers = GatewayAnswers(gateway, key="right", model="company-documents")
    history = (Message("user", "before"), Message("assistant", "yes"))
    given = await answers.answer(Question("ask", User("u"), history))
    failed = await answers.answer(Question("fail", User("u")))
    with pytest.raises(InvalidRequest, match="no gateway of Ragline"):
        await answers.answer(Question("plain", User("u")))
    await answers.close()
    assert given.text == "3 turns [2]"
    assert given.pages == {1: CitedPage("leave.md", None), 2: CitedPage("travel-2026.pdf", 7)}
    assert "502" in failed.problem
    assert judge(HOTEL, failed).failures == (failed.problem,)


async def test_a_gateway_that_refuses_or_is_gone_ends_the_check(gateway: str) -> None:
    refused, gone = (
        GatewayAnswers(url, key="wrong", model="company-documents") for url in (gateway, "http://127.0.0.1:9")
    )
    with pytest.raises(Unauthorized, match="CLIENT_API_KEY"):
        await refused.answer(Question("ask", User("u")))
    with pytest.raises(Unavailable, match="does not answer"):
        await gone.answer(Question("ask", User("u")))
    await refused.close()
    await gone.close()
