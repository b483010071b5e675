"""A caller's pipeline -> stages written by us, and every stored path they refer to.

Nothing of what was sent is passed on: stages, accumulators and expression operators come from allow-lists, and so do
the keys of each stage. A `$lookup` is kept as a Join, which planning narrows to what the caller may see over there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bson import encode
from bson.errors import InvalidDocument

from permission_mongo.errors import CollectionNotFound, InvalidRequest
from permission_mongo.query.expressions import Expressions, Here, is_name, only_key, require_keys, scalar
from permission_mongo.query.filters import MOST_BYTES, is_field_path, read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.query.scope import Asked, Joining, Scope
from permission_mongo.schema.model import Collection
from permission_mongo.values import CODEC, is_extended

Stage = dict[str, Any]
STAGES: Final = frozenset(
    {
        *("$match", "$project", "$addFields", "$set", "$unset", "$group", "$sort", "$limit", "$skip", "$unwind"),
        *("$count", "$sortByCount", "$bucket", "$facet", "$lookup"),
    }
)
ACCUMULATORS: Final = frozenset(
    {
        *("$sum", "$avg", "$min", "$max", "$first", "$last", "$push", "$addToSet", "$count"),
        *("$stdDevPop", "$stdDevSamp"),
    }
)
# MongoDB hands groups out in an order that it draws anew each time.
_ORDER: Final[Mapping[str, Stage]] = {"$group": {"_id": 1}, "$sortByCount": {"count": -1, "_id": 1}}
_MAKES_ALL_ANEW: Final = frozenset({"$group", "$count", "$sortByCount", "$bucket"})
_MOST_KEYS: Final = 32  # of a sort, as in MongoDB


@dataclass(frozen=True, slots=True)
class Join:
    """Rows of `collection` whose `foreign` is one of the row's `local`, as the list `name`: the `used` paths."""

    collection: Collection
    local: str
    foreign: str
    name: str
    used: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages in order, every stored path they refer to as the caller wrote it, and the first wrong value, if any."""

    stages: tuple[Stage | Join, ...]
    paths: frozenset[str]
    fault: str | None = None


def read_pipeline(sent: Any, collection: Collection, others: Mapping[str, Collection], limits: Limits) -> Pipeline:
    """`others` are the collections that `$lookup` may name. InvalidRequest names the stage or place not taken."""
    asked = Asked(limits)
    reader = _Reader(asked, others)
    stages = reader.stages(sent, Scope(collection), "pipeline")
    if not _names_fields(stages):
        raise InvalidRequest(
            "pipeline: it would show whole documents; "
            "name its fields by $project, $group, $count, $sortByCount or $bucket"
        )
    pipeline = Pipeline(tuple(map(_finished, stages)), frozenset(asked.paths), asked.fault)
    _require_size(pipeline)
    return pipeline


def _finished(stage: Stage | Joining) -> Stage | Join:
    if not isinstance(stage, Joining):
        return stage
    if not stage.used:
        raise InvalidRequest(f"$lookup: name the fields of '{stage.name}' that you use, such as '{stage.name}._id'")
    return Join(stage.collection, stage.local, stage.foreign, stage.name, tuple(sorted(stage.used)))


def _require_size(pipeline: Pipeline) -> None:
    try:
        stages = [stage for stage in pipeline.stages if not isinstance(stage, Join)]
        size = len(encode({"p": stages}, codec_options=CODEC))
    except (InvalidDocument, OverflowError) as error:
        raise InvalidRequest("pipeline: holds a value that can't be stored") from error
    if size > MOST_BYTES:
        raise InvalidRequest(f"pipeline: {size} bytes; at most {MOST_BYTES}")


def _names_fields(stages: Iterable[Stage | Joining]) -> bool:
    """Whether the rows that come out hold named fields only. Ask of stages as written."""
    return any(_names_all(*next(iter(stage.items()))) for stage in stages if not isinstance(stage, Joining))


def _names_all(stage: str, spec: Any) -> bool:
    if stage == "$project":
        return any(value != 0 for value in spec.values())
    if stage == "$facet":
        return all(_names_fields(pipeline) for pipeline in spec.values())
    return stage in _MAKES_ALL_ANEW


def _is_included(value: Any) -> bool:
    return value is True or (isinstance(value, int) and value == 1)


def _is_excluded(value: Any) -> bool:
    return value is False or (isinstance(value, int) and value == 0)


@dataclass(frozen=True, slots=True)
class _Reader:
    asked: Asked
    others: Mapping[str, Collection]
    nested: bool = False

    def stages(self, sent: Any, scope: Scope, place: str) -> list[Stage | Joining]:
        if not isinstance(sent, list) or not sent:
            raise InvalidRequest(f'{place}: expected a list of at least one stage such as {{"$match": {{}}}}')
        self.asked.stage(len(sent))
        written: list[Stage | Joining] = []
        for n, stage in enumerate(sent):
            if not isinstance(stage, dict) or not stage:
                raise InvalidRequest(f'{place}[{n}]: expected a stage such as {{"$match": {{}}}}')
            for name in stage:
                if name not in STAGES:
                    raise InvalidRequest(f"{place}[{n}]: the stage '{name[:100]}' is not taken here", stage=name[:100])
            name = only_key(stage, f"{place}[{n}]")
            self.asked.weight = 0
            one, scope = self._stage(name, stage[name], scope, f"{place}[{n}].{name}")
            written.append(one)
            if name in _ORDER:
                written.append({"$sort": _ORDER[name]})
        return written

    def _stage(self, name: str, spec: Any, scope: Scope, place: str) -> tuple[Stage | Joining, Scope]:
        match name:
            case "$match":
                return self._match(spec, scope, place)
            case "$project":
                return self._project(spec, scope, place)
            case "$addFields" | "$set":
                return self._add_fields(spec, scope, place)
            case "$unset":
                return self._unset(spec, scope, place)
            case "$group":
                return self._group(spec, scope, place)
            case "$sort":
                return self._sort(spec, scope, place)
            case "$limit" | "$skip":
                return {name: _whole(spec, 1 if name == "$limit" else 0, place)}, scope
            case "$unwind":
                return self._unwind(spec, scope, place)
            case "$count":
                return {name: _name(spec, place)}, scope.only({spec: 1})
            case "$sortByCount":
                key, weight = self._key(spec, scope, place)
                return {name: key}, scope.only({"_id": weight, "count": 1})
            case "$bucket":
                return self._bucket(spec, scope, place)
            case "$facet":
                return self._facet(spec, scope, place)
            case _:
                return self._lookup(spec, scope, place)

    def _match(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        query = read_filter(spec, scope, self.asked.limits)
        self.asked.clause(place, query.clauses)
        for path in query.paths:
            scope.note(path, self.asked)
        if self.asked.fault is None and query.fault is not None:
            self.asked.fault = f"{place}: {query.fault}"
        return {"$match": query.match}, scope

    def _project(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        leaves = self._leaves(spec, place)
        excluded = [name for name, value in leaves.items() if _is_excluded(value)]
        if len(excluded) == len(leaves):
            return self._without(leaves, scope, place)
        if excluded not in ([], ["_id"]):
            raise InvalidRequest(f"{place}: fields are either named or left out, '_id' apart")
        included = [name for name, value in leaves.items() if _is_included(value)]
        for name in included:
            scope.note(name, self.asked)
        computed = {name: value for name, value in leaves.items() if name not in included and name not in excluded}
        written, weights = self._computed(computed, scope, place, numbers=False)
        after = scope.keeping(included, with_id="_id" not in excluded).making(weights)
        return {"$project": {**dict.fromkeys(included, 1), **dict.fromkeys(excluded, 0), **written}}, after

    def _without(self, names: Iterable[str], scope: Scope, place: str) -> tuple[Stage, Scope]:
        for name in names:
            scope.note(name, self.asked)
        return {"$project": dict.fromkeys(names, 0)}, scope

    def _add_fields(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        written, weights = self._computed(self._leaves(spec, place), scope, place, numbers=True)
        return {"$addFields": written}, scope.making(weights)

    def _unset(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        names = spec if isinstance(spec, list) else [spec]
        if not names or not all(isinstance(name, str) and is_field_path(name) for name in names):
            raise InvalidRequest(f"{place}: expected fields such as 'status' or 'address.city'")
        self._require_apart(dict.fromkeys(names), place)
        return self._without(dict.fromkeys(names), scope, place)

    def _computed(
        self, leaves: Mapping[str, Any], scope: Scope, place: str, *, numbers: bool
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """The expressions by the path they are for, and their weights. `numbers` may stand for themselves."""
        reader, written, weights = Expressions(scope, self.asked), {}, {}
        for name, value in leaves.items():
            at = f"{place}.{name}"
            if not numbers and isinstance(value, int | float):
                raise InvalidRequest(f'{at}: expected 0, 1 or an expression; a number is written {{"$literal": 5}}')
            written[name], weights[name] = reader.measured(value, Here(at))
        return written, weights

    def _leaves(self, spec: Any, place: str) -> dict[str, Any]:
        """`{"a": {"b": 1}}` and `{"a.b": 1}` are one; what MongoDB gets is the latter."""
        leaves: dict[str, Any] = {}
        self._gather(spec, "", place, 1, leaves)
        self._require_apart(leaves, place)
        return leaves

    def _gather(self, spec: Any, prefix: str, place: str, depth: int, leaves: dict[str, Any]) -> None:
        self.asked.depth(place, depth)
        if not isinstance(spec, dict) or not spec:
            raise InvalidRequest(f'{place}: expected an object of fields such as {{"status": 1}}')
        for name, value in spec.items():
            path = f"{prefix}{name}"
            if not is_field_path(path):
                raise InvalidRequest(f"{place}: a field is named like 'status' or 'address.city'")
            if isinstance(value, dict) and not is_extended(value) and not any(key.startswith("$") for key in value):
                self._gather(value, f"{path}.", f"{place}.{name}", depth + 1, leaves)
            elif path in leaves:
                raise InvalidRequest(f"{place}: '{path}' is named twice")
            else:
                leaves[path] = value

    def _require_apart(self, names: Mapping[str, Any], place: str) -> None:
        """No path with another below it: MongoDB refuses such a projection."""
        self.asked.clause(place, len(names))
        paths = {tuple(name.split(".")): name for name in names}
        for path, name in paths.items():
            above = next((paths[path[:n]] for n in range(1, len(path)) if path[:n] in paths), None)
            if above is not None:
                raise InvalidRequest(f"{place}: '{above}' and '{name}' can't both be named")

    def _key(self, sent: Any, scope: Scope, place: str) -> tuple[Any, int]:
        """What rows are grouped by: a field or an operator."""
        is_operator = isinstance(sent, dict) and next(iter(sent), "").startswith("$") and not is_extended(sent)
        if not is_operator and not (isinstance(sent, str) and sent.startswith("$")):
            raise InvalidRequest(f"{place}: expected a field such as '$status', or an operator on fields")
        return Expressions(scope, self.asked).measured(sent, Here(place))

    def _group(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        if not isinstance(spec, dict) or "_id" not in spec:
            raise InvalidRequest(f"{place}: expected an object with '_id', what to group by; null is all rows")
        key, weight = Expressions(scope, self.asked).measured(spec["_id"], Here(f"{place}._id"))
        written, weights = self._accumulated({n: v for n, v in spec.items() if n != "_id"}, scope, place)
        return {"$group": {"_id": key, **written}}, scope.only({"_id": weight, **weights})

    def _accumulated(self, spec: Mapping[str, Any], scope: Scope, place: str) -> tuple[dict[str, Any], dict[str, int]]:
        written: dict[str, Any] = {}
        weights: dict[str, int] = {}
        for name, sent in spec.items():
            at = f"{place}.{name}"
            _name(name, place)
            if not isinstance(sent, dict) or not sent:
                raise InvalidRequest(f'{at}: expected an accumulator such as {{"$sum": "$price"}}')
            operator = only_key(sent, at)
            if operator not in ACCUMULATORS:
                told = operator[:100]
                raise InvalidRequest(f"{at}: the accumulator '{told}' is not taken here", operator=told)
            self.asked.clause(at)
            operand, weights[name] = self._operand(operator, sent[operator], scope, f"{at}.{operator}")
            written[name] = {operator: operand}
        return written, weights

    def _operand(self, operator: str, sent: Any, scope: Scope, place: str) -> tuple[Any, int]:
        if operator == "$count":
            if sent != {}:
                raise InvalidRequest(f"{place}: expected {{}}")
            return {}, 1
        if isinstance(sent, list):
            raise InvalidRequest(f"{place}: expected one expression")
        return Expressions(scope, self.asked).measured(sent, Here(place))

    def _sort(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        if not isinstance(spec, dict) or not 1 <= len(spec) <= _MOST_KEYS:
            raise InvalidRequest(f'{place}: expected 1 to {_MOST_KEYS} fields such as {{"status": 1, "age": -1}}')
        for name, direction in spec.items():
            if not is_field_path(name) or isinstance(direction, bool) or direction not in (1, -1):
                raise InvalidRequest(f"{place}: expected fields with 1 (ascending) or -1 (descending)")
            self.asked.clause(place)
            scope.note(name, self.asked)
            if scope.is_vector(name) and self.asked.fault is None:
                self.asked.fault = f"{place}: '{name}' is a vector, and has no order"
        return {"$sort": {name: int(direction) for name, direction in spec.items()}}, scope

    def _unwind(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        sent = spec if isinstance(spec, dict) else {"path": spec}
        require_keys(sent, ("path",), ("includeArrayIndex", "preserveNullAndEmptyArrays"), place)
        written: dict[str, Any] = {"path": Expressions(scope, self.asked).path(sent["path"], Here(f"{place}.path"))}
        if "preserveNullAndEmptyArrays" in sent:
            if not isinstance(sent["preserveNullAndEmptyArrays"], bool):
                raise InvalidRequest(f"{place}.preserveNullAndEmptyArrays: expected true or false")
            written["preserveNullAndEmptyArrays"] = sent["preserveNullAndEmptyArrays"]
        if "includeArrayIndex" in sent:
            written["includeArrayIndex"] = _name(sent["includeArrayIndex"], f"{place}.includeArrayIndex")
            scope = scope.making({sent["includeArrayIndex"]: 1})
        return {"$unwind": written}, scope

    def _bucket(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        require_keys(spec, ("groupBy", "boundaries"), ("default", "output"), place)
        key, _ = self._key(spec["groupBy"], scope, f"{place}.groupBy")
        boundaries = spec["boundaries"]
        if not isinstance(boundaries, list) or len(boundaries) < 2:
            raise InvalidRequest(f"{place}.boundaries: expected a list of at least two values")
        self.asked.items(place, len(boundaries))
        written = {"groupBy": key, "boundaries": [{"$literal": scalar(one, place)} for one in boundaries]}
        if "default" in spec:
            written["default"] = {"$literal": scalar(spec["default"], f"{place}.default")}
        output = spec.get("output", {"count": {"$sum": 1}})
        if not isinstance(output, dict) or "_id" in output:
            raise InvalidRequest(f"{place}.output: expected an object of accumulators")
        written["output"], weights = self._accumulated(output, scope, f"{place}.output")
        return {"$bucket": written}, scope.only({"_id": 1, **weights})

    def _facet(self, spec: Any, scope: Scope, place: str) -> tuple[Stage, Scope]:
        if self.nested:
            raise InvalidRequest(f"{place}: not taken inside a $facet", stage="$facet")
        if not isinstance(spec, dict) or not spec:
            raise InvalidRequest(f"{place}: expected an object of pipelines")
        inside = replace(self, nested=True)
        written = {_name(name, place): inside.stages(one, scope, f"{place}.{name}") for name, one in spec.items()}
        return {"$facet": written}, scope.only(dict.fromkeys(spec, 1))

    def _lookup(self, spec: Any, scope: Scope, place: str) -> tuple[Joining, Scope]:
        if self.nested:
            raise InvalidRequest(f"{place}: not taken inside a $facet", stage="$lookup")
        require_keys(spec, ("from", "localField", "foreignField", "as"), (), place)
        if not all(isinstance(one, str) for one in spec.values()):
            raise InvalidRequest(f"{place}: expected four texts")
        for key in ("localField", "foreignField"):
            if not is_field_path(spec[key]):
                raise InvalidRequest(f"{place}.{key}: a field is named like 'status' or 'address.city'")
        name = _name(spec["as"], f"{place}.as")
        if name == "_id":
            raise InvalidRequest(f"{place}.as: '_id' is taken")
        collection = self.others.get(spec["from"])
        if collection is None:
            raise CollectionNotFound("no such collection", collection=spec["from"][:128])
        self.asked.clause(place)
        scope.note(spec["localField"], self.asked)
        joining = Joining(collection, spec["localField"], spec["foreignField"], name)
        return joining, scope.joining(joining)


def _name(sent: Any, place: str) -> str:
    if not is_name(sent):
        raise InvalidRequest(f"{place}: a field made here is named like 'total'")
    return str(sent)


def _whole(sent: Any, least: int, place: str) -> int:
    if isinstance(sent, bool) or not isinstance(sent, int) or not least <= sent <= 2**31:
        raise InvalidRequest(f"{place}: expected a whole number, {least} or more")
    return sent
