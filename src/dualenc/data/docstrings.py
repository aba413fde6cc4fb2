"""From Python source to questions and answers: docstrings, their prose, its first sentence and the rest."""

import ast
import re
from collections.abc import Iterator
from itertools import chain, dropwhile, groupby, pairwise

SIGNATURE = re.compile(r"[\w.]+\(.*\)( ?->.*)?")
# An upper-case letter must follow, so that "e.g. this" or "v. 2" do not end a sentence.
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*(\s+(?=[\"'(\[]*[A-Z])|$)")
PROSE_DIRECTIVE = re.compile(r"\.\. +(note|warning|tip|important|hint|attention|caution)::\s*")
RULE = re.compile(r"[-=~^*#+`:._|\s]+|\|.*\|")
FIELD = re.compile(r":\w+[^`]*?:(\s|$)|@\w+ |\w+ : ")
DROPPED_SECTIONS = {"example", "examples", "usage", "see also", "reference", "references"}
SECTIONS = DROPPED_SECTIONS | {
    *("parameters", "other parameters", "args", "arguments", "keyword args", "keyword arguments"),
    *("return", "returns", "yields", "raises", "warns", "warnings", "note", "notes", "explanation"),
    *("attributes", "methods", "properties"),
}
MARKUP = [
    # [`name`](link), :role:`text <target>`, `text <target>`_, [footnote]_, ``code``, *emphasis*,
    # %(template)s, escaped characters; in this order.
    (re.compile(r"!?\[`[~.]?([^`\]]*)`\](\([^)]*\))?"), r"\1"),
    (re.compile(r":[\w:+.-]+:`[~!.]*([^`<]*?)\s*(<[^>`]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^>`]*>`__?"), r"\1"),
    (re.compile(r"\s*\[[\w#*.+-]+\]_"), ""),
    (re.compile(r"`__?(?!\w)|`+~?"), ""),
    (re.compile(r"(?<![\w*])\*{1,2}(?=[^\s*])([^*]*?)(?<=[^\s*])\*{1,2}(?![\w*])"), r"\1"),
    (re.compile(r"%\([^)]*\)s"), ""),
    (re.compile(r"\\([][*_|` ])"), r"\1"),
    # Control characters, and halves of surrogate pairs, which UTF-8 cannot encode.
    (re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]"), " "),
]


def docstrings(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(qualified name, docstring) of a module, whose name is empty, and of its classes and functions."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(tree, documented) and (docstring := ast.get_docstring(tree)):
        yield prefix, docstring
    for child in getattr(tree, "body", []):
        if isinstance(child, documented):
            yield from docstrings(child, f"{prefix}.{child.name}" if prefix else child.name)
        elif isinstance(child, ast.If | ast.Try):
            yield from docstrings(child, prefix)


def question_and_answer(docstring: str, max_words: int) -> tuple[str, list[str]]:
    """The first sentence of a docstring and up to ``max_words`` words of the rest.

    Both are empty if the docstring opens with a list of parameters instead of a sentence.
    """
    paragraphs = dropwhile(SIGNATURE.fullmatch, prose(docstring))
    first = next(paragraphs, "")
    if first.partition(":")[0].lower() in SECTIONS or FIELD.match(first):
        return "", []
    end = SENTENCE_END.search(first)
    cut = end.end() if end else len(first)
    words = first[cut:].split()
    while len(words) < max_words and (paragraph := next(paragraphs, None)):
        words += paragraph.split()
    return first[:cut].strip(), words[:max_words]


def prose(docstring: str) -> Iterator[str]:
    """The paragraphs of a docstring as plain text: no code, examples, references, tables or markup."""
    for is_text, lines in groupby(_lines_of_prose(docstring), key=bool):
        text = " ".join(lines) if is_text else ""
        for pattern, replacement in MARKUP:
            text = pattern.sub(replacement, text)
        if text := " ".join(text.split()):
            yield text


def _lines_of_prose(docstring: str) -> Iterator[str]:
    """Stripped lines, the first of a section after its title; an empty line ends a paragraph."""
    heading, dropped = "", False
    for line, following in pairwise(chain(_lines_without_code(docstring), [""])):
        title = line.rstrip(":")
        if title.lower() in SECTIONS and (line.endswith(":") or RULE.fullmatch(following)):
            heading, dropped = f"{title}: ", title.lower() in DROPPED_SECTIONS
            yield ""
        elif not line or dropped or RULE.fullmatch(line):
            yield ""
        else:
            if FIELD.match(line):
                yield ""
            yield heading + line
            heading = ""


def _lines_without_code(docstring: str) -> Iterator[str]:
    """Stripped lines; those of fenced, doctest and literal blocks, and of comments, are empty."""
    in_fence = in_doctest = False
    code_indent = None  # a literal block lasts as long as lines are indented deeper than this
    for line in docstring.splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        fences = text.count("```")
        in_fence ^= fences % 2 == 1
        in_doctest = text != "" and (in_doctest or text.startswith(">>>"))
        if code_indent is not None and text and indent <= code_indent:
            code_indent = None
        if fences or in_fence or in_doctest or code_indent is not None:
            yield ""
        elif text.startswith(".. ") and not PROSE_DIRECTIVE.match(text):
            code_indent = indent
            yield ""
        else:
            text = PROSE_DIRECTIVE.sub("", text)
            if text.endswith("::"):
                code_indent, text = indent, text[:-1]
            yield text
