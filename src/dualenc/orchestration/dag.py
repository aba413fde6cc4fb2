"""The jobs of a build, from Snakemake itself: the rules are the only description of the DAG.

`dualenc plan` counts these jobs, and `make stages` writes a DVC stage for each. Reading them takes Snakemake some three
seconds, most of which is its import; nothing is run and nothing is locked.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from dualenc.runtime.errors import UserError
from dualenc.study.config import Study

SNAKEFILE = Path("Snakefile")


class File(NamedTuple):
    """A file that a job reads or writes.

    ``pattern`` has the rule's wildcards in braces, and is None where a function of the rule named the file; ``name`` is
    that of the rule's input, if it has one.
    """

    path: str
    pattern: str | None = None
    name: str | None = None


@dataclass(eq=False)
class Job:
    """A job of the build: its rule, the values of the rule's wildcards, its files, and the jobs that make its inputs.

    ``temporary``: Snakemake deletes what it writes when no other job needs it any more.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: list[File]
    outputs: list[File]
    temporary: bool
    makers: dict[str, "Job"] = field(default_factory=dict)
    """Path of an input -> the job that makes it, if one does."""

    def with_what_it_needs(self) -> Iterator["Job"]:
        """This job and all those that it depends on, each once."""
        found, left = {self}, [self]
        while left:
            job = left.pop()
            yield job
            more = set(job.makers.values()) - found
            found |= more
            left += more


def read(study: Study) -> list[Job]:
    """The jobs of ``snakemake all`` in this folder at the scale of a study, done or not, in no order.

    Raises ``UserError`` for what keeps Snakemake from planning them, such as a file that is missing.
    """
    from snakemake.api import SnakemakeApi  # only now: it takes a second
    from snakemake.exceptions import RuleException, WorkflowError
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

    if not SNAKEFILE.exists():
        raise UserError(f"{SNAKEFILE} does not exist: run this in its folder, the root of the repository.")
    chosen = ConfigSettings(config={"scale": study.scale, "pretrain": study.params.pretrain})
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            workflow = api.workflow(ResourceSettings(cores=1), config_settings=chosen, snakefile=SNAKEFILE)
            workflow.dag(DAGSettings(targets={"all"}, forceall=True))
            within = workflow._workflow  # the API prints a DAG, but does not return it
            within._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True, nolock=True)
            asyncio.run(_expand(within.dag))
            return _jobs(within.dag.dependencies)
        except SystemExit as end:  # the Snakefile's own words
            raise UserError(str(end.code)) from None
        except (RuleException, WorkflowError) as error:
            raise UserError(" ".join(str(error).split())) from None


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """The jobs in an order in which they could run one after the other, the same each time."""
    order = TopologicalSorter({job: job.makers.values() for job in jobs})
    order.prepare()
    found = []
    while order.is_active():
        ready = order.get_ready()
        found += sorted(ready, key=lambda job: (job.rule, *job.wildcards.values()))
        order.done(*ready)
    return found


async def _expand(dag) -> None:
    """Let Snakemake find all jobs; which of them have to run, and in what environments, is not asked."""
    for rule in dag.targetrules:
        await dag.update([await dag.rule2job(rule)], create_inventory=True)


def _jobs(dependencies) -> list[Job]:
    """Snakemake's jobs, as ours."""
    ours = {job: _job(job) for job in dependencies}
    for job, needed in dependencies.items():
        ours[job].makers = {str(path): ours[maker] for maker, paths in needed.items() for path in paths}
    return list(ours.values())


def _job(job) -> Job:
    from snakemake.io import strip_wildcard_constraints

    def files(items, rule_items) -> list[File]:
        fixed = [item for item in rule_items if not callable(item)]
        patterns = {str(item.apply_wildcards(job.wildcards)): strip_wildcard_constraints(item) for item in fixed}
        by_functions = {name for name, (start, _) in rule_items._get_names() if callable(rule_items[start])}
        names: dict[int, str] = {}
        for name, (start, end) in items._get_names():
            names |= dict.fromkeys(range(start, start + 1 if end is None else end), name)
        return [
            File(str(path), None if names.get(place) in by_functions else patterns.get(str(path)), names.get(place))
            for place, path in enumerate(items)
        ]

    temporary = any(path.is_temp for path in job.output)
    inputs, outputs = files(job.input, job.rule.input), files(job.output, job.rule.output)
    return Job(job.rule.name, dict(job.wildcards_dict), inputs, outputs, temporary)
