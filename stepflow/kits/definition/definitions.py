"""What an app knows of definitions: those that it has loaded, and all that they may name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stepflow.core.backoff import RetryPolicy
from stepflow.core.graphs.definitions import RUNNER, capability_runner
from stepflow.engine.registry import Registry
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidDefinition, InvalidOption, did_you_mean, shown
from stepflow.kits.definition.carry import Carrying
from stepflow.kits.definition.checking.check import faults_of
from stepflow.kits.definition.checking.source import Fault, Source, read_file
from stepflow.kits.definition.kinds.every import every_kind
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.model import Definition
from stepflow.kits.definition.remote import Remote
from stepflow.kits.definition.submission import spec_of
from stepflow.kits.definition.tools import Tool
from stepflow.kits.definition.triggers.match import on_event, on_message, taken_twice
from stepflow.kits.definition.triggers.schedule import schedules_of
from stepflow.kits.definition.triggers.webhook import webhook_at, webhook_paths
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.workflow import Workflow
from stepflow.settings import Settings

#: a definition as you may give it: its name, its file, plain data, or itself
Given = str | Path | Mapping[str, Any] | Definition
#: endings of the files that a folder is looked through for
ENDINGS = (".yaml", ".yml", ".json")


def files_in(path: Path) -> list[Path]:
    """Give the files of a folder that may have definitions; of a file, that itself."""
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.iterdir() if each.suffix in ENDINGS)


class Definitions:
    """The definitions of an app; `app.definitions(...)` makes it and adds to it."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self.known = Known(settings, runners=lambda: registry.names)
        self.known.kinds.update({kind.name: kind for kind in every_kind()})
        self._registry = registry
        #: those that were taken, by name: what comes later gives way to them
        self._loaded: dict[str, Definition] = {}
        self._remote = Remote(registry, self.known)
        self._places: list[Path] = []
        self._register()

    def _register(self) -> None:
        async def carry(ctx: Context, given: dict[str, Any]) -> Any:
            return await Carrying(ctx, self.known, self._remote, given).carry()

        carry.__name__ = carry.__qualname__ = RUNNER
        workflow = Workflow(carry, takes_input=True, registry=self._registry)
        self._registry.add(RUNNER, workflow, retry=RetryPolicy(), version=1)

    def files(self) -> list[Path]:
        """Give the files that would be loaded now: `stepflow dev` watches them."""
        return [file for place in self._places if place.exists() for file in files_in(place)]

    def allow(
        self,
        *,
        env: Iterable[str] = (),
        capabilities: Iterable[str] = (),
        kinds: Iterable[Any] = (),
        runners: Iterable[str] = (),
        scripts: bool = False,
    ) -> None:
        """Add to what definitions may name, and to what workers of this app do for them."""
        known = self.known
        known.env.update(env)
        known.foreign.update(runners)
        known.has_scripts = known.has_scripts or scripts
        for kind in kinds:
            known.kinds[kind.name] = kind
        self._remote.declare(capabilities)

    def add_tool(self, function: Callable[..., Any], name: str) -> None:
        """Let definitions call *function* as *name*; raises InvalidOption for one that is taken."""
        there = self.known.tools.get(name)
        if there is not None and there.function is not function:
            raise InvalidOption(f"tool {name!r} is registered twice; give one another name")
        self.known.tools[name] = Tool.of(name, function)

    def load(self, place: str | Path) -> None:
        """
        Load a file, or all files of a folder.

        Raises InvalidDefinition, with all that is wrong in any of them.
        """
        path = Path(place)
        if not path.exists():
            raise InvalidOption(f"app.definitions({shown(str(place))}): there is no such folder")
        self._places.append(path.resolve())
        sources = [read_file(each) for each in files_in(path)]
        before, times = dict(self.known.definitions), list(self._registry.schedules)
        self.foresee(sources)
        faults = [fault for source in sources for fault in self._take(source)]
        if faults:  # nothing of them is loaded
            self.known.definitions, self._registry.schedules[:] = before, times
            self._loaded = {name: each for name, each in self._loaded.items() if name in before}
            raise InvalidDefinition(str(place), [str(fault) for fault in faults])

    def foresee(self, sources: Iterable[Source]) -> None:
        """Know the names of all files first: one may run another."""
        for source in sources:
            try:
                found = Definition.model_validate(source.data)
            except ValidationError:
                continue
            self.known.definitions.setdefault(found.name, found)

    def _take(self, source: Source) -> list[Fault]:
        faults = self.faults(source)
        if faults:
            return faults
        definition = Definition.model_validate(source.data)
        there = self.known.definitions.get(definition.name)
        if there is not None and there.version == definition.version and there != definition:
            problem = f"definition {definition.name!r} version {definition.version} is there twice"
            return [source.fault(problem, ("version",))]
        taken = [
            source.fault(problem, ("triggers", number))
            for number, problem in taken_twice(definition, self._loaded)
        ]
        if not taken and (there is None or there.version <= definition.version):
            return self._keep(definition, source)
        return taken

    def _keep(self, definition: Definition, source: Source) -> list[Fault]:
        """Make it the newest of its name, and declare the times at which it runs."""
        try:
            declared = list(schedules_of(definition))
        except InvalidOption as error:
            return [source.fault(str(error), ("triggers",))]
        self.known.definitions[definition.name] = self._loaded[definition.name] = definition
        ids = {each.spec.id for each in declared}
        kept = [each for each in self._registry.schedules if each.spec.id not in ids]
        self._registry.schedules[:] = [*kept, *declared]
        if declared and Path(source.file).is_file():
            written_at = Path(source.file).stat().st_mtime
            self._registry.deployed_at = max(self._registry.deployed_at, written_at)
        return []

    def on_event(self, topic: str, data: Any, event_id: str) -> Sequence[Any]:
        """Give what an event begins: runs to submit, and (run id, signal, payload)."""
        return on_event(self.known.definitions, topic, data, event_id)

    def on_message(self, text: str, message_id: str) -> RunSpec:
        """Give the run that a text begins; raises InvalidOption where nothing takes it."""
        spec: RunSpec = on_message(self.known.definitions, text, message_id)
        return spec

    @property
    def webhooks(self) -> list[str]:
        """The paths of the webhooks that begin definitions."""
        return webhook_paths(self.known.definitions)

    def on_request(self, path: str) -> Any:
        """Give the webhook trigger of *path*, with its definition; None where there is none."""
        return webhook_at(self.known.definitions, path)

    def faults(self, source: Source) -> list[Fault]:
        """List all that is wrong with what *source* says."""
        return source.faults or faults_of(source, self.known)

    def read(self, given: Given) -> Definition:
        """
        Give the definition that is meant, checked.

        Raises InvalidDefinition, or InvalidOption for a name that is not loaded.
        """
        if isinstance(given, str):
            if given not in self.known.definitions:
                names = list(self.known.definitions)
                hint = did_you_mean(given, names) or f"; there are {', '.join(names) or 'none'}"
                raise InvalidOption(f"no definition is called {given!r}{hint}")
            return self.known.definitions[given]
        if isinstance(given, Path):
            source = read_file(given)
        elif isinstance(given, Definition):
            source = Source(given.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        else:
            source = Source(dict(given))
        faults = self.faults(source)
        if faults:
            name = source.data.get("name", "") if isinstance(source.data, dict) else ""
            raise InvalidDefinition(str(name or source.file), [str(fault) for fault in faults])
        return Definition.model_validate(source.data)

    def spec_of(
        self,
        given: Given,
        input: Any = None,  # noqa: A002  as the clients name it
        entry_point: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> RunSpec:
        """Make the run that a client submits; raises InvalidOption, for the input as well."""
        return spec_of(self.read(given), input, entry_point, options)

    def needs(self, spec: RunSpec) -> Mapping[str, str]:
        """Give the runners that steps of the run need, each with a sentence for its lack."""
        steps = spec.payload["definition"]["steps"]
        return {
            capability_runner(step["requires"]): (
                f"step {step['id']!r} requires {step['requires']!r}, which no worker has; start "
                f"one whose app has it: app.definitions(capabilities=[{step['requires']!r}])"
            )
            for step in steps
            if step.get("requires") is not None
        }
