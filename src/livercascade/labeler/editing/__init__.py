"""What is done to masks: changes of whole lesions and regions, comparison of two masks, verdicts."""
