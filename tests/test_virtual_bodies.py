"""Bodies from head to thighs: what each scan range holds, field of view, real liver shapes, the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from typer.testing import CliRunner

from livercascade.cli.virtual import virtual
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Organ, PatientClass, Phase
from livercascade.io.nifti import write_nifti
from livercascade.virtual.anatomy import liver_volume_ml
from livercascade.virtual.bodies.body_anatomy import make_body
from livercascade.virtual.bodies.body_plan import LiverVariant, draw_body_plan, fit_habitus
from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.field_of_view import outside_circle
from livercascade.virtual.bodies.real_liver import load_liver
from livercascade.virtual.bodies.whole_body import start_body
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import CaseMix, PhaseMotion, ScanRange, VirtualSettings

SHAPES = Path(__file__).parents[2] / "shared/data/real_ct/liver_shapes"
LIVERLESS = (ScanRange.HEAD_NECK, ScanRange.CHEST_APEX, ScanRange.PELVIS, ScanRange.THIGHS)
SINGLE = [one for one in ScanRange if one is not ScanRange.MIXED]
SMALL = VirtualSettings(matrix=72, slice_mm=7.0, subslices=3, mix=CaseMix.TRAINING)


def of_range(*ranges, **more):
    return SMALL.model_copy(update={"scan_ranges": ranges, **more})


def tissue_map(seed, asked, liver=None):
    """Tissue map and habitus of one body, before lesions."""
    rng = np.random.default_rng(seed)
    plan = draw_body_plan(asked, rng)
    if liver is not None:
        plan = replace(plan, liver=liver)
    habitus = fit_habitus(draw_habitus(asked, False, rng), plan, rng)
    anatomy = make_body(habitus, plan, asked, rng)
    return anatomy.tissue_map, anatomy.habitus


@pytest.fixture(scope="module")
def patients():
    return {one: make_patient(seed, of_range(one)) for seed, one in enumerate(SINGLE)}


@pytest.fixture
def mask_file(tmp_path):
    """A liver-like mask: an ellipsoid with a lobe to the left, 1,200 ml."""
    z, y, x = np.ogrid[-50:50, -60:60, -75:75]
    right = (z / 32) ** 2 + (y / 34) ** 2 + ((x + 18) / 34) ** 2 <= 1
    left = ((z - 12) / 14) ** 2 + ((y + 14) / 22) ** 2 + ((x - 20) / 36) ** 2 <= 1
    mask = (right | left).astype(np.uint8)
    path = tmp_path / "liver.nii.gz"
    write_nifti(path, mask, Grid.axial(mask.shape, (2.0, 2.0, 2.0)))
    return path


def test_usual_settings_make_no_whole_body():
    assert not SMALL.whole_bodies and make_patient(3, SMALL).body is None


def test_a_body_is_the_same_for_the_same_seed(patients):
    one = ScanRange.CHEST_ABDOMEN
    again = make_patient(SINGLE.index(one), of_range(one))
    assert again.body == patients[one].body and again.lesions == patients[one].lesions
    np.testing.assert_array_equal(again.labels, patients[one].labels)
    for phase in PHASES:
        np.testing.assert_array_equal(again.hu[phase], patients[one].hu[phase])


@pytest.mark.parametrize("one", SINGLE)
def test_a_scan_holds_the_liver_or_nothing_of_it(patients, one):
    patient = patients[one]
    assert patient.body.scan_range is one and patient.labels.max() <= 13
    liver = np.count_nonzero((patient.labels >= 1) & (patient.labels <= Organ.LIVER)) * patient.grid.voxel_ml
    if one in LIVERLESS:
        assert liver == 0 and not patient.lesions and not patient.mimics
        assert patient.patient_class is PatientClass.NORMAL
    else:
        assert liver > 350


@pytest.mark.parametrize("one", SINGLE)
def test_images_hold_padding_outside_the_circle_and_ct_inside(patients, one):
    patient = patients[one]
    outside = outside_circle(patient.body, patient.grid.shape[1:])
    assert (patient.labels[:, outside] == 0).all()
    for image in patient.hu.values():
        assert (image[:, outside] == patient.body.padding).all()
        inside = image[:, ~outside]
        assert inside.min() >= -1024 and inside.max() <= 3300
        assert (inside > -200).mean() > 0.02


def test_the_head_holds_brain_in_bone():
    found, _ = tissue_map(4, of_range(ScanRange.HEAD_NECK))
    brain = np.isin(found.values, (BodyTissue.GREY_MATTER, BodyTissue.WHITE_MATTER))
    volume = np.count_nonzero(brain) * found.voxel_ml
    assert 500 < volume < 2500
    assert not np.isin(found.values, LIVER_TISSUES).any()
    # Above the skull's base bone or fluid lies round it, nothing else.
    high = found.z > np.quantile(found.z[np.nonzero(brain)[0]], 0.6)
    near = ndimage.binary_dilation(brain, iterations=1) & ~brain & high[:, None, None]
    assert np.isin(found.values[near], (BodyTissue.CSF, BodyTissue.SKULL, Tissue.MARROW)).mean() > 0.97


def test_the_wall_of_the_left_ventricle_is_darker_than_its_blood_in_ap():
    asked = of_range(ScanRange.CHEST_ABDOMEN)
    patient = make_patient(8, asked)
    hu = patient.physiology.hu
    assert hu[1, Tissue.HEART] < hu[1, Tissue.HEART_BLOOD] - 50
    found, _ = tissue_map(8, asked)
    sizes = {one: np.count_nonzero(found.values == one) * found.voxel_ml for one in (Tissue.HEART, Tissue.HEART_BLOOD)}
    assert sizes[Tissue.HEART] > 80 and sizes[Tissue.HEART_BLOOD] > 40


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_a_slab_is_the_body_cut_out(seed):
    rng = np.random.default_rng(seed)
    asked = VirtualSettings(matrix=64, subslices=int(rng.integers(2, 5)), scan_ranges=(ScanRange.TRUNK,))
    plan = draw_body_plan(asked, rng)
    body = start_body(fit_habitus(draw_habitus(asked, False, rng), plan, rng), plan, asked, rng)
    centre, radii = (float(rng.uniform(-100, 100)), 0.0, 20.0), tuple(float(r) for r in rng.uniform(15, 30, 3))
    low, high = centre[0] - 60, centre[0] + 60
    body.paint(low, high, lambda part: part.tissue_map.fill(part.ellipsoid(centre, radii), (0.0, 9)))
    cut = body.tissue_map.values.copy()
    body.tissue_map.values[:] = 0
    body.tissue_map.fill(body.ellipsoid(centre, radii), (0.0, 9))
    np.testing.assert_array_equal(cut, body.tissue_map.values)


def test_a_real_liver_keeps_its_size_under_the_lungs(mask_file):
    asked = of_range(ScanRange.TRUNK, liver_shapes=(mask_file,), liver_shape_share=1.0)
    wanted = float((load_liver(mask_file).field < 0).sum()) * 0.027
    for seed in range(2):
        found, habitus = tissue_map(seed, asked, LiverVariant.USUAL)
        assert 0.6 * wanted < liver_volume_ml(found) < 1.45 * wanted
        liver = np.argwhere(np.isin(found.values, LIVER_TISSUES))
        y, x = found.y[liver[:, 1]], found.x[liver[:, 2]]
        # On the right, within the ribs, not in the spine.
        assert np.median(x) < -15 and np.abs(x).max() < habitus.cavity[1] + 25
        assert (np.hypot(x, y - habitus.spine_y) < 12).mean() < 0.01
        parts, count = ndimage.label(np.isin(found.values, LIVER_TISSUES))
        assert np.bincount(parts[parts > 0]).max() > 0.95 * len(liver), count


def test_real_shapes_of_the_shared_data_find_room():
    if not SHAPES.is_dir():
        pytest.skip(f"no real liver shapes at {SHAPES}")
    files = sorted(SHAPES.glob("*.nii.gz"))[::40]
    for seed, file in enumerate(files):
        found, _ = tissue_map(seed, of_range(ScanRange.ABDOMEN, liver_shapes=(file,), liver_shape_share=1.0))
        assert 400 < liver_volume_ml(found) < 4500


def test_masks_that_are_no_livers_are_refused(tmp_path):
    for code, mask in (("NO_LIVER", np.zeros((20, 20, 20), np.uint8)), ("ODD_LIVER", np.ones((20, 20, 20), np.uint8))):
        path = tmp_path / f"{code}.nii.gz"
        write_nifti(path, mask, Grid.axial(mask.shape, (2.0, 2.0, 2.0)))
        with pytest.raises(InputError) as caught:
            load_liver(path)
        assert caught.value.code == code


def test_livers_differ_as_their_variants_say():
    asked = of_range(ScanRange.ABDOMEN)
    volume = {}
    for kind in (LiverVariant.SMALL, LiverVariant.USUAL, LiverVariant.RIEDEL, LiverVariant.RESECTED):
        volume[kind] = np.mean([liver_volume_ml(tissue_map(seed, asked, kind)[0]) for seed in range(2)])
    assert volume[LiverVariant.SMALL] < 0.85 * volume[LiverVariant.USUAL]
    assert volume[LiverVariant.RESECTED] < 0.95 * volume[LiverVariant.USUAL] < volume[LiverVariant.RIEDEL]


def test_lesions_and_liver_lie_inside_the_body(patients):
    for patient in patients.values():
        inner = ndimage.binary_erosion((patient.labels >= 1) & (patient.labels <= Organ.LIVER), iterations=2)
        if inner.any():
            assert np.percentile(patient.hu[Phase.VP][inner], 1) > -150


def test_bodies_do_not_breathe():
    with pytest.raises(ValueError, match="breathe"):
        VirtualSettings(scan_ranges=(ScanRange.TRUNK,), motion=PhaseMotion.BREATHING)


def run(*options):
    app = typer.Typer()
    app.command()(virtual)
    return CliRunner().invoke(app, [*options, "--matrix", "64", "--quiet"])


def test_the_command_makes_bodies(tmp_path, mask_file):
    result = run("--scan-range", "pelvis", "--seed", "5", "--preview", "--out", str(tmp_path / "a"))
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "a" / "virtual-000005" / "virtual.json").read_text())
    assert record["body"]["scan_range"] == "pelvis" and record["patient_class"] == "normal"
    options = ("--liver-shape", str(mask_file.parent), "--liver-shape-share", "1", "--unusual-livers", "1")
    result = run(*options, "--out", str(tmp_path / "b"))
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "b" / "virtual-000000" / "virtual.json").read_text())
    assert "liver.nii.gz" in record["anatomy"] and record["body"]["liver"] != "usual"


def test_label_maps_serve_for_scans_with_a_liver_alone(tmp_path):
    z, y, x = np.ogrid[-40:40, -50:50, -60:60]
    labels = np.where((z / 30) ** 2 + (y / 34) ** 2 + ((x + 15) / 36) ** 2 <= 1, 5, 0).astype(np.uint8)
    path = tmp_path / "map.nii.gz"
    write_nifti(path, labels, Grid.axial(labels.shape, (2.5, 2.5, 2.5)))
    sources = {
        one: make_patient(0, of_range(one, anatomies=(path,), anatomy_share=1.0)).anatomy
        for one in (ScanRange.ABDOMEN, ScanRange.HEAD_NECK)
    }
    assert sources == {ScanRange.ABDOMEN: "map.nii.gz", ScanRange.HEAD_NECK: "procedural body"}


def test_the_command_refuses_breathing_bodies_and_empty_folders(tmp_path):
    out = ("--out", str(tmp_path / "out"))
    assert run("--scan-range", "trunk", "--motion", "breathing", *out).exit_code == 2
    assert run("--liver-shape", str(tmp_path), *out).exit_code == 2
