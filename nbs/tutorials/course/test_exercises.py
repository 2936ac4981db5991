"""The exercises of the lessons accept what is right and refuse what is wrong; playgrounds follow their controls.

    python nbs/tutorials/course/test_exercises.py     one PASS or FAIL line for each test
"""

import re
import sys
import traceback
from contextlib import contextmanager

import altair as alt
import numpy as np
from exercises import (
    Exercise,
    Verdict,
    WrongAnswer,
    control,
    hint,
    nearest_choice,
    playground,
    read_number,
    same_numbers,
    same_words,
    slider,
)


@contextmanager
def raises(kind, words):
    "Fail unless the block raises this, with these words."
    try: yield
    except kind as error: assert re.search(words, str(error)), f"{words!r} is not in {str(error)!r}"
    else: raise AssertionError(f"no {kind.__name__} was raised, expected one with {words!r}")


J = np.array([[0.2, -1.5], [-1.1, 0.4]])
ENTRY = Exercise(
    "By how much does the velocity of the first gene change as the second one rises?", J[0, 1],
    mistakes={"That is ∂f_2/∂x_1: the row is the effector, the column the regulator.": J[1, 0]},
    why="Row 0 is the effector, column 1 the regulator.")
KIND = Exercise(
    "A point at rest with eigenvalues −2 and 0.3 is…", "a saddle", choices=["stable", "unstable", "a saddle"],
    mistakes={"One eigenvalue is positive: there is a way out.": "stable"})


def test_comparing():
    assert Verdict("Right.", right=True).right and repr(Verdict("Right.")) == "Right."
    assert WrongAnswer("too large")._render_traceback_() == ["Not right: too large"]
    assert same_words(" Stable ", "stable") and not same_words("saddle", "stable")
    assert same_words(["Gata1", "Spi1"], {"Spi1", "Gata1"})
    assert same_words("evidence", "the evidence") and same_words("(1, 1)", "at (1, 1)")
    assert same_numbers(0.503, 0.5, rtol=0.02, atol=0)
    assert same_numbers([0.12, -1.46], [0.1234, -1.4567], rtol=1e-6, atol=0)   # rounded as it is printed
    assert same_numbers(0.37, 0.3675, rtol=1e-6, atol=0) and not same_numbers(0.36, 0.3675, rtol=1e-6, atol=0)
    assert same_numbers([0.0, 1.46], [0.004, 1.4567], rtol=1e-6, atol=0) and not same_numbers(3.1, 3, rtol=0, atol=0)
    assert same_numbers([[1], [2], [3]], [1, 2, 3], rtol=0.02, atol=0) and same_numbers([0.5], 0.5, rtol=0.02, atol=0)
    assert same_numbers(dict(a=1, b=2), [1, 2], rtol=0, atol=0)
    assert not same_numbers([[1, 2], [3, 4]], [1, 2, 3, 4], rtol=0.02, atol=0)


def test_choosing():
    choices = ["where Gata1 is about 1", "where Gata1 is low", "the held-out R²", "none of the three", "at (1, 1)"]
    for typed, wanted in (("Gata1 about 1", 0), ("LOW", 1), ("held-out R2", 2), ("none", 3), ((1, 1), 4), ("1, 1", 4)):
        assert nearest_choice(typed, choices) == choices[wanted], typed
    for typed in ("where Gata1 is", "nothing", "", 3, "at (1, 1) or none of the three"):   # fits several, or none
        assert nearest_choice(typed, choices) == typed


def test_hints():
    assert hint(0.7, 0.6) == "too large." and hint(7, 9) == "too small." and "one minus it" in hint(0.4, 0.6)
    assert hint(-0.7, 0.6) == "the sign is wrong." and "sign is not" in hint(-0.6, 0.6)
    right = np.array([[0.5, -1.25], [3.0, 0.25]])
    for wrong, words in ((right.T, "exchanged"), (right[::-1], "reversed"), (right[:, ::-1], "columns are in"),
                         (-right, "sign is not"), (np.abs(right), "absolute"), (right / 2, "half"),
                         (right.T[:, :1], "shape"),
                         (right.flat[[2, 0, 1, 3]].reshape(2, 2), "order asked for"),
                         (right * 3.7, "3.7 times"), (right**2, "square")):
        assert words in hint(wrong, right), words
    for wrong, words in ((5.7, "per cent"), (0.57, "decimal point"), (1 / 0.057, "other way"), (0.06, "two")):
        assert words in hint(wrong, 0.057), words
    assert "True or False" in hint([0, 2], np.array([True, False, True]))
    assert "below zero" in hint(-0.5, 0.0) and "above zero" in hint(0.5, 0.0)
    assert "close" in hint([0.52, -1.5], [0.5, -1.5], rtol=1e-6)
    assert hint([1.0], [1.0, 2.0]) == "that is one number, and an array of shape (2,) was asked for."
    assert hint([1.0, 3.0], [1.0, 2.0]) == "1 of 2 values are wrong: the first, [1], should be smaller."
    assert hint(np.nan, 0.5) == "there is a value that is not a number."


def test_unsound_exercises_are_refused():
    with raises(ValueError, "counts as right"): Exercise("?", 1.0, mistakes={"a factor": 1.001})
    with raises(ValueError, "the choices"): Exercise("?", "saddle", choices=["stable", "unstable"])
    with raises(ValueError, "not finite"): Exercise("?", np.inf)


def test_numbers():
    assert ENTRY.check(-1.5).right and ENTRY.check(-1.49).right and ENTRY.check(...).right is None
    with raises(WrongAnswer, "the row is the effector"): ENTRY.check(-1.1)
    with raises(WrongAnswer, "sign is not"): ENTRY.check(1.5)
    with raises(WrongAnswer, "not a number"): ENTRY.check("minus one and a half")
    typed = [read_number(text) for text in ("0.057", "0,057", "5.7 %", "5,7%", "−0.057", "0.03/0.05")]
    np.testing.assert_allclose(typed, [0.057, 0.057, 0.057, 0.057, -0.057, 0.6])
    for text in ("6.25e-7", "6,25e-7", "6.25*10^-7", "6.25 · 10⁻⁷", "6.25*10**-7"):
        np.testing.assert_allclose(read_number(text), 6.25e-7)
    pair = Exercise("?", [0.5, -1.25])
    assert ENTRY.check("-3/2").right and pair.check("[0.5, −1.25]").right and pair.check("0.5 -1.25").right
    with raises(WrongAnswer, "one number"): pair.check("0.5")


def test_names():
    genes = Exercise("?", {"Fog1", "Fli1", "EKLF"})
    assert genes.check(["fog1", "Fli1", "eklf"]).right
    with raises(WrongAnswer, "^2 should not be there: the first, Spi1; 1 of 3 are missing.$"):
        genes.check(["Spi1", "Gata2", "Fog1", "Fli1"])
    with raises(WrongAnswer, "^2 of 3 are missing.$"): genes.check("Fog1")
    with raises(WrongAnswer, "a table"): genes.check(J)
    with raises(WrongAnswer, "a number"): genes.check(3)
    with raises(WrongAnswer, "3 of 3 are missing"): genes.check(set())


def test_proofs():
    assert ENTRY.proves(-3 / 2, wrong=[1.5, 0, None, "left", [-1.5, 0]]).right
    assert KIND.proves("A saddle", wrong=["unstable", "a spiral", 3]).right
    with raises(AssertionError, "accepts -1.5"): ENTRY.proves(-1.5, wrong=[-1.5])
    with raises(WrongAnswer, "too small"): ENTRY.proves(-0.5)
    with raises(AssertionError, "four wrong answers"): ENTRY.proves(-1.5, wrong=[1.5])


def test_forms():
    form = KIND.box()
    assert form.say().right is None
    form.field.value = "stable"
    form.button.click()
    assert form.verdict.right is False and "there is a way out" in form.words.value
    typed = ENTRY.box()
    typed.field.value = "−1.5"   # with a real minus sign, as it is copied from a page
    assert typed.say().right
    typed.field.value = "a lot"
    assert typed.say().right is False


def hill(n, threshold):
    "A rate that rises with x, the steeper the larger n."
    x = np.linspace(0, 2, 41)
    values = [{"x": round(v, 3), "rate": round(v**n / (v**n + threshold**n), 3)} for v in x]
    return alt.Chart(alt.Data(values=values)).mark_line().encode(x="x:Q", y="rate:Q")


def rates(chart): return [row["rate"] for row in chart.to_dict()["data"]["values"]]


def test_controls():
    four = slider("n", 1, 8, 1, 4)
    assert (type(four).__name__, four.value) == ("IntSlider", 4)
    kinds = [type(control("k", w)).__name__ for w in ((0, 1, 0.1, 0.5), ["a", "b"], True)]
    assert kinds == ["FloatSlider", "Dropdown", "Checkbox"]
    with raises(ValueError, "start must lie between"): slider("n", 1, 8, 1, 9)
    with raises(ValueError, "no control for k"): control("k", "a")
    with raises(ValueError, "needs controls"): playground(hill)


def test_a_picture_follows_its_controls():
    steep = playground(hill, n=(1, 8, 1, 4), threshold=(0.5, 1.5, 0.1, 1.0))
    assert rates(steep.chart)[20] == 0.5
    steep.controls["n"].value = 8
    assert steep.values == {"n": 8, "threshold": 1.0}
    assert rates(steep.chart)[10] == round(0.5**8 / (0.5**8 + 1), 3)
    bundle = steep._repr_mimebundle_()
    assert bundle["text/plain"] == "A picture that follows its controls: n, threshold"
    assert "application/vnd.vegalite.v5+json" in bundle


def test_what_goes_wrong_is_said_and_the_picture_stays():
    def fragile(n): return hill(4, {1: 1.0}[n])
    before = playground(fragile, n=(1, 3, 1, 1))
    first = before.chart
    before.controls["n"].value = 2
    assert isinstance(before.problem, KeyError) and "KeyError" in before.words.value and before.chart is first
    before.controls["n"].value = 1
    assert before.problem is None and before.words.value == ""
    with raises(KeyError, "2"): playground(fragile, n=(1, 3, 1, 2))


def main():
    failed = False
    for name, test in [(k, v) for k, v in globals().items() if k.startswith("test_")]:
        try: test()
        except Exception: failed, problem = True, traceback.format_exc()
        else: problem = ""
        print(f"{'FAIL' if problem else 'PASS'} exercises: {name[5:].replace('_', ' ')}\n{problem}", end="")
    return failed


if __name__ == "__main__": sys.exit(main())
