"""vfjac: the Jacobian of a single-cell vector field, cell by cell.

The names below are loaded when they are first used, so that `import vfjac` stays quick
and Altair and ipywidgets are only loaded for charts and widgets.
"""
__version__ = "0.1.0"

from importlib import import_module

_home = {
    "fields": ["VectorField", "GaussianField", "MatrixGaussianField", "FunctionField", "as_field"],
    "posterior": ["Posterior"],
    "fit": ["Fit", "fit_field", "sparse_vfc"],
    "sampling": ["sample"],
    "differentiation": ["analytical_jacobian", "numerical_jacobian", "check_jacobian", "autodiff_field"],
    "embedding": ["local_maps", "lift_field", "regressed_loadings", "decoded_jacobian"],
    "projection": ["project_jacobian", "project_pairs"],
    "genejacobian": ["GeneJacobian"],
    "tools": ["fit_vector_field", "jacobian", "get_jacobian", "gene_jacobian"],
    "regulation": ["fit_production"],
    "diagnostics": ["diagnose"],
    "ranking": ["rank_jacobian_genes", "rank_divergence_genes", "compare_groups"],
    "networks": ["jacobian_network", "differential_network", "conserved_network", "save_network"],
    "response": [
        "divergence", "speed", "curl", "acceleration", "curvature", "torsion", "determinant", "eigenvalues",
        "eigenmodes", "sensitivity", "fixed_points", "integrate", "along_path", "response_curve", "kinetics",
        "response_density", "gene_set_jacobian", "perturb", "perturb_cells"],
    "explorer": ["explore", "jacobian_chart", "report"],
}
_modules = [*_home, "adata", "datasets", "charts", "cli", "dynamics", "diagrams", "pl", "pp", "tl", "enrichment",
            "knockout"]
_name_to_module = {name: module for module, names in _home.items() for name in names}

__all__ = [*_name_to_module, "datasets", "charts", "diagrams", "dynamics", "pl", "pp", "tl"]


def __getattr__(name):
    if name in _name_to_module: return getattr(import_module(f"vfjac.{_name_to_module[name]}"), name)
    if name in _modules: return import_module(f"vfjac.{name}")
    raise AttributeError(f"module 'vfjac' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_modules})
