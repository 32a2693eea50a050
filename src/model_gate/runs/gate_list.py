"""The list of gates that a run has, from its gates files and the options that choose among their entries."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_gate.domain.gates import Gate, LeftOut, Selection
from model_gate.domain.wording import first_names
from model_gate.errors import InputError
from model_gate.inputs.changes import Base, NoBase
from model_gate.inputs.gates_file import GatesFile, parse_gates, read_gates
from model_gate.inputs.options import CommonOptions

# What messages call the text of a gates file in a workflow.
WORKFLOW_TEXT = "The input 'config'"

_NOT_NAMED = "not named by --only"


@dataclass(frozen=True)
class GateList:
    """What a run could run, from its gates files.

    Attributes:
        entries: The gates and the selections in the order of the files.
        only: The names of the entries or gates to run; empty for all.
        left_out: Entries that are left out on purpose, such as those that a pull request does not change.
        inputs: Files that the gates read besides the models.
        notices: What the user should know although it is no error, each in one line.
    """

    entries: tuple[Gate | Selection, ...]
    only: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    inputs: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()


def read_gate_list(
    files: Sequence[Path],
    common: CommonOptions,
    environment: Mapping[str, str],
    only: Sequence[str] = (),
    base: Base | NoBase | None = None,
    text: str | None = None,
) -> GateList:
    """Return the gates of gates files.

    Args:
        files: The gates files.
        common: The options that all commands have. They win over the files.
        environment: The user's environment variables.
        only: The names of the entries or gates to run; empty for all.
        base: What the files are compared with, to run only the entries that a change adds or alters; None to run all.
        text: The text of a gates file that is a part of the workflow, instead of files; None for files.

    Raises:
        ConfigError: A file cannot be read, or is not a valid gates file.
        InputError: No file is named, an option cannot be used, or the base is not known.
        StorageError: The repository is damaged.
    """
    if text is None:
        content = read_gates(files, common, environment)
    else:
        content = parse_gates([(WORKFLOW_TEXT, text)], common, environment, is_declaration=True)
    if base is None:
        return gate_list(content, only)
    # The import takes time, which a run of all gates saves.
    from model_gate.inputs.changed_since import changes_since

    changes = changes_since(files, base)
    removed = tuple(LeftOut(name, f"removed since {changes.base}") for name in changes.removed)
    return gate_list(content, only, (*changes.left_out, *removed), changes.notices)


def gate_list(
    file: GatesFile, only: Sequence[str] = (), left_out: Iterable[LeftOut] = (), notices: Iterable[str] = ()
) -> GateList:
    """Return the gates of gates files.

    Args:
        file: The content of the files.
        only: The names of the entries or gates to run; empty for all.
        left_out: Entries that are left out although `only` does not say so.
        notices: What the user should know about `left_out`.
    """
    unwanted = {entry.name: entry for entry in left_out}
    entries = [entry for entry in file.entries if entry.entry.name not in unwanted]
    skipped = list(unwanted.values())
    if only:
        skipped += [LeftOut(each.entry.name, _NOT_NAMED) for each in entries if not _may_have(each, only)]
        entries = [entry for entry in entries if _may_have(entry, only)]
    seals = (entry.request.seal for entry in entries if isinstance(entry, Gate) and entry.request is not None)
    return GateList(
        tuple(entries),
        tuple(name for name in only if name.partition("/")[0] not in unwanted),
        tuple(skipped),
        tuple(dict.fromkeys(Path(seal.file) for seal in seals if seal is not None)),
        tuple(dict.fromkeys([*notices, *_notices(entries)])),
    )


def _may_have(entry: Gate | Selection, only: Collection[str]) -> bool:
    name = entry.entry.name
    return name in only or (isinstance(entry, Selection) and any(each.startswith(f"{name}/") for each in only))


def _notices(entries: Iterable[Gate | Selection]) -> Iterable[str]:
    for entry in entries:
        if isinstance(entry, Selection):
            yield from entry.notices
        elif entry.request is not None:
            yield from entry.request.notices


def chosen(gates: Sequence[Gate], listed: GateList) -> tuple[list[Gate], list[LeftOut]]:
    """Return the gates that `--only` names by themselves or by their entry, and those that it leaves out.

    Args:
        gates: The gates of the list's entries.
        listed: The list. Its `only` has the names.

    Raises:
        InputError: A name is neither that of a gate nor of an entry.
    """
    if not listed.only:
        return list(gates), []
    names = {name for gate in gates for name in (gate.name, gate.entry.name)}
    # The gates of a selection that failed are not known. Its error stands for them.
    failed = {gate.entry.name for gate in gates if gate.error is not None and gate.name == gate.entry.name}
    only = [entry if (entry := name.partition("/")[0]) in failed else name for name in listed.only]
    unknown = sorted(set(only) - names)
    if unknown:
        names |= {each.name for each in listed.left_out if each.reason == _NOT_NAMED}
        near = difflib.get_close_matches(unknown[0], sorted(names), n=1)
        remedy = f"Name one of {first_names(names)}. Globs have no meaning here." if names else "Correct the name."
        raise InputError(
            f"--only names {first_names(unknown)}, which is no gate.",
            f"Did you mean {near[0]}?" if near else remedy,
        )
    wanted = set(only)
    own, others = [], []
    for gate in gates:
        if wanted.isdisjoint((gate.name, gate.entry.name)):
            others.append(LeftOut(gate.name, _NOT_NAMED))
        else:
            own.append(gate)
    return own, others
