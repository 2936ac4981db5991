"""What a promise is, and how its cases are counted: shared by the suites in this folder."""

import hashlib
import traceback
from dataclasses import asdict, dataclass, field

import numpy as np

promises = {}  # suite -> list of (words, function)

# A clear refusal: these types, and a message that is a sentence. All else (IndexError, AttributeError, a crash) is a
# defect.
REFUSALS = (ValueError, TypeError, KeyError, OSError, MemoryError, NotImplementedError)

@dataclass
class Outcome:
    "Cases of one promise: how many were tried, gave a right result, were refused clearly; and what went wrong."
    suite: str
    promise: str
    tried: int = 0
    right: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    note: str = ""
    def ran(self, case: str, work, *, refusal: tuple = REFUSALS, must_refuse: bool = False, says: str = ""):
        "Run one case: `work` returns None (or True) where the result is right, and otherwise says what is wrong."
        self.tried += 1
        try: said = work()
        except refusal as e:
            text = str(e)
            if len(text) < 20 or says and says not in text:
                self.problems.append(f"{case}: unclear {type(e).__name__}: {text}")
            else: self.refused += 1
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            self.problems.append(f"{case}: {type(e).__name__} in {where.name}: {str(e)[:200]}")
        else:
            if must_refuse: self.problems.append(f"{case}: accepted, though it must be refused")
            elif said is None or said is True: self.right += 1
            else: self.problems.append(f"{case}: {said}")
    def row(self) -> dict: return asdict(self)

def promise(suite: str, words: str):
    "Register a function `(outcome, quick, seed)` that tries the cases of one promise."
    def keep(function):
        promises.setdefault(suite, []).append((words, function))
        return function
    return keep

def digest(*arrays) -> str:
    "A hash of arrays, dense or sparse, to see whether one was changed."
    h = hashlib.sha256()
    for a in arrays:
        parts = (a.data, a.indices, a.indptr) if hasattr(a, "indptr") else (np.ascontiguousarray(a),)
        for p in parts: h.update(repr((p.shape, p.dtype.str)).encode() + np.ascontiguousarray(p).tobytes())
    return h.hexdigest()
