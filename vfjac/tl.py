"""Analysis of an AnnData: the verbs of `vf.tl`. Each stands in the module of its notebook."""
from vfjac.enrichment import enrichment

__all__ = ["enrichment"]
