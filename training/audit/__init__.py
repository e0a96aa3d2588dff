"""Does a table know what it could not have known? Each module looks for one kind of leak and gives findings."""

from __future__ import annotations

from training.audit.findings import Finding, Report
from training.audit.run import audit_history, audit_table

__all__ = ["Finding", "Report", "audit_history", "audit_table"]
