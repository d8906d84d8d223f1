"""Results on disk as tables, and questions to them."""

from sf_detect.archive.parquet_sink import ParquetSink
from sf_detect.archive.schema import VideoFacts

__all__ = ["ParquetSink", "VideoFacts"]
