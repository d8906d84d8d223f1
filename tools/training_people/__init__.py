"""Parts of ``tools/render_training_people.py``: random people, motions, cameras and places for training examples."""
