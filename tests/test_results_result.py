import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from livercascade.data.labels import PatientClass
from livercascade.data.notice import Notice
from livercascade.reclassification.candidate import FoundAt, by_importance, numbered
from livercascade.report.html import render_report
from livercascade.results.result import (
    CaseResult,
    ErrorRecord,
    JointClass,
    SensitivityFactors,
    Stage,
    Status,
    VerdictRecord,
)
from livercascade.results.schema import schema_text, write_schema
from livercascade.testing.example_results import EXAMPLE_FACTORS, EXAMPLE_HASH, example_case, example_result

PUBLISHED = Path(__file__).parent.parent / "docs" / "result.schema.json"
ERROR = ErrorRecord(code="TRUNCATED_FILE", message="vp.nii.gz ends early.", remedy="Copy it again.", stage=Stage.READ)


@pytest.fixture(scope="module")
def example() -> CaseResult:
    return example_result(*example_case())


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_published_schema_is_the_models_schema(tmp_path):
    write_schema(tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_bytes() == PUBLISHED.read_bytes() == schema_text().encode()


def test_example_is_valid_and_comes_back_the_same(example, validator):
    text = example.to_json()
    validator.validate(json.loads(text))
    assert CaseResult.model_validate_json(text) == example


def test_rejected_case_is_valid(example, validator):
    rejected = CaseResult(
        case_id="a", status=Status.REJECTED, error=ERROR, inputs=(), provenance=example.provenance
    )  # fmt: skip
    validator.validate(json.loads(rejected.to_json()))


BREAKS = {
    "unknown field": lambda r: r.update(extra=1),
    "status without its error": lambda r: r.update(status="failed"),
    "no lesions": lambda r: r.pop("lesions"),
    "unknown type": lambda r: r["lesions"][0].update(type="Hepatoma"),
    "share above one": lambda r: r["lesions"][0]["votes"].update(HCC=1.5),
    "bad hash": lambda r: r["inputs"][0].update(sha256="abc"),
    "bad case id": lambda r: r.update(case_id="../x"),
    "no version": lambda r: r.pop("schema_version"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_broken_result_is_refused_by_the_schema(name, example, validator):
    record = json.loads(example.to_json())
    BREAKS[name](record)
    assert not validator.is_valid(record)


@pytest.mark.parametrize("name", [n for n in BREAKS if n != "no version"])
def test_broken_result_is_refused_by_the_model(name, example):
    record = json.loads(example.to_json())
    BREAKS[name](record)
    with pytest.raises(ValidationError):
        CaseResult.model_validate_json(json.dumps(record))


@pytest.mark.parametrize(
    "changes",
    [
        {"error": ERROR},
        {"outputs": None},
        {"status": Status.OK_WITH_WARNINGS},
        {"warnings": [Notice(code="A_B", message="x")]},
    ],
)
def test_status_must_fit_the_content(changes):
    with pytest.raises(ValidationError):
        example_result(*example_case(), **changes)


def test_joint_class_is_the_common_one_or_uncertain():
    for base in PatientClass:
        for high in PatientClass:
            joint = VerdictRecord.of(base, high, EXAMPLE_FACTORS).joint
            assert joint.patient_class is (base if base is high else None)
    with pytest.raises(ValidationError):
        VerdictRecord(base=PatientClass.HCC, high=PatientClass.ICC, joint=JointClass.HCC, meaning="x")


def test_ids_follow_the_given_order_and_removed_ones_matter_least():
    candidates = example_case()[2][::-1]
    assert list(numbered(candidates)) == ["L1", "L2"]
    assert by_importance(candidates) == ["L2", "L1"]


def test_types_are_written_by_name(example):
    record = json.loads(example.to_json())
    assert record["lesions"][0]["type"] == "HCC"
    assert record["lesions"][0]["votes"] == {"HCC": 0.9, "Other": 0.1}
    assert len(EXAMPLE_HASH) == 64


def test_results_of_schema_1_0_are_still_read():
    result = example_result(*example_case())
    old = json.loads(result.to_json())
    old["schema_version"] = "1.0"
    del old["factors"]
    old["provenance"]["settings"] = {"low_factor": 0.5, "high_factor": 2.0}
    for lesion, words in zip(old["lesions"], ("f=1 and f=4", "only f=4"), strict=True):
        lesion["found_at"] = words
    read = CaseResult.model_validate(old)
    assert read.schema_version == "1.1" and (read.factors.base, read.factors.high) == (0.5, 2.0)
    assert [lesion.found_at for lesion in read.lesions] == [FoundAt.BASE_AND_HIGH, FoundAt.HIGH_ONLY]
    assert CaseResult.model_validate_json(read.to_json()) == read


def test_words_of_the_verdict_name_the_factors_of_the_settings():
    factors = SensitivityFactors(base=0.5, high=2.0)
    made = VerdictRecord.of(PatientClass.CYST, PatientClass.HCC, factors)
    assert "f = 0.5 gives Cyst and f = 2 gives HCC" in made.meaning and "f = 1" not in made.meaning
    page = render_report(example_result(*example_case(), factors=factors, verdict=made))
    assert "f = 2 only" in page or "f = 0.5 and f = 2" in page
    assert "f = 1 " not in page.split("Sensitivity sweep")[0] and "f = 4" not in page.split("Sensitivity sweep")[0]
