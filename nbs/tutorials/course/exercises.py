"""What the lessons are made of: exercises that check an answer, and pictures drawn anew when a control moves."""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from numbers import Real
from unicodedata import normalize

import altair as alt
import ipywidgets
import numpy as np

from vfjac.charts import stored_bundle
from vfjac.explorer import LinkedChart


class Verdict:
    "What an exercise says to an answer; `right` is None while there is no answer."
    def __init__(self, words: str, right: bool | None = None):
        self.words, self.right = words, right

    def __repr__(self): return self.words


class WrongAnswer(AssertionError):
    "An answer that is not right, with what is known about the mistake: one line instead of a traceback."
    def _render_traceback_(self): return [f"Not right: {self}"]


def words_of(text) -> set:
    "The words and numbers of an answer, without case, signs and articles."
    return set(re.findall(r"\w+", normalize("NFKC", str(text)).casefold())) - {"a", "an", "the", "at", "in"}


def same_words(given, wanted) -> bool:
    "Compare two words, or two sets of words."
    def plain(words): return {frozenset(words_of(w)) for w in ([words] if isinstance(words, str) else words)}
    return plain(given) == plain(wanted)


def nearest_choice(given, choices: Sequence[str]):
    "The one choice that has all words of the answer, else the one whose words it has; else the answer itself."
    if not isinstance(given, (str, tuple, list)) or not (words := words_of(given)): return given
    for fits in (set.__eq__, set.__le__, set.__ge__):
        close = [choice for choice in choices if fits(words, words_of(choice))]
        if close: return close[0] if len(close) == 1 else given
    return given


def read_number(text: str) -> float:
    "Read a number as it is typed: 0.057, 0,057, −2, 5.7 %, 3/5 or 6·10^-7; raises ValueError for anything else."
    text = normalize("NFKC", re.sub("(?<=10)(?=[⁻⁰¹²³⁴-⁹])", "^", text)).strip().replace("−", "-")
    text = re.sub(r"\s*[*·×]\s*10\s*(\^|\*\*)\s*", "e", text)
    if re.fullmatch(r"[-+]?\d+,\d+(e[-+]?\d+)?\s*%?", text): text = text.replace(",", ".")
    above, _, below = text.rstrip(" %").partition("/")
    return float(above) / float(below or 1) / (100 if text.endswith("%") else 1)


def read_numbers(text: str, one: bool):
    "Read a number, or a list of numbers with blanks or commas between them."
    try: return read_number(text)
    except ValueError:
        if one: raise
    return [read_number(part) for part in re.sub(r"[\[\](),;]", " ", text).split()]


def in_shape(given, wanted):
    "Two arrays of numbers; `given` in the shape of `wanted` if it differs by axes of length one only."
    if isinstance(given, Mapping): given = list(given.values())
    given, wanted = np.asarray(given, float), np.asarray(wanted, float)
    alike = [n for n in given.shape if n > 1] == [n for n in wanted.shape if n > 1]
    return (given.reshape(wanted.shape) if alike else given), wanted


def same_numbers(given, wanted, rtol: float, atol: float) -> bool:
    "Compare two arrays of numbers, which must have the same shape; `given` may be rounded to two digits or more."
    given, wanted = in_shape(given, wanted)
    if given.shape != wanted.shape: return False
    if np.allclose(given, wanted, rtol=rtol, atol=atol): return True
    return rtol > 0 and any(np.allclose(given, r, rtol=1e-9, atol=1e-12) for r in roundings(wanted))


def to_digits(wanted: np.ndarray, digits: int) -> np.ndarray:
    "Round each number to so many digits."
    return np.reshape([float(f"{w:.{digits}g}") for w in wanted.flat], wanted.shape)


def roundings(wanted: np.ndarray):
    "Yield numbers rounded to 2-5 digits, and to as many places as leave the largest of them two digits."
    for digits in range(2, 6): yield to_digits(wanted, digits)
    places = 1 - int(np.floor(np.log10(max(np.abs(wanted).max(initial=0), 1e-9))))
    for more in range(4): yield wanted.round(places + more)


TWISTS = {   # mistakes that are made everywhere, as what they make of the right numbers
    "the size is right, the sign is not.": lambda w: -w,
    "the signs are lost: these are absolute values.": np.abs,
    "the order (of the rows, in a table) is reversed.": lambda w: w[::-1],
    "rows and columns are exchanged (effectors and regulators, places and figures): `.T` turns a table.": lambda w: w.T,
    "the columns are in the wrong order.": lambda w: w[:, ::-1],
    "both rows and columns are in the wrong order.": lambda w: w[::-1, ::-1],
    "a hundred times too large: in per cent? Then write the sign, %.": lambda w: 100 * w,
    "a hundred times too small.": lambda w: w / 100,
    "ten times too large: look at the decimal point.": lambda w: 10 * w,
    "ten times too small: look at the decimal point.": lambda w: w / 10,
    "that is one over it: divide the other way round.": lambda w: 1 / w,
    "that is one minus it: what is left.": lambda w: 1 - w,
    "twice as much as was asked for.": lambda w: 2 * w,
    "half of what was asked for.": lambda w: w / 2,
    "that is its square.": np.square,
    "that is its square root.": np.sqrt,
}


def twist(given: np.ndarray, wanted: np.ndarray, rtol: float) -> str:
    "Name the general mistake that makes `given` of `wanted`, or return an empty string."
    rtol, atol = min(rtol, 0.005), 0.002 * np.abs(wanted).max() if wanted.ndim else 0.0
    for words, changed in TWISTS.items():
        try:
            with np.errstate(all="ignore"): value = changed(wanted)
        except IndexError: continue
        if np.isfinite(value).all() and same_numbers(given, value, rtol, atol): return words
    ordered = [np.sort(values, axis=None) for values in (given, wanted)]
    if wanted.ndim and given.shape == wanted.shape and np.allclose(*ordered, rtol, atol):
        return "the numbers are right, but not in the order asked for."
    with np.errstate(all="ignore"): ratio = (given / wanted)[wanted != 0] if given.shape == wanted.shape else np.ones(1)
    if ratio.size > 1 and 0 < abs(ratio[0]) and np.allclose(ratio, ratio[0], rtol=0.01):
        return f"all are {ratio[0]:.3g} times what was asked for: there is a factor too many, or one is missing."
    return ""


def size_of(shape: tuple) -> str:
    "A shape in words."
    return "one number" if np.prod(shape) == 1 else f"an array of shape {shape}"


def hint(given, wanted, rtol: float = 0.02, atol: float = 0.0) -> str:
    "Say what is wrong with a number or an array of numbers, without giving the right one away."
    kind = "; True or False for each" if np.asarray(wanted).dtype == bool else ""
    given, wanted = in_shape(given, wanted)
    if not np.isfinite(given).all(): return "there is a value that is not a number."
    if rtol > 0 and given.shape == wanted.shape and (
            np.allclose(given, wanted, rtol=max(0.06, 2 * rtol), atol=2 * atol)
            or np.array_equal(given, to_digits(wanted, 1))):
        return "close, but not close enough: did you round on the way, or read it off? Give two digits or more."
    if rtol > 0 and not kind and (words := twist(given, wanted, rtol)): return words
    if given.shape != wanted.shape:
        return f"that is {size_of(given.shape)}, and {size_of(wanted.shape)} was asked for{kind}."
    if wanted.ndim:
        wrong = np.argwhere(~np.isclose(given, wanted, rtol=rtol, atol=atol)).tolist()
        at = tuple(wrong[0])
        should = f", should be {'larger' if given[at] < wanted[at] else 'smaller'}" if not kind else ""
        which = "all are" if len(wrong) == wanted.size else f"{len(wrong)} of {wanted.size} values are"
        return f"{which} wrong: the first, {list(at)}{should}."
    if given * wanted < 0: return "the sign is wrong."
    if wanted == 0: return "it is not that far " + ("above zero." if given > 0 else "below zero.")
    return "too large." if abs(given) > abs(wanted) else "too small."


def hint_of_names(given, wanted) -> str:
    "Say what is wrong with a set of names, without giving the right one away."
    names = re.split(r"[,;\s]+", given.strip("{[( )]}")) if isinstance(given, str) else given
    if isinstance(names, Mapping) or np.ndim(names) > 1: return "that is a table: a set of names was asked for."
    if isinstance(names, Real): return "that is a number: a set of names was asked for."
    named, right = ({frozenset(words_of(n)): str(n) for n in some} for some in (names, wanted))
    strange, missing = [named[n] for n in named if n not in right], sum(n not in named for n in right)
    said = [f"{len(strange)} should not be there: the first, {strange[0]}"] if strange else []
    return "; ".join(said + [f"{missing} of {len(right)} are missing"] * bool(missing)) + "."


class Exercise:
    "A question whose answer is checked, with words for the mistakes that can be expected."
    def __init__(
        self,
        question: str,             # With all that is needed to answer it
        answer,                    # Number, array of numbers, word (one of `choices`), or set of words
        *,
        mistakes: Mapping | None = None,  # What a mistake means, and the wrong value it leads to: {words: value}
        rtol: float = 0.02,        # Relative tolerance of numbers
        atol: float = 0.0,         # Absolute tolerance of numbers: needed where the answer is 0
        choices: Sequence[str] | None = None,  # Words to choose from
        why: str = "",             # Said to a right answer
    ):
        self.question, self.answer, self.mistakes, self.why = question, answer, dict(mistakes or {}), why
        self.rtol, self.atol, self.choices = rtol, atol, list(choices or [])
        self.numbers = not isinstance(answer, (str, set, frozenset))
        self._refuse_unsound()

    def _refuse_unsound(self):
        "Raise ValueError if it could not be answered, or a mistake looks right."
        chosen = isinstance(self.answer, str) and self.choices
        if chosen and not any(same_words(self.answer, c) for c in self.choices):
            raise ValueError(f"the answer {self.answer!r} is not among the choices {self.choices}: add it.")
        if self.numbers and not np.isfinite(np.asarray(self.answer, float)).all():
            raise ValueError(f"the answer {self.answer!r} is not finite: give one that a reader can find.")
        for words, value in self.mistakes.items():
            if self._matches(value, self.answer):
                raise ValueError(f"the mistake {words!r} gives {value!r}, which counts as right: "
                                 "choose other numbers, or a smaller tolerance.")

    def _matches(self, given, wanted) -> bool:
        try:
            if not self.numbers: return same_words(nearest_choice(given, self.choices), wanted)
            return same_numbers(self._read(given), wanted, self.rtol, self.atol)
        except (TypeError, ValueError): return False

    def _read(self, given):
        "Numbers that stand in a string."
        return read_numbers(given, np.ndim(self.answer) == 0) if isinstance(given, str) else given

    def check(self, given) -> Verdict:
        "Say whether an answer is right; `...` is none yet. Raises WrongAnswer, with what is known about the mistake."
        if given is ...:
            return Verdict("Not answered yet: put your answer in place of the three dots, and run the cell.")
        if self._matches(given, self.answer): return Verdict(f"Right. {self.why}".strip(), True)
        for words, value in self.mistakes.items():
            if self._matches(given, value): raise WrongAnswer(words)
        raise WrongAnswer(self._about(given))

    def _about(self, given) -> str:
        "What can be said about a wrong answer that nobody expected."
        if isinstance(self.answer, (set, frozenset)): return hint_of_names(given, self.answer)
        if not self.numbers:
            choose = f" Choose among: {', '.join(self.choices)}." if self.choices else ""
            return f"{given!r} is not it." + choose
        try: return hint(self._read(given), self.answer, self.rtol, self.atol)
        except (TypeError, ValueError):
            return f"{given!r} is not a number, and numbers were asked for, such as 0.057, 5.7 % or 3/5."

    def proves(self, right, wrong: Sequence = ()) -> Verdict:
        "Accept `right`, refuse all mistakes and `wrong`, four or more; raises AssertionError where it does not."
        verdict = self.check(right)
        assert verdict.right, f"{right!r} must be accepted: {verdict}"
        for words, value in self.mistakes.items(): self._refuse(value, words)
        for value in wrong: self._refuse(value)
        assert len(self.mistakes) + len(wrong) >= 4, "list four wrong answers or more that readers give"
        return verdict

    def _refuse(self, value, words: str | None = None):
        "Raise AssertionError if an answer is not refused, or not with these words."
        try: self.check(value)
        except WrongAnswer as e:
            if words is None or str(e) == words: return
            raise AssertionError(f"{value!r} was to be refused with {words!r}, and is with {str(e)!r}.") from e
        raise AssertionError(f"the exercise accepts {value!r}, which is wrong.")

    def box(self) -> "AnswerBox":
        "A form to answer in: let it be the last line of a cell."
        return AnswerBox(self)


class AnswerBox(ipywidgets.VBox):
    "A form for one exercise. `.field.value` is the answer, `.say()` checks it, `.verdict` is what was said."
    def __init__(self, exercise: Exercise):
        self.exercise, self.verdict = exercise, Verdict("", None)
        wide = {"width": "max-content"}
        self.field = (
            ipywidgets.RadioButtons(options=exercise.choices, value=None, layout=wide) if exercise.choices
            else ipywidgets.Text(placeholder="your answer", continuous_update=False))
        self.button = ipywidgets.Button(description="Check", tooltip="Check this answer")
        self.words = ipywidgets.HTML()
        self.button.on_click(lambda _: self.say())
        super().__init__([ipywidgets.HTML(escape(exercise.question)), self.field, self.button, self.words])

    def _given(self):
        "What stands in the form: words, a number, or `...` for nothing."
        value = self.field.value
        if value is None or value == "": return ...
        if self.exercise.numbers or self.exercise.choices: return value
        return set(value.replace(",", " ").split())

    def say(self) -> Verdict:
        "Check what stands in the form, and show the verdict."
        try: self.verdict = self.exercise.check(self._given())
        except WrongAnswer as e: self.verdict = Verdict(f"Not right: {e}", False)
        sign = {True: "✓ ", False: "✗ ", None: ""}[self.verdict.right]
        self.words.value = f'<span role="status">{sign}{escape(self.verdict.words)}</span>'
        return self.verdict


def slider(name: str, low: float, high: float, step: float, start: float) -> ipywidgets.Widget:
    "A slider, in whole numbers if all four are."
    if not low <= start <= high or step <= 0:
        raise ValueError(f"the slider {name} = {(low, high, step, start)} is (lowest, highest, step, start): "
                         "the start must lie between, and the step be positive.")
    whole = all(isinstance(v, int) for v in (low, high, step, start))
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return kind(start, min=low, max=high, step=step, description=name, style={"description_width": "initial"})


def control(name: str, wanted) -> ipywidgets.Widget:
    "The control for one argument, see `playground`."
    if isinstance(wanted, ipywidgets.Widget): return wanted
    label = name.replace("_", " ")
    if isinstance(wanted, bool): return ipywidgets.Checkbox(wanted, description=label, indent=False)
    if isinstance(wanted, tuple) and len(wanted) == 4 and all(isinstance(v, Real) for v in wanted):
        return slider(label, *wanted)
    if isinstance(wanted, list) and wanted:
        return ipywidgets.Dropdown(options=wanted, description=label, style={"description_width": "initial"})
    raise ValueError(f"no control for {name} = {wanted!r}: give (lowest, highest, step, start), a list of choices, "
                     "True or False, or a widget.")


class Playground(ipywidgets.VBox):
    "Controls and a chart that follows them; what goes wrong on the way is kept in `problem` and shown."
    def __init__(self, draw: Callable[..., alt.Chart], controls: Mapping):
        self.draw, self.problem = draw, None
        self.controls = {name: control(name, wanted) for name, wanted in controls.items()}
        self.view, self.words = LinkedChart(), ipywidgets.HTML()
        for each in self.controls.values(): each.observe(lambda _: self.redraw(), "value")
        row = ipywidgets.HBox(list(self.controls.values()), layout={"flex_flow": "row wrap"})
        super().__init__([row, self.words, self.view])
        self.redraw()
        if self.problem: raise self.problem

    @property
    def values(self) -> dict:
        "Name and value of each control."
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self) -> None:
        "Draw with the present values; the last picture stays where that fails."
        try: self.chart, self.problem = self.draw(**self.values), None
        except Exception as e:
            self.problem = e
            self.words.value = f'<span role="status">✗ {escape(f"{type(e).__name__}: {e}")}</span>'
            return
        self.words.value = ""
        self.view.show(self.chart.to_dict(), {})

    def _repr_mimebundle_(self, **kwargs) -> dict:
        "The widget, and the picture for those who cannot show it."
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        picture, _ = stored_bundle(self.chart.to_dict())
        controls = "A picture that follows its controls: " + ", ".join(self.controls)
        return {**bundle, **picture, "text/plain": controls}


def playground(
    draw: Callable[..., alt.Chart],  # Called with the values of all controls, by name; gives the chart
    **controls,                      # (lowest, highest, step, start), a list, True or False, or a widget
) -> Playground:                     # A widget: let it be the last line of a cell
    "Draw a chart anew whenever a control moves. What `draw` raises is raised at first, later kept in `.problem`."
    if not controls: raise ValueError("a playground needs controls: playground(draw, beta=(0.1, 2, 0.1, 1)).")
    return Playground(draw, controls)
