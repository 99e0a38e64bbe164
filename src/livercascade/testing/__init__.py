"""Public helpers for tests of what is built on livercascade: small scans, files and results made from code.

Nothing is downloaded and no patient is involved; equal arguments give equal bytes.

* `livercascade.testing.phantoms`: balls and ellipsoids, a liver with a lesion of given HU, a sensitivity map.
* `livercascade.testing.moving_trunk`: a trunk scanned at rest and displaced by a known field, for registration.
* `livercascade.testing.ct_series`: DICOM CT series of any tilt, order and fault.
* `livercascade.testing.nifti_cases`: NIfTI cases as ``livercascade train`` reads them.
* `livercascade.testing.example_results`: candidates, results and case folders without networks.
* `livercascade.testing.tiny_networks`: model cards and settings that make networks and alignment quick.
* `livercascade.testing.damaged_files`: DICOM and NIfTI files damaged element by element; needs hypothesis.
* `livercascade.testing.strategies`: hypothesis strategies of grids, label maps and lesions; needs hypothesis.
"""
