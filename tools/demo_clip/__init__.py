"""Parts of ``tools/render_demo_clip.py``: bodies, posing, motions, scenery and a small software rasteriser."""
