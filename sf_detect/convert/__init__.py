"""Results in the formats of other tools, and annotations of other tools as data to train on.

Readers give `VideoRecords`, writers take them; `formats` knows them all by name.
"""

from sf_detect.convert.formats import READERS, WRITERS, convert, kind_of
from sf_detect.convert.supervision import to_supervision
from sf_detect.convert.video_records import VideoRecords

__all__ = ["READERS", "WRITERS", "VideoRecords", "convert", "kind_of", "to_supervision"]
