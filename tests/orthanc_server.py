"""A real Orthanc in a network namespace of its own: it and everything that talks to it run in there."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import requests

PLUGINS = Path("/usr/share/orthanc/plugins")
USER, PASSWORD = "reader", "secret"
HTTP, DICOM, OURS = 18042, 14242, 11112


def why_not() -> str:
    """Reason why Orthanc cannot be started here; empty if it can."""
    if shutil.which("Orthanc") is None:
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
    if not (PLUGINS / "libOrthancDicomWeb.so").exists():
        return "Orthanc's DICOMweb is not installed (apt-get install orthanc-dicomweb)"
    if shutil.which("ip") is None:
        return "ip is not installed (apt-get install iproute2)"
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        return "no network namespace can be made here (unshare -rn)"
    return ""


class Orthanc:
    """One Orthanc; started again it has what it had."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.process = None
        self.url = f"http://127.0.0.1:{HTTP}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = (USER, PASSWORD)
        config = {
            "Name": "TEST", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
            "HttpPort": HTTP, "DicomPort": DICOM, "DicomAet": "ORTHANC", "StableAge": 2,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")], "DicomWeb": {"Enable": True},
            "DicomModalities": {"ours": ["LIVERCASCADE", "127.0.0.1", OURS]},
            "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": True, "UnknownSopClassAccepted": True,
        }  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "orthanc.json").write_text(json.dumps(config))

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=log)
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            try:
                self.session.get(f"{self.url}/system", timeout=30).raise_for_status()
                return self
            except requests.ConnectionError:
                time.sleep(0.1)

    def kill(self):
        """As by a power cut."""
        self.process.kill()
        self.process.wait()

    def get(self, path):
        answer = self.session.get(f"{self.url}/{path}", timeout=60)
        answer.raise_for_status()
        return answer

    def put(self, files):
        for file in files:
            self.session.post(f"{self.url}/instances", data=file.read_bytes(), timeout=60).raise_for_status()

    def results(self):
        """Bytes of every instance that is no CT, by SOPInstanceUID; a UID that is there twice is an error."""
        found = {}
        for series in self.get("series").json():
            told = self.get(f"series/{series}").json()
            if told["MainDicomTags"]["Modality"] == "CT":
                continue
            for instance in told["Instances"]:
                uid = self.get(f"instances/{instance}").json()["MainDicomTags"]["SOPInstanceUID"]
                assert uid not in found
                found[uid] = self.get(f"instances/{instance}/file").content
        return found
