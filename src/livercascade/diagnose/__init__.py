"""From lesions to the patient's class and the joint verdict (paper, eq. 12, Sec. IV-B.2)."""
