"""The main path in a real browser: type a sentence, see answers and trees; then what may go wrong with it."""

import pytest
from playwright.sync_api import Page, Route, expect

from .fake_service import Fake
from .waiting import eventually, poll, settle

SENTENCE = "A warm , funny and quietly devastating film ."
WORDS = SENTENCE.split()
WITH_TREES = ["sst-marginals", "sst-sparsemap", "sst-ste-identity", "sst-spigot"]


def ask(page: Page, text: str) -> None:
    page.get_by_label("Sentence").fill(text)
    page.get_by_role("button", name="Show the trees").click()
    page.locator(".card").first.wait_for()
    settle(page)


def test_typing_a_sentence_draws_one_arc_per_word_and_tree(page: Page, fake: Fake) -> None:
    page.goto("/")
    ask(page, SENTENCE)
    expect(page.locator(".card")).to_have_count(5)
    answer = fake.compare(fake.requests[0])["data"][0]["models"]
    for prediction in answer:
        card = page.locator(f'.card[data-model="{prediction["model"]}"]')
        expect(card.locator(".card-head .verdict-label")).to_have_text(prediction["label"])
        trees = prediction["sentences"][0]["trees"]
        if trees is None:
            expect(card.locator("svg.diagram")).to_have_count(0)
            continue
        assert card.locator("path.arc.map").count() == len(WORDS)
        visible = [arc for arc in trees["marginals"] if arc["probability"] >= 0.05]
        assert card.locator("path.arc.marginals").count() == len(visible)
        support = card.locator(".support li")
        assert support.count() == len(trees["sparsemap"])
        assert support.first.locator("path.arc").count() == len(WORDS)
        words = card.locator(".main-figure text.word").all_text_contents()
        assert words == WORDS


def test_arcs_go_to_the_heads_of_the_answer(page: Page, fake: Fake) -> None:
    page.goto("/")
    ask(page, SENTENCE)
    answer = fake.compare(fake.requests[0])["data"][0]["models"]
    spigot = next(each for each in answer if each["model"] == "sst-spigot")
    wanted = {
        f"{head}>{word}" for word, head in enumerate(spigot["sentences"][0]["trees"]["map"]["heads"], 1)
    }
    arcs = page.locator('.card[data-model="sst-spigot"] path.arc.map')
    assert {arc.get_attribute("data-arc") for arc in arcs.all()} == wanted


def test_width_and_opacity_grow_with_the_probability(page: Page, fake: Fake) -> None:
    page.goto("/")
    ask(page, SENTENCE)
    answer = fake.compare(fake.requests[0])["data"][0]["models"]
    trees = next(each for each in answer if each["model"] == "sst-spigot")["sentences"][0]["trees"]
    weight = {f"{arc['head']}>{arc['modifier']}": arc["probability"] for arc in trees["marginals"]}
    paths = page.locator('.card[data-model="sst-spigot"] path.arc.marginals').all()
    looks = (
        "e => [parseFloat(getComputedStyle(e).strokeWidth), parseFloat(getComputedStyle(e).strokeOpacity)]"
    )
    drawn = sorted((weight[str(path.get_attribute("data-arc"))], *path.evaluate(looks)) for path in paths)
    assert [width for _, width, _ in drawn] == sorted(width for _, width, _ in drawn)
    assert [opacity for *_, opacity in drawn] == sorted(opacity for *_, opacity in drawn)
    assert drawn[0][1] < drawn[-1][1]


@pytest.mark.parametrize("count", [1, 6, 40, 60])
def test_sentences_of_any_length_fit_without_scrolling_the_page(page: Page, count: int) -> None:
    page.goto("/")
    ask(page, " ".join(f"word{k}" for k in range(count)))
    expect(page.locator(".card .main-figure").first.locator("text.word")).to_have_count(count)
    eventually(page, "document.documentElement.scrollWidth <= innerWidth")


def test_markup_in_a_sentence_stays_text(page: Page) -> None:
    page.goto("/")
    nasty = "<img src=x onerror=alert(1)> <script>alert(2)</script> &amp; \"'"
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    ask(page, nasty)
    assert page.locator("#view img, #view script").count() == 0
    assert page.locator(".main-figure").first.locator("text.word").all_text_contents() == nasty.split()


def test_right_to_left_text_runs_from_the_right(page: Page) -> None:
    page.goto("/")
    ask(page, "זה סרט טוב מאוד")
    boxes = [word.bounding_box() for word in page.locator(".main-figure").first.locator("text.word").all()]
    left = [box["x"] for box in boxes if box]
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_sentence_is_asked_for(page: Page, fake: Fake, text: str) -> None:
    page.goto("/")
    page.get_by_label("Sentence").fill(text)
    page.get_by_role("button", name="Show the trees").click()
    expect(page.locator("#status")).to_contain_text("Type at least one word first")
    assert fake.requests == []


PROBLEM = {
    "title": "Unprocessable",
    "status": 422,
    "detail": "The request is invalid.",
    "code": "too_long",
    "errors": [{"pointer": "/inputs/0", "detail": "300 words; at most 256"}],
}


@pytest.mark.parametrize(
    ("status", "headers", "wanted"),
    [
        (422, {}, "300 words; at most 256"),
        (413, {}, "more text than the service takes"),
        (429, {"Retry-After": "7"}, "busy. Your text is kept; try again in 7 s"),
        (503, {}, "starting or stopping"),
        (504, {}, "took too long"),
    ],
)
def test_errors_come_in_words_and_keep_the_text(
    page: Page, fake: Fake, status: int, headers: dict[str, str], wanted: str
) -> None:
    page.goto("/")
    fake.failure = (status, PROBLEM, headers)
    page.get_by_label("Sentence").fill(SENTENCE)
    page.get_by_role("button", name="Show the trees").click()
    expect(page.locator("#status")).to_contain_text(wanted)
    expect(page.get_by_label("Sentence")).to_have_value(SENTENCE)
    if status != 422 and status != 413:
        fake.failure = None
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".card")).to_have_count(5)
        expect(page.locator("#status")).to_be_empty()


def test_a_service_that_is_gone_is_said_and_nothing_is_lost(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Sentence").fill(SENTENCE)
    page.route("**/v1/compare", lambda route: route.abort())
    page.get_by_role("button", name="Show the trees").click()
    expect(page.locator("#status")).to_contain_text("cannot be reached")
    expect(page.get_by_label("Sentence")).to_have_value(SENTENCE)
    page.reload()
    expect(page.get_by_label("Sentence")).to_have_value(SENTENCE)


def test_a_spinner_comes_after_300_ms_and_goes_with_the_answer(page: Page, fake: Fake) -> None:
    page.clock.install()
    page.goto("/")
    page.get_by_label("Sentence").fill(SENTENCE)
    held: list[Route] = []
    page.route("**/v1/compare", lambda route: held.append(route))
    page.clock.pause_at(page.evaluate("Date.now()") + 10_000)
    page.get_by_role("button", name="Show the trees").click()
    page.clock.run_for(299)
    expect(page.locator(".spinner")).to_have_count(0)
    page.clock.run_for(2)
    expect(page.locator(".spinner")).to_be_visible()
    page.clock.resume()
    poll(page, lambda: len(held), 1)
    held[0].continue_()
    page.locator(".card").first.wait_for()
    expect(page.locator(".spinner")).to_have_count(0)


def test_a_service_that_is_still_loading_is_waited_for(page: Page, fake: Fake) -> None:
    fake.loading = 1_000_000
    page.goto("/")
    expect(page.locator("#status")).to_contain_text("being loaded")
    fake.loading = 0
    expect(page.get_by_label("Sentence")).to_be_visible()
    expect(page.locator("#status")).to_be_empty()


def test_the_explanation_draws_what_it_says(page: Page) -> None:
    page.goto("/")
    page.locator(".explain summary").click()
    expect(page.locator("#explain-map path.arc")).to_have_count(4)
    page.get_by_label("how sharp are the scores").fill("3")
    expect(page.locator("#explain-sparsemap .note")).to_contain_text("1 tree of 30: 100 %")
    page.get_by_label("how sharp are the scores").fill("0.1")
    expect(page.locator("#explain-sparsemap .note")).to_contain_text("trees of 30")


def test_wrapped_rows_need_no_scrolling(page: Page) -> None:
    words = "+".join(f"word{k}" for k in range(60))
    page.goto(f"/#task=sst&fit=wrap&models=sst-spigot&text={words}")
    figure = page.locator(".main-figure")
    figure.wait_for()
    settle(page)
    assert figure.locator("svg.diagram").count() > 2
    assert figure.locator("text.word").all_text_contents() == words.split("+")
    eventually(page, "[...document.querySelectorAll('.scroller')].every(e => e.scrollWidth <= e.clientWidth)")


@pytest.mark.parametrize(
    ("count", "least", "most", "scrolls"), [(6, 1, 1, False), (19, 0.8, 0.99, False), (60, 0.8, 0.8, True)]
)
def test_lines_a_little_too_long_shrink_and_longer_ones_scroll(
    page: Page, count: int, least: float, most: float, scrolls: bool
) -> None:
    words = "+".join(f"word{k}" for k in range(count))
    page.goto(f"/#task=sst&show=map&models=sst-spigot&text={words}")
    page.locator(".main-figure .scroller").wait_for()
    settle(page)
    diagram = page.locator(".main-figure svg.diagram")
    scale = diagram.evaluate("e => e.getBoundingClientRect().width / e.drawn.width")
    assert least - 0.01 <= scale <= most + 0.01
    box = page.locator(".main-figure .scroller")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth + 1") is scrolls


def test_many_answers_stand_at_a_glance_and_lead_to_their_cards(page: Page, fake: Fake) -> None:
    page.goto("/")
    ask(page, SENTENCE)
    answer = {each["model"]: each for each in fake.compare(fake.requests[0])["data"][0]["models"]}
    glance = page.get_by_role("navigation", name="Answers at a glance")
    buttons = glance.get_by_role("button")
    cards = page.locator(".card")
    models = [card.get_attribute("data-model") for card in cards.all()]
    assert [button.get_attribute("title") for button in buttons.all()] == models
    for name, button in zip(models, buttons.all(), strict=True):
        expect(button.locator(".verdict-label")).to_have_text(answer[str(name)]["label"])
    buttons.last.click()
    last = cards.last
    expect(last.locator("h3 a")).to_be_focused()
    expect(last).to_be_in_viewport()
    assert "model=" not in page.url  # the address is still that of the comparison
    page.goto(f"/#task=sst&models=sst-spigot,sst-marginals&text={'+'.join(WORDS)}")
    expect(cards).to_have_count(2)
    expect(glance).to_have_count(0)


def test_diagrams_of_one_sentence_scroll_together(page: Page) -> None:
    words = "+".join(f"word{k}" for k in range(40))
    page.goto(f"/#task=sst&show=map&models=sst-spigot,sst-marginals&text={words}")
    page.locator(".main-figure .scroller").nth(1).wait_for()
    settle(page)
    page.locator(".main-figure .scroller").first.evaluate("e => { e.scrollLeft = 300; }")
    eventually(page, "document.querySelectorAll('.main-figure .scroller')[1].scrollLeft", 300)


def test_a_service_with_a_key_asks_for_it(page: Page, fake: Fake) -> None:
    fake.key = "open sesame"
    page.goto("/")
    page.get_by_label("Key").fill("wrong")
    page.get_by_label("Key").press("Enter")
    expect(page.get_by_label("Key")).to_have_value("")
    page.get_by_label("Key").fill(fake.key)
    page.get_by_label("Key").press("Enter")
    ask(page, SENTENCE)
    expect(page.locator(".card")).to_have_count(5)
    page.get_by_role("button", name="Take it away").click()
    page.locator("#take").get_by_label("curl", exact=True).check()
    expect(page.locator("#take pre")).to_contain_text("Bearer $UNDERSTORY_API_KEY")
    assert fake.key not in page.locator("#take pre").inner_text()


def test_the_rehearsal_leaves_no_trace(page: Page, fake: Fake) -> None:
    """What is drawn beforehand, unseen, changes neither the page nor the drawing that follows."""
    drawn = []
    for rehearsed in (True, False):
        page.goto("about:blank")
        page.goto("/")
        page.get_by_label("Sentence").focus()
        if rehearsed:
            page.evaluate('async () => (await import("/static/bench.js")).rehearsed')
            expect(page.locator("svg.diagram, .card")).to_have_count(0)
            expect(page.locator("#answer")).to_be_hidden()
        page.get_by_label("Sentence").fill(" ".join(WORDS))
        page.keyboard.press("Enter")
        page.locator(".card").first.wait_for()
        settle(page)
        drawn.append(page.locator("#view").inner_html())
    assert drawn[0] == drawn[1]
    assert "understory" not in drawn[0]
