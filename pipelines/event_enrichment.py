"""`python -m pipelines.event_enrichment`: events with user, product, place and device, to the lake and topics."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import apache_beam as beam
