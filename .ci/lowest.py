"""The oldest versions that settings.ini allows, as constraints for pip.

    python .ci/lowest.py > lowest.txt && pip install -e . -c lowest.txt

">=2.0" becomes "==2.0.*" and ">=0.10.8" becomes "==0.10.8": the newest bugfix of a series, or the very version.
"""

import re

from nbmd import settings

for requirement in settings()["requirements"].split():
    name, version = re.match(r"([\w.-]+)>=([\d.]+)", requirement).groups()
    print(f"{name}=={version}" + (".*" if version.count(".") < 2 else ""))
