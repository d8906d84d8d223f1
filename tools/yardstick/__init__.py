"""The yardstick: hand-labelled people in everyday video, and the measures that ``tools/measure_yardstick.py`` prints."""
