"""The embedded dataset: from installed packages to bytes that do not depend on the machine."""

import hashlib
import json
import platform
import shutil

import pytest

from dualenc.data import collection
from dualenc.data.collection import SPLITS
from dualenc.data.kinds import pydocs
from dualenc.data.kinds.pydocs import Pair
from dualenc.runtime.errors import UserError

PARAMETERS = {
    "max_words": 60,
    "min_query_words": 3,
    "min_passage_words": 8,
    "max_passages": 10_000,
    "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25},
    "max_queries": {"train": 10_000, "validation": 10_000, "test": 10_000},
}


def build(folder, packages, workers=2, **changes):
    """Write the dataset of some packages, with other parameters than `PARAMETERS`."""
    pydocs.build(folder, pydocs.Parameters(kind="pydocs", packages=packages, **PARAMETERS | changes), workers)


def words(topic, count=20):
    """Made-up words that no other topic has."""
    return " ".join(f"w{hashlib.md5(f'{topic}{i}'.encode()).hexdigest()[:6]}" for i in range(count))


def function(name, query, passage):
    return f'def {name}():\n    """{query}\n\n    {passage}\n    """\n'


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of the given files in a folder of its own, and put that folder on the path."""

    def install(package, files, version="1.2", folder="site"):
        site = tmp_path / folder
        for name, source in files.items():
            path = site / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        info = site / f"{package}_dist-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}-dist\nVersion: {version}\n", encoding="utf-8"
        )
        (info / "top_level.txt").write_text(f"{package}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        return site

    return install


def many_modules(count=40):
    """Modules m0, m1, ... with two documented functions each, so that every split has some."""
    topics = [(i, name) for i in range(count) for name in ("first", "second")]
    sources = {f"m{i}.py": "" for i in range(count)}
    for i, name in topics:
        sources[f"m{i}.py"] += function(name, f"Ask about {words((i, name), 3)}.", f"Say {words((i, name, 'p'))}.")
    return sources


def read(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def texts(folder):
    passages = dict(collection.passages(folder).itertuples(index=False, name=None))
    queries = {split: dict(collection.queries(folder, split).itertuples(index=False, name=None)) for split in SPLITS}
    return passages, queries


def test_a_package_becomes_a_dataset(tmp_path, install):
    install("toy", many_modules(), version="3.4")
    build(tmp_path / "out", ["toy"])
    collection.check_folder(tmp_path / "out")
    passages, queries = texts(tmp_path / "out")
    assert passages["toy.m3:second"] == f"Say {words((3, 'second', 'p'))}."
    together = queries["train"] | queries["validation"] | queries["test"]
    assert together["toy.m3:second"] == f"Ask about {words((3, 'second'), 3)}."
    assert sorted(together) == sorted(passages) and len(passages) == 80
    for split in SPLITS:
        assert collection.qrels(tmp_path / "out", split) == {qid: {qid: 1} for qid in queries[split]}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["python"] == platform.python_version()
    assert manifest["packages"] == {"toy": "3.4"}
    assert manifest["parameters"]["fractions"] == PARAMETERS["fractions"]
    assert manifest["counts"] == {
        "modules": 40,
        "unreadable modules": 0,
        "docstrings": 80,
        "docstrings with an answer": 80,
        "pairs": 80,
        "distinct pairs": 80,
        "pairs with an unambiguous query": 80,
    }


def test_the_bytes_depend_neither_on_the_place_nor_on_workers_nor_on_the_order(tmp_path, install):
    outputs = []
    for place, workers, packages in [("here", 1, ["toy", "json"]), ("there/and/deeper", 2, ["json", "toy"])]:
        site = install("toy", many_modules(), folder=place)
        build(tmp_path / str(workers), packages, workers)
        outputs.append(read(tmp_path / str(workers)))
        shutil.rmtree(site)
    manifests = [json.loads(output.pop("manifest.json")) for output in outputs]
    assert outputs[0] == outputs[1]
    assert manifests[0] == manifests[1]


def test_the_standard_library_twice(tmp_path):
    packages = ["json", "email", "logging", "asyncio", "concurrent", "unittest", "textwrap"]
    for name in ("once", "twice"):
        build(tmp_path / name, packages)
    assert read(tmp_path / "once") == read(tmp_path / "twice")
    passages, queries = texts(tmp_path / "once")
    modules = {split: {qid.partition(":")[0] for qid in queries[split]} for split in SPLITS}
    assert not modules["train"] & modules["test"] and not modules["train"] & modules["validation"]
    assert not modules["validation"] & modules["test"]
    together = queries["train"] | queries["validation"] | queries["test"]
    assert together["textwrap:dedent"] == "Remove any common leading whitespace from every line in text."
    assert all(8 <= len(text.split()) <= 60 for text in passages.values())
    assert all(3 <= len(text.split()) <= 60 for text in together.values())
    versions = json.loads((tmp_path / "once" / "manifest.json").read_text(encoding="utf-8"))["packages"]
    assert versions == dict.fromkeys(packages, platform.python_version())


def test_stdlib_is_the_whole_standard_library_without_its_tests():
    version, files = pydocs.find("stdlib", {})
    assert version == platform.python_version()
    assert {"json", "json.decoder", "textwrap", "logging.handlers"} <= set(files)
    assert not any({"test", "tests", "lib2to3", "site-packages"} & set(name.split(".")) for name in files)


def test_only_readable_documentation_is_read(tmp_path, install):
    sources = many_modules()
    documented = function("f", "A question nobody should see.", f"Say {words('hidden')}.")
    hidden = ["tests/test_a.py", "_vendor/b.py", "conftest.py"]
    install("toy", sources | dict.fromkeys(hidden, documented) | {"broken.py": documented + "def (:\n"})
    build(tmp_path / "out", ["toy"])
    passages, _ = texts(tmp_path / "out")
    assert {pid.partition(":")[0] for pid in passages} == {f"toy.m{i}" for i in range(40)}
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["counts"]
    assert (counts["modules"], counts["unreadable modules"]) == (41, 1)


def test_short_and_repeated_names(install, tmp_path):
    site = install(
        "toy",
        {
            "a.py": function("short_answer", "A question long enough.", "Say little.")
            + function("short_question", "Question.", f"Say {words(1)}.")
            + function("twice", "The first of two.", f"Say {words(2)}.")
            + function("twice", "The second of two.", f"Say {words(3)}.")
        },
    )
    pairs, counts = pydocs.read_module(
        "toy.a", site / "toy" / "a.py", max_words=60, min_query_words=3, min_passage_words=8
    )
    assert pairs == [Pair("toy.a:twice", "The first of two.", f"Say {words(2)}.")]
    assert counts["docstrings"] == 4 and counts["docstrings with an answer"] == 3 and counts["pairs"] == 1


def test_near_duplicates_are_dropped_whatever_their_case_and_punctuation():
    text = words("text", 30).split()
    pairs = [
        Pair("a", "one", " ".join(text)),
        Pair("copy", "two", " ".join(text).upper().replace(" ", ", ")),
        Pair("edited", "three", " ".join([*text[:25], *words("other", 5).split()])),
        Pair("half", "four", " ".join([*text[:10], *words("another", 30).split()])),
        Pair("composed", "five", " ".join([*words("another", 20).split(), *text[10:25]])),
    ]
    assert [pair.id for pair in pydocs.distinct(pairs)] == ["a", "half"]


def test_no_two_real_passages_are_similar(tmp_path):
    build(tmp_path, ["email", "logging", "http", "unittest"])
    grams = []
    for text in collection.passages(tmp_path).text:
        tokens = pydocs.normalised(text)
        grams.append({tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)})
    similarities = [len(a & b) / len(a | b) for i, a in enumerate(grams) for b in grams[:i]]
    assert 0 < max(similarities) <= 0.5


def test_a_query_with_two_answers_is_not_asked(tmp_path, install):
    sources = many_modules()
    sources["m1.py"] += function("f", "Return the very same thing.", f"Say {words('f')}.")
    sources["m2.py"] += function("g", "Return the very *same* thing!", f"Say {words('g')}.")
    install("toy", sources)
    build(tmp_path / "out", ["toy"])
    passages, queries = texts(tmp_path / "out")
    assert {"toy.m1:f", "toy.m2:g"} <= set(passages)
    assert not {"toy.m1:f", "toy.m2:g"} & {qid for split in SPLITS for qid in queries[split]}


def test_caps_keep_every_positive_and_choose_by_hash(tmp_path, install):
    install("toy", many_modules())
    caps = {"train": 6, "validation": 3, "test": 2}
    build(tmp_path / "all", ["toy"])
    build(tmp_path / "few", ["toy"], **{"max_queries": caps, "max_passages": 20})
    build(tmp_path / "least", ["toy"], **{"max_queries": caps, "max_passages": 1})
    build(tmp_path / "whole", ["toy"], **{"max_queries": dict.fromkeys(SPLITS)})
    assert texts(tmp_path / "whole") == texts(tmp_path / "all")
    all_queries, (passages, queries) = texts(tmp_path / "all")[1], texts(tmp_path / "few")
    assert {split: len(queries[split]) for split in SPLITS} == caps
    assert all(queries[split].items() <= all_queries[split].items() for split in SPLITS)
    assert len(passages) == 20
    least, asked = texts(tmp_path / "least")
    assert asked == queries
    assert set(least) == {qid for split in SPLITS for qid in queries[split]}


def test_splits_follow_their_fractions_and_never_cut_a_module():
    fractions = {"train": 0.8, "validation": 0.05, "test": 0.15}
    counts = dict.fromkeys(SPLITS, 0)
    for i in range(4000):
        split = pydocs.split_of(Pair(f"package.module{i}:f", "", ""), fractions)
        assert split == pydocs.split_of(Pair(f"package.module{i}:A.g", "", ""), fractions)
        assert split == pydocs.split_of(Pair(f"package.module{i}", "", ""), fractions)
        counts[split] += 1
    for split, share in fractions.items():  # five standard deviations of a binomial
        assert abs(counts[split] / 4000 - share) < 5 * (share * (1 - share) / 4000) ** 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"packages": ["json", "no_such_package"]}, "package 'no_such_package' is not installed; "),
        ({"packages": ["math"]}, "package 'math' has no Python source; "),
        (
            {"fractions": {"train": 1 - 2e-9, "validation": 1e-9, "test": 1e-9}},
            "queries.validation.parquet has no queries; ",
        ),
    ],
)
def test_wrong_parameters(tmp_path, changes, message):
    with pytest.raises(UserError) as error:
        build(tmp_path / "out", **{"packages": ["json"]} | changes)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
