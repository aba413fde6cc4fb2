"""What is left of a docstring: its question and its answer, as plain text."""

import ast
import inspect

import pytest

from dualenc.data.docstrings import docstrings, question_and_answer


def split(docstring):
    query, words = question_and_answer(inspect.cleandoc(docstring), max_words=60)
    return query, " ".join(words)


def test_docstrings_of_a_module_its_classes_and_functions():
    tree = ast.parse(
        '"""M."""\n'
        "class A:\n    '''A.'''\n    async def f(self):\n        '''f.'''\n"
        "if True:\n    def g():\n        '''g.'''\n"
        "try:\n    pass\nexcept ValueError:\n    pass\n"
        "def undocumented():\n    def inner():\n        '''inner.'''\n"
    )
    expected = [("", "M."), ("A", "A."), ("A.f", "f."), ("g", "g."), ("undocumented.inner", "inner.")]
    assert list(docstrings(tree)) == expected


@pytest.mark.parametrize(
    ("docstring", "query", "passage"),
    [
        ("Sort a list. It is stable.", "Sort a list.", "It is stable."),
        ("Sort a list\nin place.\n\nIt is stable.", "Sort a list in place.", "It is stable."),
        ("Sort a list\n\nIt is stable.", "Sort a list", "It is stable."),
        ("Is it sorted? Then stop.", "Is it sorted?", "Then stop."),
        ("Sort e.g. a list, v. 2.0 only. It is stable.", "Sort e.g. a list, v. 2.0 only.", "It is stable."),
        ("Sort a list.", "Sort a list.", ""),
        ("sort(items, *, key=None) -> list\n\nSort a list. It is stable.", "Sort a list.", "It is stable."),
        ("Parameters\n----------\nx : int\n    A number. It counts.", "", ""),
        ("Args:\n    x: A number. It counts.", "", ""),
        (":param x: A number. It counts.", "", ""),
        ("x : int\n    A number. It counts.", "", ""),
    ],
)
def test_the_first_sentence_asks_and_the_rest_answers(docstring, query, passage):
    assert split(docstring) == (query, passage)


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("Uses ``x`` and `y`.", "Uses x and y."),
        ("Calls :func:`~numpy.linalg.norm` and :class:`A <b.A>`.", "Calls numpy.linalg.norm and A."),
        ("See `the guide <https://example.org>`_ [1]_.", "See the guide."),
        ("Returns a [`Trainer`] or [`~a.B`](https://example.org).", "Returns a Trainer or a.B."),
        ("A **very** *large* number.", "A very large number."),
        (
            "Passes *args and **kwargs, computes x**2 * y**2.",
            "Passes *args and **kwargs, computes x**2 * y**2.",
        ),
        ("Keeps snake_case and __init__.", "Keeps snake_case and __init__."),
        ("Half a \ud800pair and \x1b a bell.", "Half a pair and a bell."),
    ],
)
def test_markup_becomes_plain_text(markup, plain):
    assert split(f"Sentence.\n\n{markup}") == ("Sentence.", plain)


@pytest.mark.parametrize(
    "code",
    [
        ">>> f(1)\n2",
        "```python\nf(1)\n\nf(2)\n```",
        ".. code-block:: python\n\n    f(1)\n\n    f(2)",
        ".. versionadded:: 1.2\n   Something else.",
        ".. [1] A. Author, A book.\n   A publisher.",
        "+---+---+\n| f | 1 |\n+---+---+",
        "Examples\n--------\nNow call it.\n\n>>> f(1)\n\nNotes\n-----",
        "Example::\n\n    f(1)\n\nNote:",
        "See Also\n--------\ng : another function\n\nNotes\n-----",
    ],
)
def test_code_and_references_are_left_out(code):
    query, passage = split(f"Sentence.\n\nBefore.\n\n{code}\n\nAfter.")
    assert query == "Sentence."
    assert passage in ("Before. After.", "Before. Notes: After.", "Before. Note: After.")


def test_a_literal_block_ends_with_its_indentation():
    assert split("Sentence. Do this::\n\n    f(1)::\n\n      g(2)\n\nThen that.")[1] == "Do this: Then that."


def test_admonitions_and_sections_stay():
    docstring = """Sentence.

    .. note:: Take care.

    Parameters
    ----------
    x : int
        A number.

    Returns
    -------
    """
    assert split(docstring) == ("Sentence.", "Take care. Parameters: x : int A number.")


def test_the_answer_is_cut():
    query, words = question_and_answer("One two. " + "A b c.\n\n" * 10, max_words=7)
    assert (query, words) == ("One two.", ["A", "b", "c.", "A", "b", "c.", "A"])
