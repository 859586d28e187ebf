"""Sessions of visitors: settled in order behind the watermark, never revised."""
