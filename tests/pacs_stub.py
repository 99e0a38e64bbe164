"""Stands for the analysis in tests of the service: ``python pacs_stub.py LOG SECONDS``, asked as the real one is.

What it does follows from the StudyDescription: REJECT, DIE, HANG and EAT do what they say; anything else gives a result
of two secondary captures, whose identifiers follow from the images and nothing else.
"""

import hashlib
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path


def capture(first, key, number):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    uid = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{key} {number}').int}"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid
    ds.SeriesInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, key).int}"
    for name in ("StudyInstanceUID", "PatientID", "PatientName"):
        setattr(ds, name, first.get(name, ""))
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "OT", 901, number
    ds.Rows = ds.Columns = 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = bytes([number]) * 64
    return ds


def result(source: Path, out: Path, images):
    from livercascade.system.manifest import new_result_folder

    key = hashlib.sha256("".join(sorted(str(i.SOPInstanceUID) for i in images)).encode()).hexdigest()
    with new_result_folder(out) as folder:
        for number in (1, 2):
            capture(images[0], key, number).save_as(folder / f"capture-{number}.dcm", enforce_file_format=True)
        (folder / "result.json").write_text(json.dumps({"images": len(images), "case": source.name}))


def main():
    log, seconds = Path(sys.argv[1]), float(sys.argv[2])
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(1)), daemon=True).start()
    outcome = {"status": "ok", "made_by": "stub"}
    if request["source"] is not None:
        import pydicom

        source = Path(request["source"])
        images = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(source.rglob("*.dcm"))]
        word = str(images[0].get("StudyDescription", ""))
        with log.open("a") as lines:
            lines.write(f"{images[0].StudyInstanceUID} {len(images)}\n")
        if word == "DIE":
            os.kill(os.getpid(), 9)
        if word == "HANG":
            time.sleep(600)
        if word == "EAT":
            eaten = bytearray(400_000_000)
            eaten[::4096] = b"\1" * len(eaten[::4096])
            time.sleep(600)
        time.sleep(seconds)
        if word == "REJECT":
            outcome = {"status": "rejected", "code": "NO_LIVER", "message": "no liver of Doe^Jane"}
        else:
            result(source, Path(request["out"]), images)
    path = Path(request["outcome"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
