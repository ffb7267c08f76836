"""Planning: what a run would do, found without doing any of it."""

from __future__ import annotations

from gennaker_engine.planning.pipeline import PipelinePlan, PlannedStage, plan_pipeline
from gennaker_engine.planning.subject import plan_subject

__all__ = ["PipelinePlan", "PlannedStage", "plan_pipeline", "plan_subject"]
