"""The oldest versions that settings.ini allows, as constraints for pip.

    python .ci/lowest.py > lowest.txt && pip install -e . -c lowest.txt

">=2.0" becomes "==2.0.*" and ">=0.10.8" becomes "==0.10.8": the newest bugfix of a series, or the very version.
"""

import re
from configparser import ConfigParser
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def constraints():
    "One constraint for each requirement."
    settings = ConfigParser(delimiters=["="])
    settings.read(TOP / "settings.ini", encoding="utf-8")
    for requirement in settings["DEFAULT"]["requirements"].split():
        name, version = re.match(r"([\w.-]+)>=([\d.]+)", requirement).groups()
        yield f"{name}=={version}" + (".*" if version.count(".") < 2 else "")


if __name__ == "__main__": print("\n".join(constraints()))
