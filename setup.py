"""Build metadata: everything comes from settings.ini, the long description from README.md."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]

statuses = ["", "1 - Planning", "2 - Pre-Alpha", "3 - Alpha", "4 - Beta", "5 - Production/Stable"]
pythons = ["3.11", "3.12", "3.13", "3.14"]
extras = ["scvelo", "dynamo", "cellrank", "jax", "torch", "gpu", "dask"]
readme = here / "README.md"

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else cfg["description"],
    long_description_content_type="text/markdown",
    author=cfg["author"],
    url=cfg["git_url"],
    project_urls={"Documentation": cfg["doc_host"] + cfg["doc_baseurl"], "Issues": cfg["git_url"] + "/issues",
                  "Changelog": cfg["git_url"] + "/blob/main/CHANGELOG.md"},
    keywords=cfg["keywords"].split(),
    license=cfg["license"],
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: " + statuses[int(cfg["status"])],
        "Intended Audience :: " + cfg["audience"],
        "Natural Language :: " + cfg["language"],
        "Framework :: Jupyter",
        "Topic :: Scientific/Engineering :: Bio-Informatics",
        *(f"Programming Language :: Python :: {v}" for v in pythons),
    ],
    packages=find_packages(include=[cfg["lib_path"], cfg["lib_path"] + ".*"]),
    include_package_data=True,
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require={
        **{name: cfg[f"{name}_requirements"].split() for name in extras},
        "dev": cfg["dev_requirements"].split() + cfg["dask_requirements"].split(),
    },
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"],
    },
    zip_safe=False,
)
