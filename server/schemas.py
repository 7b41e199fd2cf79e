"""The HTTP contract as pydantic models: what the service reads, and what it answers.

The routes, the OpenAPI document and the Python client all rest on these classes. Requests are read strictly
(a number in quotes is not a number, an unknown field is an error); answers may gain fields in later versions,
so a client ignores those it does not know.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag

StructureName = Literal["map", "marginals", "sparsemap"]
STRUCTURE_NAMES: tuple[StructureName, ...] = ("map", "marginals", "sparsemap")
Side = Literal["premise", "hypothesis"]
InputKind = Literal["sentence", "pair"]


class Request(BaseModel):
    """What a client sends: strict types, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)


class Unchanging(Request):
    """A part that requests may leave out: its default can be hashed, so no request gets a deep copy of it."""

    model_config = ConfigDict(frozen=True)


class Answer(BaseModel):
    """What the service sends: a client ignores fields that it does not know."""

    model_config = ConfigDict(extra="ignore")


def _integral(value: object) -> object:
    """Read 3.0 as 3: to JSON they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_integral)]

# --- requests -------------------------------------------------------------------------------------------

Text = Annotated[str, StringConstraints(min_length=1)]


class Tokens(Request):
    """A sentence as its words: shown as they are, never tokenised again."""

    tokens: list[Text] = Field(min_length=1, description="The words, in order", examples=[["A", "film"]])


def _kind_of_side(value: object) -> str:
    return "<tokens>" if isinstance(value, dict | Tokens) else "<text>"


def _kind_of_input(value: object) -> str:
    if isinstance(value, Pair) or (isinstance(value, dict) and value.keys() & {"premise", "hypothesis"}):
        return "<pair>"
    return _kind_of_side(value)


# Naming the variant first keeps errors to the one variant that was meant; the tags are dropped from pointers.
INPUT_TAGS = frozenset({"<text>", "<tokens>", "<pair>"})
SentenceInput = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Tokens, Tag("<tokens>")], Discriminator(_kind_of_side)
]


class Pair(Request):
    """Two sentences, for the tasks that judge a pair."""

    premise: SentenceInput
    hypothesis: SentenceInput


Input = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Tokens, Tag("<tokens>")] | Annotated[Pair, Tag("<pair>")],
    Discriminator(_kind_of_input),
]


class Constraint(Unchanging):
    """One arc that every tree must have (force) or may not have (forbid); it holds for every input."""

    modifier: Integer = Field(ge=1, description="Position of the word, from 1")
    head: Integer = Field(ge=0, description="Position of its head; 0 is the root")
    op: Literal["forbid", "force"]
    side: Side | None = Field(
        default=None, description="Which sentence of a pair; null for a single sentence"
    )


class TreeParameters(Unchanging):
    """Which trees to return, how many, and under which constraints."""

    return_: tuple[StructureName, ...] = Field(
        default=STRUCTURE_NAMES,
        alias="return",
        strict=False,  # a list becomes a tuple
        description="Structures to infer, for `trees` and `by_structure`; [] for labels alone, the fastest",
    )
    max_trees: Integer = Field(
        default=8, ge=1, description="How many trees of SparseMAP's support, heaviest first"
    )
    min_probability: float = Field(
        default=0.01, ge=0, le=1, allow_inf_nan=False, description="Marginal arcs below it are left out"
    )
    constraints: tuple[Constraint, ...] = Field(default=(), strict=False, max_length=1000)


class Parameters(Unchanging):
    """What to compute beside the labels."""

    trees: TreeParameters = TreeParameters()
    alignment: bool = Field(
        default=False, description="For pairs: which words of the other sentence each word is compared with"
    )


class PredictRequest(Request):
    """One model, many inputs."""

    model: Text = Field(examples=["sst-spigot"])
    inputs: list[Input] = Field(min_length=1, examples=[["A gripping, funny film."]])
    parameters: Parameters = Parameters()


class CompareRequest(Request):
    """Many models, one or more inputs."""

    models: list[Text] | None = Field(
        default=None, min_length=1, description="Ids; null for all models of the task"
    )
    task: Text | None = Field(
        default=None, description="Needed only where `models` is null and several tasks fit"
    )
    inputs: list[Input] = Field(min_length=1, examples=[["A gripping, funny film."]])
    parameters: Parameters = Parameters()


# --- answers --------------------------------------------------------------------------------------------


class LabelScore(Answer):
    """The probability of one label."""

    label: str
    score: float


class Outcome(Answer):
    """What the classifier answers under one structure."""

    label: str
    scores: list[LabelScore] = Field(description="Every label, in the model's order; they sum to 1")


class Tree(Answer):
    """A dependency tree: the head of word m is `heads[m-1]`, 0 for the root."""

    heads: list[int]


class WeightedTree(Tree):
    """One tree of SparseMAP's support and its weight in the mixture."""

    weight: float


class Arc(Answer):
    """The marginal probability of one arc, head → modifier."""

    modifier: int
    head: int
    probability: float


class Trees(Answer):
    """The trees of one sentence; a structure that was not asked for is null."""

    map: Tree | None = None
    marginals: list[Arc] | None = Field(
        default=None, description="By modifier, then head; min_probability and above"
    )
    sparsemap: list[WeightedTree] | None = Field(
        default=None, description="Heaviest first, at most max_trees; weights are those of the whole mixture"
    )
    support_size: int | None = Field(
        default=None, description="How many trees SparseMAP's mixture has in all"
    )


class Sentence(Answer):
    """The words as the model saw them, and their trees; null for a model without trees."""

    tokens: list[str]
    trees: Trees | None

    def _repr_svg_(self) -> str:
        """Draw it, in a notebook."""
        from server.drawing import sentence_svg  # which needs these classes

        return sentence_svg(self)


class Alignment(Answer):
    """How the classifier aligned the words of a pair, under the structure that it was trained with.

    A row for each word of one sentence, and in it what that word takes of each word of the other. A row sums
    to 1. Numbers have six decimals, and there are never more than the squared words that `max_arcs` counts.
    """

    premise_to_hypothesis: list[list[float]]
    hypothesis_to_premise: list[list[float]]


class Prediction(Outcome):
    """The answer for one input, under the structure that the model was trained with."""

    by_structure: dict[StructureName, Outcome] = Field(
        description="The answer under each structure asked for; {} for a model without trees"
    )
    sentences: list[Sentence] = Field(description="One entry, or two for a pair: premise, hypothesis")
    alignment: Alignment | None = Field(
        default=None, description="Of a pair's words; null for a sentence, and where it was not asked for"
    )

    def _repr_html_(self) -> str:
        """Draw it, in a notebook."""
        from server.notebook import prediction_html

        return prediction_html(self)


class ModelPrediction(Prediction):
    """One model's answer in a comparison."""

    model: str


class Agreement(Answer):
    """How far two models agree on the trees of an input; a model without trees is in no pair."""

    models: tuple[str, str]
    map: float | None = Field(description="Share of words with the same head in both MAP trees (UAS)")
    marginals: float | None = Field(description="Expected agreement: mean over words of Σ_h p(h) q(h)")


class Comparison(Answer):
    """One input under every model."""

    models: list[ModelPrediction]
    agreement: list[Agreement]

    def _repr_html_(self) -> str:
        """Draw it, in a notebook."""
        from server.notebook import comparison_html

        return comparison_html(self)


class Limits(Answer):
    """What a request may ask for; above it is an error at once."""

    max_words: int
    max_characters: int
    max_inputs: int
    max_models: int
    max_trees: int
    max_arcs: int = Field(description="Sum over inputs and models of the squared number of words")
    max_body_bytes: int
    max_queue: int
    queue_seconds: float
    timeout_seconds: float


class About(Answer):
    """What the estimator is: a few words, its formulas in LaTeX, and where it comes from."""

    title: str
    source: str
    forward_formula: str
    gradient_formula: str


class ModelEntry(Answer):
    """A model that is being served."""

    id: str
    task: str
    takes: InputKind = Field(description="What an input is: a sentence, or a premise and a hypothesis")
    estimator: str
    about: About
    structure: str | None = Field(description="The family of trees, `projective` say; null without trees")
    forward_structure: StructureName | None = Field(
        description="What `label` and `scores` rest on: the structure seen in training; null without trees"
    )
    labels: list[str]
    metrics: dict[str, Any] = Field(description="Measured at the end of training")
    card: dict[str, Any] = Field(description="The model card: data, sizes, seed, command, tree statistics")
    limits: Limits
    revision: str = Field(description="SHA-256 of the checkpoint file")


class Refused(Answer):
    """A model folder whose checkpoint was refused, and why."""

    id: str
    detail: str


class ModelList(Answer):
    """The models that are served, and those that were refused."""

    data: list[ModelEntry]
    next_cursor: str | None
    refused: list[Refused]


class Usage(Answer):
    """What the request cost: words read, over all inputs."""

    tokens: int


class PredictAnswer(Answer):
    """The answer to POST /v1/predict."""

    id: str
    model: ModelEntry
    data: list[Prediction]
    usage: Usage

    def _repr_html_(self) -> str:
        """Draw it, in a notebook."""
        return "".join(prediction._repr_html_() for prediction in self.data)


class CompareAnswer(Answer):
    """The answer to POST /v1/compare."""

    id: str
    models: list[ModelEntry]
    data: list[Comparison]
    usage: Usage

    def _repr_html_(self) -> str:
        """Draw it, in a notebook."""
        return "".join(comparison._repr_html_() for comparison in self.data)


class Readiness(Answer):
    """Whether the service takes requests, and with which models."""

    status: Literal["ready", "degraded"]
    models: list[str]
    refused: list[Refused]


class ErrorItem(Answer):
    """One thing wrong with a request, and where: a JSON pointer into the body."""

    pointer: str
    detail: str


class Problem(Answer):
    """An error, as `application/problem+json` (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ErrorItem] = []
