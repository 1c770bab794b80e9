"""What references of a definition may speak of, at each place of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from stepflow.errors import InvalidExpression, did_you_mean
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.model import ROOTS, StepSpec, above
from stepflow.kits.definition.values.expressions import names_in
from stepflow.kits.definition.values.templates import references_in

Found = Iterator[tuple[Way, str]]


class Reach:
    """
    The steps, the input's schema and the variables that references find.

    *more* are roots that stand only at some places: an item of a map, the result that is undone.
    """

    def __init__(self, data: Mapping[str, Any], steps: Collection[StepSpec], known: Known) -> None:
        self.known = known
        self._steps = steps
        given = data.get("steps")
        self.every_step = frozenset(
            each["id"]
            for each in (given if isinstance(given, list) else ())
            if isinstance(each, dict) and isinstance(each.get("id"), str)
        )
        self._input = data.get("input")
        declared = data.get("env")
        self._env = frozenset(map(str, declared if isinstance(declared, list) else ()))

    def above(self, step: StepSpec) -> frozenset[str]:
        """Give the steps that have ended when *step* begins."""
        return frozenset(above(self._steps, step.id))

    def references(
        self,
        value: Any,
        way: Way,
        steps: Collection[str],
        *,
        more: Collection[str] = (),
        env: bool = False,
    ) -> Found:
        """Say which references in the texts of *value* cannot lead anywhere."""
        for inside, reference in references_in(value):
            problem = self._problem(reference.root, reference.way, steps, more, env=env)
            if problem is not None:
                yield (*way, *inside), f"{reference.written}: {problem}"

    def expression(
        self, expression: Any, way: Way, steps: Collection[str], more: Collection[str] = ()
    ) -> Found:
        """Say the same of an expression, and what cannot be read of it."""
        if not isinstance(expression, str):
            return
        try:
            for root, *rest in names_in(expression):
                problem = self._problem(str(root), tuple(rest), steps, more, env=False)
                if problem is not None:
                    yield way, f"expression {expression!r}: {problem}"
        except InvalidExpression as error:
            yield way, str(error)

    def steps_named_by(self, step: StepSpec) -> set[str]:
        """Give the steps that the input and the expressions of *step* refer to."""
        named = {
            str(reference.way[0])
            for _, reference in references_in(step.input)
            if reference.root == "steps" and reference.way
        }
        if step.skip_if is not None:
            try:
                ways = list(names_in(step.skip_if))
            except InvalidExpression:
                return named
            named |= {str(way[1]) for way in ways if way[0] == "steps" and len(way) > 1}
        return named

    def _problem(
        self, root: str, way: Way, steps: Collection[str], more: Collection[str], *, env: bool
    ) -> str | None:
        if root == "steps":
            return self._of_step(way, steps)
        if root == "env":
            return self._of_env(way, is_allowed=env)
        if root == "input":
            return self._of_input(way)
        if root in more:
            return None
        if root in ROOTS:
            return f"there is no {root!r} here"
        return (
            f"nothing is called {root!r}; references begin with input, steps or env"
            f"{did_you_mean(root, ['input', 'steps', 'env'])}, and text in braces that is none is "
            "written with two: {{...}}"
        )

    def _of_step(self, way: Way, steps: Collection[str]) -> str | None:
        if not way:
            return "name a step: {steps.ID}"
        name = str(way[0])
        if name not in self.every_step:
            return f"no step is called {name!r}{did_you_mean(name, list(self.every_step))}"
        if name not in steps:
            return f"step {name!r} need not have ended by then; put it into depends_on"
        return None

    def _of_env(self, way: Way, *, is_allowed: bool) -> str | None:
        if not is_allowed:
            return (
                "the environment is not for this place, whose text is stored; give the variable to "
                "a step that does work: http, script, tool"
            )
        if len(way) != 1:
            return "write {env.NAME}"
        if way[0] not in self._env:
            return f"put {way[0]} into the definition's env"
        if self.known.is_app and way[0] not in self.known.env:
            return f"this app does not let definitions read {way[0]}: app.definitions(env=[...])"
        return None

    def _of_input(self, way: Way) -> str | None:
        """Go down the schema as far as that says which properties there are."""
        schema: Any = self._input
        for part in way:
            if not isinstance(schema, Mapping) or "properties" not in schema:
                return None
            properties = schema["properties"]
            if not isinstance(properties, Mapping):
                return None
            if part not in properties:
                if schema.get("additionalProperties") or "patternProperties" in schema:
                    return None
                hint = did_you_mean(str(part), list(map(str, properties)))
                return f"the input's schema has no {str(part)!r}{hint}"
            schema = properties[part]
        return None
