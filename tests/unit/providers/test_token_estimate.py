"""The estimate of tokens, beside the counts of a real tokenizer that was made for English alone: the worst there is."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from pipelines.providers.embedding_prefixes import prefixes_for
from pipelines.providers.sentence_transformers import PACKAGED_MODEL, model_folder
from pipelines.providers.token_counter import make_tokenizer
from pipelines.providers.token_estimate import TokenEstimate, cut, estimate_tokens

PROSE = {
    "English": "The committee considered whether employees who travel on business should be reimbursed for the hotel "
    "they book themselves. It was agreed that a hotel in a large city may cost more than one elsewhere, and that the "
    "limit should therefore depend on the city. Receipts have to be handed in within four weeks; otherwise they lapse.",
    "German": "Mitarbeiterinnen und Mitarbeiter erhalten für Hotelübernachtungen höchstens 140 Euro je Nacht; darüber "
    "hinausgehende Beträge bedürfen der vorherigen Genehmigung durch die Abteilungsleitung. Die Reisekostenabrechnung "
    "ist innerhalb von vier Wochen vorzulegen, anderenfalls verfällt der Erstattungsanspruch.",
    "French": "Toute personne a droit à la liberté de pensée, de conscience et de religion ; ce droit implique la "
    "liberté de changer de religion ou de conviction. Les frais de déplacement sont remboursés sur justificatifs.",
    "Spanish": "Todo individuo tiene derecho a la libertad de opinión y de expresión; este derecho incluye el de no "
    "ser molestado a causa de sus opiniones, el de investigar y recibir informaciones y opiniones.",
    "Polish": "Każdy człowiek ma prawo wolności opinii i wyrażania jej; prawo to obejmuje swobodę posiadania "
    "niezależnej opinii, poszukiwania, otrzymywania i rozpowszechniania informacji i poglądów wszelkimi środkami.",
    "Finnish": "Kullakin on oikeus mielipiteen- ja sananvapauteen; tähän sisältyy oikeus häiritsemättä pitää "
    "mielipiteensä sekä oikeus rajoista riippumatta hankkia, vastaanottaa ja levittää tietoja.",
    "Turkish": "Her ferdin fikir ve fikirlerini açıklamak hürriyetine hakkı vardır. Bu hak fikirlerinden ötürü "
    "rahatsız edilmemek, memleket sınırları mevzuubahis olmaksızın malumat ve fikirleri aramak hakkını içerir.",
    "Indonesian": "Setiap orang berhak atas kebebasan mempunyai dan mengeluarkan pendapat; dalam hal ini termasuk "
    "kebebasan menganut pendapat tanpa mendapat gangguan, dan untuk mencari keterangan.",
    "Russian": "Каждый человек имеет право на свободу убеждений и на свободное выражение их; это право включает "
    "свободу беспрепятственно придерживаться своих убеждений.",
    "Greek": "Καθένας έχει το δικαίωμα της ελευθερίας της γνώμης και της έκφρασης.",
    "Arabic": "لكل شخص الحق في حرية الرأي والتعبير، ويشمل هذا الحق حرية اعتناق الآراء دون أي تدخل",
    "Hindi": "प्रत्येक व्यक्ति को विचार और उसकी अभिव्यक्ति की स्वतन्त्रता का अधिकार है।",
    "Chinese": "人人有权享有主张和发表意见的自由；此项权利包括持有主张而不受干涉的自由，"
    "和通过任何媒介寻求、接受和传递消息的自由。",
    "Japanese": "すべて人は、意見及び表現の自由に対する権利を有する。"
    "この権利は、干渉を受けることなく自己の意見をもつ自由を含む。",
    "Korean": "모든 사람은 의견의 자유와 표현의 자유에 대한 권리를 가진다.",
}
OTHER = {
    "numbers": "4111111111111111 20250131 1,234,567.89 3.14159265358979 0x7fffffffffff 00:1a:2b:3c:4d:5e",
    "keys": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9 550e8400-e29b-41d4-a716-446655440000 aGVsbG8gd29ybGQgdGhpcw==",
    "code": "function a(b,c){return b&&c?d.e(f[g],h):!1}var x=void 0===y?z:y;"
    "for(let i=0;i<n.length;i++){q.push(r(n[i]))}",
    "letters": "qzxvk wprtlm bcdfg xkcd zzyzx hjklm qwrtp",
    "table": "Region | Q1 2025 | Q2 2025\nNorth | 1,204.50 | 1,388.20\nSouth | 998.00 | 1,002.75",
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer((model_folder(PACKAGED_MODEL) / "tokenizer.json").read_text("utf-8"), truncate_to=None)


@pytest.mark.parametrize("name", [*PROSE, *OTHER])
def test_it_is_not_less_than_a_tokenizer_makes_of_a_text(tokenizer: Tokenizer, name: str) -> None:
    text = PROSE.get(name) or OTHER[name]
    assert estimate_tokens(text) >= len(tokenizer.encode(text).ids)


@pytest.mark.parametrize(("name", "most"), [("English", 1.2), ("German", 1.5), ("French", 1.6), ("Russian", 1.2)])
def test_chunks_of_prose_are_about_as_long_as_with_the_default_model(
    tokenizer: Tokenizer, name: str, most: float
) -> None:
    text = PROSE[name]
    assert estimate_tokens(text) <= most * len(tokenizer.encode(text).ids)


@pytest.mark.parametrize("character", ["ཀ", "አ", "ក", "🚀", "𠀀"])
def test_what_a_vocabulary_may_lack_counts_by_its_bytes(character: str) -> None:
    assert estimate_tokens(character * 40) >= 40 * len(character.encode())


def test_a_prefix_counts() -> None:
    counter = TokenEstimate(prefixes_for("embeddinggemma:300m").document)
    assert counter("Hotels") > estimate_tokens("Hotels")
    assert TokenEstimate()("") == 2


@pytest.mark.parametrize("text", ["hotels in Berlin " * 5000, "x" * 300_000, "東京" * 50_000, " " * 100_000, "", "🚀"])
def test_a_text_is_cut_to_what_fits_and_no_shorter_than_need_be(text: str) -> None:
    fitting = cut(text, 256)
    assert text.startswith(fitting)
    assert estimate_tokens(fitting) <= 256
    assert fitting == text or estimate_tokens(fitting) > 200 or fitting.isspace()
