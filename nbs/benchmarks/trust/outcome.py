"""What a promise is, how its cases are counted, and what all suites use to judge them."""

import hashlib
import traceback
import warnings
from dataclasses import asdict, dataclass, field

import numpy as np

promises = {}   # suite -> words -> function

# A clear refusal: one of these types, and a message that is a sentence. All else (IndexError, a crash) is a defect.
REFUSALS = (ValueError, TypeError, KeyError, OSError, MemoryError, NotImplementedError)
IN_RANGE = (*REFUSALS, IndexError)   # positions out of range are an IndexError, as everywhere in Python

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

    def ran(self, case, work, *args, refusal=REFUSALS, must_refuse=False, says=""):
        "Run one case now: `work` raises AssertionError, or returns what is wrong in words or False, if it fails."
        self.tried += 1
        try: said = work(*args)
        except refusal as e:
            if len(str(e)) >= 20 and says in str(e): self.refused += 1
            else: self.problems.append(f"{case}: unclear {type(e).__name__}: {e}")
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            self.problems.append(f"{case}: {type(e).__name__} in {where.name}: {str(e).strip()[:400]}")
        else:
            if must_refuse: self.problems.append(f"{case}: accepted, though it must be refused")
            elif isinstance(said, str): self.problems.append(f"{case}: {said}")
            elif said is False: self.problems.append(f"{case}: does not hold")
            else: self.right += 1

    row = asdict

def promise(suite, words):
    "Register a function `(outcome, quick, seed)` that tries the cases of one promise."
    def keep(function):
        promises.setdefault(suite, {})[words] = function
        return function
    return keep

def digest(*arrays):
    "A hash of arrays, dense or sparse."
    h = hashlib.sha256()
    for a in arrays:
        for part in (a.data, a.indices, a.indptr) if hasattr(a, "indptr") else (np.asarray(a),):
            h.update(repr((part.shape, part.dtype.str)).encode() + np.ascontiguousarray(part).tobytes())
    return h.hexdigest()

def close(found, right, tolerance=1e-9, what=""):
    "Assert the same shape, NaN in the same places, and the same numbers to a share of the largest."
    found, right = np.asarray(found), np.asarray(right)
    assert found.shape == right.shape, f"{what}: shape {found.shape} instead of {right.shape}"
    if right.dtype.kind not in "fiubc" or found.dtype.kind not in "fiubc":
        np.testing.assert_array_equal(found, right, err_msg=what)
    else:
        size = np.abs(right[np.isfinite(right)]).max(initial=0) if right.dtype.kind != "b" else 0
        np.testing.assert_allclose(found, right, rtol=0, atol=tolerance * size + 1e-300, err_msg=what)

def heard(work, *args):
    "What a call gives, and its warnings as one text."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = work(*args)
    return found, " | ".join(str(w.message) for w in caught)

def loud(work, *words):
    "What a call gives, if it warns of what it should: one of some words."
    found, said = heard(work)
    assert any(word in said for word in words), f"{words} expected, said: {said or 'nothing'}"
    return found
