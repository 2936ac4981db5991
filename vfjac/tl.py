"""Analysis of an AnnData: the verbs of `vf.tl`. Each stands in the module of its notebook."""
from vfjac.enrichment import enrichment
from vfjac.knockout import knock_out

__all__ = ["enrichment", "knock_out"]
