"""Where each name of vfjac stands, for type checkers and for `__init__.py`, which loads it."""
from .fields import (
    VectorField as VectorField, GaussianField as GaussianField,
    MatrixGaussianField as MatrixGaussianField, FunctionField as FunctionField,
    as_field as as_field)
from .posterior import Posterior as Posterior
from .fit import Fit as Fit, fit_field as fit_field, sparse_vfc as sparse_vfc
from .sampling import sample as sample
from .differentiation import (
    analytical_jacobian as analytical_jacobian, numerical_jacobian as numerical_jacobian,
    check_jacobian as check_jacobian, autodiff_field as autodiff_field)
from .embedding import (
    local_maps as local_maps, lift_field as lift_field, regressed_loadings as regressed_loadings,
    decoded_jacobian as decoded_jacobian)
from .projection import project_jacobian as project_jacobian, project_pairs as project_pairs
from .genejacobian import GeneJacobian as GeneJacobian
from .tools import (
    fit_vector_field as fit_vector_field, jacobian as jacobian, get_jacobian as get_jacobian,
    gene_jacobian as gene_jacobian)
from .regulation import fit_production as fit_production
from .diagnostics import diagnose as diagnose
from .ranking import (
    rank_jacobian_genes as rank_jacobian_genes, rank_divergence_genes as rank_divergence_genes,
    compare_groups as compare_groups)
from .networks import (
    jacobian_network as jacobian_network, differential_network as differential_network,
    conserved_network as conserved_network, save_network as save_network)
from .motion import (
    divergence as divergence, speed as speed, curl as curl, acceleration as acceleration,
    curvature as curvature, torsion as torsion, determinant as determinant,
    eigenvalues as eigenvalues, eigenmodes as eigenmodes, sensitivity as sensitivity,
    fixed_points as fixed_points, integrate as integrate, along_path as along_path)
from .perturbation import perturb as perturb, perturb_cells as perturb_cells
from .genesets import gene_set_jacobian as gene_set_jacobian
from .response import (
    response_curve as response_curve, kinetics as kinetics, response_density as response_density)
from .explorer import explore as explore
from .webpage import jacobian_chart as jacobian_chart, report as report
from . import (
    adata as adata, charts as charts, cli as cli, coregulation as coregulation,
    datasets as datasets, diagnostics as diagnostics, diagrams as diagrams,
    differentiation as differentiation, draws as draws, dynamics as dynamics,
    embedding as embedding, enrichment as enrichment, explorer as explorer, fates as fates,
    fields as fields, fit as fit, genejacobian as genejacobian, genesets as genesets,
    knockout as knockout, landscape as landscape, linked as linked, motion as motion,
    networks as networks, pairpage as pairpage, perturbation as perturbation, pl as pl,
    posterior as posterior, pp as pp, projection as projection, ranking as ranking,
    regulation as regulation, response as response, sampling as sampling, several as several,
    tl as tl, tools as tools)

__version__: str
