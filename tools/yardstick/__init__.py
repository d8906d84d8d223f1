"""Parts of ``tools/measure_yardstick.py``: hand-labelled people in everyday video, and the measures over them."""
