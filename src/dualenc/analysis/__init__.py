"""What scores look like: functions of the scored pairs of a run, and of score matrices. No model, no drawing."""
