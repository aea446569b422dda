"""Tasks, clips, probes, metrics, retrieval, use of codes, time and memory.

Imports neither settings nor the command line: functions take values.
"""
