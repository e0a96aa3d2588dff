"""The JSON Schemas tell the truth about what the code reads and writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fakes import FakePanel, message, pipeline, records, run
from schema_check import problems, types_of

from stream.alerting import SCHEMA_VERSION
from stream.entities.account import EVENT_TYPES, AccountEvent
from stream.events import OUTCOMES, Alert, Reason, Source, Transaction
from stream.resources import resource_path
from stream.sinks.chain import Tip, seal
from stream.sinks.dead_letters import encode
from training.data.simulator import Encoder, generate

NAMES = ("transaction", "alert", "feedback", "dead_letter", "event")


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resource_path("deploy", "schemas", f"{name}.json").read_text())
    return loaded


def sealed(panel: FakePanel | None = None) -> dict[str, Any]:
    usual = [message(i * 60, mcc="5411", latitude=50.5, customer_id="c") for i in range(10)]
    tries = [message(700, transaction_id=f"b{i}", amount=900.0, response_code="51") for i in range(9)]
    outcomes = run(pipeline(panel), records([*usual, *tries]))
    text, _ = seal(outcomes[0].alerts[-1], Tip(epoch=1))
    alert: dict[str, Any] = json.loads(text)
    return alert


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_named_versioned_and_described_throughout(name: str) -> None:
    found = schema(name)
    assert found["$id"] == f"urn:fraudstream:schema:{name}:{found['version']}"
    assert set(found["required"]) <= set(found["properties"])
    assert all(field.get("description") for field in found["properties"].values())


@pytest.mark.parametrize(("name", "struct"), [("transaction", Transaction), ("alert", Alert), ("event", AccountEvent)])
def test_a_struct_has_the_schemas_fields(name: str, struct: type[msgspec.Struct]) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    assert list(schema(name)["properties"]) == list(fields)
    if struct is not Alert:
        assert schema(name)["required"] == [field for field in fields if fields[field].required]


def test_nested_structs_have_the_schemas_fields() -> None:
    alert = schema("alert")["properties"]
    assert list(alert["source"]["properties"]) == list(Source.__struct_fields__)
    assert list(alert["reasons"]["items"]["properties"]) == list(Reason.__struct_fields__)
    assert alert["outcome"]["enum"] == list(OUTCOMES[1:])
    assert schema("alert")["version"] == SCHEMA_VERSION


def test_alerts_as_published_fit() -> None:
    assert problems(sealed(), schema("alert")) == []
    assert problems(sealed(FakePanel(broken=True)), schema("alert")) == []


def test_the_checker_finds_what_does_not_fit() -> None:
    alert = sealed() | {"outcome": "shout", "score": 2, "source": {}, "degraded": 1}
    found = " ".join(problems(alert, schema("alert")))
    assert all(at in found for at in ("$.outcome", "$.score: range", "$.source: lacks topic", "$.degraded"))


def test_the_alert_schema_is_backward_compatible_with_1_0() -> None:
    before = json.loads((Path(__file__).parent / "alert_1_0.json").read_text())
    now = schema("alert")
    assert set(before) <= set(now["properties"]) and set(before) <= set(now["required"])
    for name, kinds in before.items():
        assert types_of(now["properties"][name]) <= ({kinds} if isinstance(kinds, str) else set(kinds)), name


def test_the_event_schema_names_every_type() -> None:
    said = schema("event")["properties"]["type"]["description"]
    assert all(kind in said for kind in EVENT_TYPES)


def test_dead_letters_as_published_fit() -> None:
    (outcome,) = run(pipeline(), records([b"\xff\xfe", b"{}", None]))
    assert [problems(json.loads(encode(dead)), schema("dead_letter")) for dead in outcome.dead] == [[], [], []]


def test_simulated_messages_fit() -> None:
    history = generate(bank_seed=3, seed=3, cards=60, days=20, prevalence_bp=200)
    values = Encoder(history).values(np.arange(300))
    assert [p for value in values for p in problems(json.loads(value), schema("transaction"))] == []
    _, events = Encoder(history).events(np.arange(len(history.account)))
    assert [p for value in events for p in problems(json.loads(value), schema("event"))] == []
    _, labels = Encoder(history).feedback(np.arange(min(20, history.labels.num_rows)))
    assert [p for value in labels for p in problems(json.loads(value), schema("feedback"))] == []
