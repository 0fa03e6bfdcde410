"""Experiments: what is trained, and what is reported of it."""

from expressivity.experiments.studies import (
    data_size,
    heads,
    initialisation,
    must_have_content,
    networks,
    recast,
)
from expressivity.experiments.studies.study import Experiment, Outcome, Plan

EXPERIMENTS: dict[str, Experiment] = {
    "networks": networks.EXPERIMENT,
    "heads": heads.EXPERIMENT,
    "data-size": data_size.EXPERIMENT,
    "recast": recast.EXPERIMENT,
    "initialisation": initialisation.EXPERIMENT,
    "must-have-content": must_have_content.EXPERIMENT,
}

__all__ = ["EXPERIMENTS", "Experiment", "Outcome", "Plan"]
