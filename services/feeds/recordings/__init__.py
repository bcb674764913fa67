"""Recorded observations in files, of many formats, as numbered frames in the order of event time."""
