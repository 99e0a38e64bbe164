"""livercascade: finds, types and filters liver lesions in CT."""

from livercascade.detect.match import match
from livercascade.detect.seg2det import seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.diagnose.patient import classify_patient
from livercascade.reclassify.reclassify import reclassify
from livercascade.reclassify.shuffle import shuffle

__version__ = "0.2.0"
__all__ = ["SensitivityMap", "classify_patient", "match", "reclassify", "seg2det", "shuffle"]
