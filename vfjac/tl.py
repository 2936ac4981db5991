"""Analysis of an AnnData: the verbs of `vf.tl`. Each stands in the module of its notebook."""
import sys

from vfjac.adata import answer_words
from vfjac.coregulation import coregulation, coregulation_curve, hessian, laplacian
from vfjac.docments import add_parameters
from vfjac.draws import drawn_fixed_points, over_draws
from vfjac.enrichment import enrichment
from vfjac.fates import fates, transition_matrix
from vfjac.genesets import gene_set_jacobian
from vfjac.knockout import knock_out
from vfjac.landscape import landscape, least_action
from vfjac.motion import (
    acceleration, along_path, curl, curvature, determinant, divergence, eigenmodes, eigenvalues,
    fixed_points, in_hours, integrate, sensitivity, speed, torsion)
from vfjac.networks import conserved_network, differential_network, jacobian_network, save_network
from vfjac.perturbation import perturb, perturb_cells
from vfjac.ranking import compare_groups, rank_divergence_genes, rank_jacobian_genes
from vfjac.response import kinetics, response_curve, response_density
from vfjac.several import compare_donors, consensus, fit_each

__all__ = [
    "acceleration", "along_path", "compare_donors", "compare_groups", "consensus",
    "conserved_network", "coregulation", "coregulation_curve", "curl", "curvature",
    "determinant", "differential_network", "divergence", "drawn_fixed_points", "eigenmodes",
    "eigenvalues", "enrichment", "fates", "fit_each", "fixed_points", "gene_set_jacobian",
    "hessian", "in_hours", "integrate", "jacobian_network", "kinetics", "knock_out",
    "landscape", "laplacian", "least_action", "over_draws", "perturb", "perturb_cells",
    "rank_divergence_genes", "rank_jacobian_genes", "response_curve", "response_density",
    "save_network", "sensitivity", "speed", "torsion", "transition_matrix"]

for _name in __all__:
    _room = answer_words(add_parameters(sys.modules[globals()[_name].__module__]))
    globals()[_name] = getattr(_room, _name)
