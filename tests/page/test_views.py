"""The views beside the trees, the controls, and the state in the address."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .fake_service import Fake
from .waiting import eventually, settle

SENTENCE = "A warm , funny and quietly devastating film ."
LINK = "/#task=sst&text=" + SENTENCE.replace(" ", "+")


def models_of(fake: Fake) -> dict[str, dict[str, Any]]:
    predictions = fake.compare(fake.requests[0])["data"][0]["models"]
    return {each["model"]: each for each in predictions}


def heads_of(models: dict[str, dict[str, Any]], name: str) -> list[int]:
    heads: list[int] = models[name]["sentences"][0]["trees"]["map"]["heads"]
    return heads


@pytest.fixture
def open_view(page: Page) -> Callable[..., None]:
    def open_it(view: str = "trees", more: str = "") -> None:
        page.goto(f"{LINK}&view={view}{more}")
        page.locator("#view > *").first.wait_for()
        settle(page)

    return open_it


def test_the_difference_tells_shared_arcs_from_those_of_one(
    page: Page, fake: Fake, open_view: Callable[..., None]
) -> None:
    open_view("difference", "&a=sst-spigot/map&b=sst-ste-identity/map")
    models = models_of(fake)
    a, b = heads_of(models, "sst-spigot"), heads_of(models, "sst-ste-identity")
    shared = sum(x == y for x, y in zip(a, b, strict=True))
    counts = {kind: page.locator(f"path.arc.{kind}").count() for kind in ("shared", "only-a", "only-b")}
    assert counts == {"shared": shared, "only-a": len(a) - shared, "only-b": len(b) - shared}
    dashes = {page.locator(f"path.arc.{kind}").first.evaluate("e => getComputedStyle(e).strokeDasharray")
              for kind, count in counts.items() if count}  # fmt: skip
    assert len(dashes) == sum(count > 0 for count in counts.values()), "each kind has a dash of its own"


def test_choosing_another_side_redraws_and_reaches_the_address(
    page: Page, open_view: Callable[..., None]
) -> None:
    open_view("difference", "&a=sst-spigot/map&b=sst-ste-identity/map")
    page.locator("#pick-b").select_option("sst-spigot/map")
    expect(page.locator("path.arc.only-b")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"b=sst-spigot%2Fmap"))


def test_the_agreement_holds_models_and_branching_baselines(
    page: Page, fake: Fake, open_view: Callable[..., None]
) -> None:
    open_view("agreement")
    models = models_of(fake)
    trees = {name: heads_of(models, name) for name in models if name != "sst-none"}
    count = len(SENTENCE.split())
    trees["right-branching"] = list(range(count))
    trees["left-branching"] = [*range(2, count + 1), 0]
    table = page.locator("table.agreement").first
    columns = table.locator("thead th").all_text_contents()
    for row in table.locator("tbody tr").all():
        name = row.locator("th").inner_text()
        for column, text in zip(columns, row.locator("td").all_text_contents(), strict=True):
            share = sum(x == y for x, y in zip(trees[name], trees[column], strict=True)) / count
            assert text == f"{round(share * 100)} %", (name, column)


def test_the_matrix_has_a_cell_for_each_arc(page: Page, fake: Fake, open_view: Callable[..., None]) -> None:
    open_view("matrix")
    trees = models_of(fake)["sst-spigot"]["sentences"][0]["trees"]
    card = page.locator('.card[data-model="sst-spigot"]')
    assert card.locator("rect.cell.map").count() == len(SENTENCE.split())
    heavy = [arc for arc in trees["marginals"] if arc["probability"] >= 0.05]
    assert card.locator("rect.cell.marginals").count() == len(heavy)
    cell = card.locator("rect.cell.marginals").first
    cell.dispatch_event("pointermove", {"bubbles": True, "clientX": 100, "clientY": 100})
    expect(page.locator("#tip")).to_contain_text(re.compile(r"→ .+ · Marginals \d+"))


def test_the_table_names_each_head(page: Page, fake: Fake, open_view: Callable[..., None]) -> None:
    open_view("table")
    heads = heads_of(models_of(fake), "sst-spigot")
    names = ["root", *(f"{word} ({k})" for k, word in enumerate(SENTENCE.split(), 1))]
    table = page.get_by_role("table", name="Heads: sst-spigot")
    shown = [row.locator("td").nth(1).inner_text() for row in table.locator("tbody tr").all()]
    assert shown == [names[head] for head in heads]


def test_structures_switch_on_and_off(page: Page, open_view: Callable[..., None]) -> None:
    open_view()
    page.locator("label.toggle.marginals").click()
    expect(page.locator("path.arc.marginals")).to_have_count(0)
    page.locator("label.toggle.sparsemap").click()
    expect(page.locator(".mixture")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"show=map(&|$)"))
    expect(page.locator("path.arc.map")).to_have_count(4 * len(SENTENCE.split()))


def test_the_threshold_hides_light_arcs(page: Page, fake: Fake, open_view: Callable[..., None]) -> None:
    open_view()
    trees = models_of(fake)["sst-spigot"]["sentences"][0]["trees"]
    page.get_by_label("Arcs of at least").fill("0.3")
    kept = [arc for arc in trees["marginals"] if arc["probability"] >= 0.3]
    arcs = page.locator('.card[data-model="sst-spigot"] path.arc.marginals')
    expect(arcs).to_have_count(len(kept))
    expect(page).to_have_url(re.compile(r"threshold=0\.3"))


def test_models_are_chosen_sorted_and_pinned(page: Page, fake: Fake, open_view: Callable[..., None]) -> None:
    open_view()
    page.locator("#reference").select_option("sst-ste-identity")
    expect(page.locator(".card h3").first).to_contain_text("ste-identity")
    page.locator("#sort").select_option("confidence")
    models = models_of(fake)
    rest = [name for name in models if name not in ("sst-ste-identity", "sst-none")]
    best = sorted(rest, key=lambda name: -max(each["score"] for each in models[name]["scores"]))
    order = ["sst-ste-identity", *best, "sst-none"]
    eventually(page, "[...document.querySelectorAll('.card')].map(each => each.dataset.model)", order)
    page.locator("#model-menu summary").click()
    page.locator("#model-menu").get_by_label("sst-none").uncheck()
    expect(page.locator(".card")).to_have_count(4)
    assert fake.requests[-1]["models"] == [name for name in models if name != "sst-none"]


def test_a_link_shows_the_same_page(page: Page, open_view: Callable[..., None]) -> None:
    open_view("matrix", "&show=map&threshold=0.2&models=sst-spigot,sst-marginals&constraints=-5.1")
    before = page.locator("#view").inner_html()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    eventually(page, "document.getElementById('view').innerHTML", before)
    expect(page.locator(".chip")).to_have_count(1)


def test_the_way_back_leads_to_the_sentence_before(page: Page, open_view: Callable[..., None]) -> None:
    open_view()
    page.get_by_label("Sentence").fill("Dull !")
    page.get_by_label("Sentence").press("Enter")
    expect(page.locator(".plain-sentence")).to_contain_text("Dull")
    page.go_back()
    expect(page.locator(".plain-sentence")).to_contain_text("devastating")
    expect(page.get_by_label("Sentence")).to_have_value(SENTENCE)


def test_examples_carry_a_gold_label_and_history_keeps_what_was_asked(page: Page) -> None:
    page.goto("/")
    page.locator("summary", has_text="Examples").click()
    pick = page.locator(".pick").first
    expect(pick).to_contain_text("gold: positive")
    pick.click()
    page.locator(".card").first.wait_for()
    page.locator("summary", has_text="History").click()
    expect(page.locator(".menu[open] .pick")).to_have_count(1)
    expect(page.locator(".menu[open] .pick")).to_contain_text("quietly devastating")


def test_the_page_begins_with_a_task_of_one_sentence(page: Page, fake: Fake) -> None:
    fake.tasks = ["snli", "sst"]
    page.goto("/")
    tasks = page.get_by_role("group", name="Task")
    expect(tasks.get_by_role("radio")).to_have_count(2)
    expect(tasks.get_by_role("radio").first).to_be_checked()
    expect(page.get_by_label("Sentence", exact=True)).to_be_visible()
    expect(page.get_by_label("Premise")).to_have_count(0)


def test_a_pair_shows_both_sentences(page: Page, fake: Fake) -> None:
    page.goto("/#task=snli")
    page.get_by_label("Premise").fill("A man plays a guitar .")
    page.get_by_label("Hypothesis").fill("Nobody makes music .")
    page.get_by_role("button", name="Show the trees").click()
    card = page.locator('.card[data-model="snli-spigot"]')
    expect(card.locator(".sentence h4")).to_have_text(["premise", "hypothesis"])
    expect(card.locator('[data-side="premise"] path.arc.map')).to_have_count(6)
    expect(card.locator('[data-side="hypothesis"] path.arc.map')).to_have_count(4)
    assert fake.requests[-1]["inputs"] == [
        {"premise": "A man plays a guitar .", "hypothesis": "Nobody makes music ."}
    ]


def test_the_overview_sorts_by_what_is_clicked(page: Page) -> None:
    page.goto("/#page=overview")
    table = page.locator("table.overview")
    expect(table.locator("tbody tr")).to_have_count(10)
    accuracies = [
        float(text.split()[0]) for text in table.locator("tbody tr td:nth-child(4)").all_text_contents()
    ]
    assert accuracies == sorted(accuracies, reverse=True)
    for name in ("Mean depth", "Time per step"):
        for order in ("descending", "ascending"):
            page.get_by_role("button", name=name).click()
            header = page.get_by_role("columnheader", name=name)
            expect(header).to_have_attribute("aria-sort", order)
        column = table.locator("thead th").all_text_contents().index(f"{name}↑")
        texts = table.locator(f"tbody tr > :nth-child({column + 1})").all_text_contents()
        known = [float(text.split()[0]) for text in texts if text != "–"]
        assert len(known) == 8
        assert known == sorted(known)
        assert texts[8:] == ["–"] * 2, "unknown values come last"
    expect(page.locator("svg.chart")).to_have_count(4)


def test_the_page_of_a_model_reads_its_card(page: Page, fake: Fake) -> None:
    page.goto("/#page=overview")
    page.get_by_role("link", name="sst-spigot").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("sst-spigot")
    expect(page.locator("math")).to_have_count(2)
    expect(page.locator("#other-page")).to_contain_text("python -m trainer fit sst")
    expect(page.locator("#other-page")).to_contain_text("Trained on nothing at all.")
    card = next(model["card"] for model in fake.models() if model["id"] == "sst-spigot")
    points = [f"epoch {point['epoch']}: {point['dev_accuracy'] * 100:.1f} %" for point in card["curve"]]
    chart = page.get_by_role("img", name=f"Training curve, Accuracy on dev: {', '.join(points)}")
    expect(chart).to_be_visible()
    expect(chart.locator("circle.chart-dot")).to_have_count(len(points))
    place = ["cx", "cy"]
    ring = [chart.locator("circle.chart-ring").get_attribute(name) for name in place]
    kept = chart.locator("circle.chart-dot").nth(int(card["epoch"]) - 1)
    assert [kept.get_attribute(name) for name in place] == ring
    epochs = [str(k) for k in range(1, 6)]
    assert [text for text in chart.locator("text").all_text_contents() if text in epochs] == epochs
    assert f"{card['seconds_per_step'] * 1000:.1f} ms" in page.locator("#other-page").inner_text()
    page.goto("/#page=model&id=nobody")
    expect(page.locator("#other-page")).to_contain_text("not served here")
