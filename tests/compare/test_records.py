"""The JSON of a result is its records: schema, older versions, what is missing."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.comparisons import CLEAR, made_up
from hypothesis import given
from hypothesis import strategies as st

import metriclearn
from metriclearn.compare import ComparisonResult, RankedComparison, result_schema
from metriclearn.compare._plain import from_plain, json_schema, to_plain
from metriclearn.compare._records import FoldRecord, Trial

SCHEMA = Path(metriclearn.__file__).parents[1] / "docs" / "comparison.schema.json"


def test_the_published_schema_is_that_of_the_records():
    assert json.loads(SCHEMA.read_text()) == result_schema()


def conforms(value, schema, definitions):
    """A small validator: enough of JSON schema for what ``json_schema`` writes."""
    if "$ref" in schema:
        return conforms(value, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return any(conforms(value, part, definitions) for part in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            return False
        properties = schema.get("properties", {})
        rest = schema.get("additionalProperties", {})
        assert "properties" not in schema or set(value) <= set(properties), value
        return all(name in value for name in schema.get("required", ())) and all(
            conforms(part, properties.get(name, rest), definitions) for name, part in value.items()
        )
    if kind == "array":
        return isinstance(value, list) and all(
            conforms(part, schema["items"], definitions) for part in value
        )
    types = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    if kind == "null":
        return value is None
    return kind is None or isinstance(value, types[kind])


def test_what_is_written_conforms_to_the_schema(compared, tmp_path):
    compared.to_json(tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    schema = result_schema()
    assert conforms(document, schema, schema["$defs"])
    assert not conforms({**document, "data": {}}, schema, schema["$defs"])


def test_older_versions_are_read(compared, tmp_path):
    path = tmp_path / "r.json"
    compared.to_json(path)
    document = json.loads(path.read_text())
    older = {**document, "format": "metriclearn comparison 2"}
    del older["version"], older["run"]["n_found"]
    for record in older["records"]:
        for name in ("map", "matrix", "recall_at"):
            record.pop(name)
    path.write_text(json.dumps(older))
    assert ComparisonResult.from_json(path).rows() == compared.rows()
    path.write_text(json.dumps({"format": "metriclearn ranking 1", "comparisons": [older]}))
    assert RankedComparison.from_json(path).comparisons[0].rows() == compared.rows()


def test_a_later_version_says_so(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"format": "metriclearn comparison", "version": 99}))
    with pytest.raises(ValueError, match=r"has version 99 of the format .* upgrade it"):
        ComparisonResult.from_json(path)


@pytest.mark.parametrize("name", ["learners", "records", "data", "run"])
def test_a_missing_field_is_one_clear_error(tmp_path, name):
    path = tmp_path / "r.json"
    made_up(CLEAR).to_json(path)
    document = json.loads(path.read_text())
    del document["sha256"]
    path.write_text(json.dumps({k: v for k, v in document.items() if k != name}))
    with pytest.raises(ValueError, match=rf"r\.json has no field '{name}'"):
        ComparisonResult.from_json(path)
    path.write_text(json.dumps({**document, name: 3}))
    with pytest.raises(ValueError, match=rf"r\.json\.{name} must be .*, got 3"):
        ComparisonResult.from_json(path)


@pytest.mark.parametrize("field", ["learner", "n_train", "protocol"])
def test_a_missing_field_of_a_record_is_named_by_its_place(field):
    document = made_up(CLEAR).to_dict()
    del document["records"][1][field]
    with pytest.raises(ValueError, match=rf"the document.records\[1\] has no field '{field}'"):
        ComparisonResult.from_dict(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["learners", "records", "data", "run", "interrupted"]))
def test_any_value_in_place_of_a_field_is_read_or_is_a_value_error(value, name):
    document = {**made_up(CLEAR).to_dict(), name: value}
    try:
        ComparisonResult.from_dict(document)
    except ValueError as error:
        assert name in str(error)  # noqa: PT017


@given(st.dictionaries(st.text(), JSON, max_size=3), st.none() | st.floats(allow_nan=False))
def test_what_is_taken_apart_is_put_together(params, score):
    record = FoldRecord("a", "closed", 0, 3, 4, params=params, tuning=(Trial(params, score),))
    assert from_plain(FoldRecord, json.loads(json.dumps(to_plain(record)))) == record


def test_the_schema_of_a_dataclass_lists_its_fields():
    @dataclass
    class Pair:
        """Two numbers."""

        left: int
        right: float | None = None

    schema = json_schema(Pair)
    pair = schema["$defs"]["Pair"]
    assert pair["required"] == ["left"]
    assert pair["properties"]["right"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
