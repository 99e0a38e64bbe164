"""A small share of ``make fuzz-readers``: damaged files are read right, or refused by a code."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.testing.damaged_files import dicom_damages, nifti_damages

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fuzz_readers.py"


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("fuzz_readers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_readers"] = module
    spec.loader.exec_module(module)
    out = tmp_path_factory.mktemp("out")
    fuzz = module.Fuzz(tmp_path_factory.mktemp("originals"), out)
    yield fuzz
    fuzz.close()


@settings(max_examples=60)
@given(damages=dicom_damages(), kind=st.integers(0, 5), where=st.integers(0, 6))
def test_damaged_dicom(fuzz, damages, kind, where):
    fuzz.dicom(damages, sorted(fuzz.files)[kind], where)
    assert not fuzz.failures


@settings(max_examples=100)
@given(damages=nifti_damages())
def test_damaged_nifti(fuzz, damages):
    fuzz.nifti_file(damages)
    assert not fuzz.failures
