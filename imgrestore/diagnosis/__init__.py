"""What is wrong with a picture: which of six damages, how strong, where, and how sure."""

from __future__ import annotations

from imgrestore.diagnosis.examine import diagnose
from imgrestore.diagnosis.report import Finding, Report

__all__ = ["Finding", "Report", "diagnose"]
