"""Many videos into one archive: unattended, resumable, nothing lost.

`run` takes the folder, lists videos (`inputs`, `listing`) in the manifest (`manifest`), hands jobs to workers
(`local`) and records how they end. What annotates a video is a protocol (`jobs.VideoAnnotator`).
"""
