"""A Weaviate client whose server is a dict in the process: there is none for tests.

What is asked of it is bound to the signatures of the official client, and filters are its own.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from weaviate.collections.collection import Collection as RealCollection
from weaviate.collections.collections.sync import _Collections
from weaviate.collections.data.sync import _DataCollection
from weaviate.collections.query import _QueryCollection

Objects = dict[str, SimpleNamespace]


def checked(real: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method, for arguments that the real one takes."""

    def call(*args: Any, **options: Any) -> Any:
        inspect.signature(getattr(real, method.__name__)).bind(None, *args, **options)
        return method(*args, **options)

    return call


class Client:
    """Collections of a dict: name -> tenant (or ``""``) -> objects by id."""

    version = "1.34.0"

    def __init__(self, stored: dict[str, Any]) -> None:
        self._stored = stored
        self.collections = SimpleNamespace(
            exists=checked(_Collections, self.exists),
            get=checked(_Collections, self.get),
            create=checked(_Collections, self.create),
        )

    def close(self) -> None:
        """Nothing is open."""

    def get_meta(self) -> dict[str, str]:
        return {"version": self.version}

    def exists(self, name: str) -> bool:
        return name in self._stored

    def create(self, name: str, **made: Any) -> None:
        assert name[0].isupper() and name.replace("_", "").isalnum() and name not in self._stored
        self._stored[name] = {"made": made, "tenants": {}}
        if made["multi_tenancy_config"] is None:
            self._stored[name]["tenants"][""] = {}

    def get(self, name: str) -> Collection:
        return Collection(self._stored[name], "")


class Collection:
    def __init__(self, stored: dict[str, Any], tenant: str) -> None:
        self._stored, self._tenant = stored, tenant
        made = stored["made"]
        self.properties = {found.name: found.dataType for found in made["properties"]}
        many = made["multi_tenancy_config"] is not None
        self.config = SimpleNamespace(
            get=lambda: SimpleNamespace(multi_tenancy_config=SimpleNamespace(enabled=many))
        )
        self.tenants = SimpleNamespace(
            exists=lambda name: name in stored["tenants"],
            create=lambda name: stored["tenants"].setdefault(name, {}),
        )
        self.data = SimpleNamespace(
            insert_many=checked(_DataCollection, self.insert_many),
            delete_many=checked(_DataCollection, self.delete_many),
        )
        self.query = SimpleNamespace(
            fetch_objects=checked(_QueryCollection, self.fetch_objects),
            fetch_objects_by_ids=checked(_QueryCollection, self.fetch_objects_by_ids),
            near_vector=checked(_QueryCollection, self.near_vector),
        )
        self.iterator: Callable[..., Iterator[Any]] = checked(RealCollection, self.iterator_)

    @property
    def objects(self) -> Objects:
        found: Objects = self._stored["tenants"][self._tenant]
        return found

    def with_tenant(self, tenant: str) -> Collection:
        return Collection(self._stored, tenant)

    def insert_many(self, objects: Any) -> Any:
        errors = {}
        lengths = {len(found.vector) for found in self.objects.values()}
        for number, given in enumerate(objects):
            assert set(given.properties) == set(self.properties)
            if lengths | {len(given.vector)} != {len(given.vector)}:
                errors[number] = SimpleNamespace(message="vector lengths don't match")
                continue
            id_ = str(uuid.UUID(str(given.uuid)))
            vector = np.array(given.vector, dtype=np.float32)
            self.objects[id_] = SimpleNamespace(
                uuid=uuid.UUID(id_), vector=vector, properties=dict(given.properties)
            )
        return SimpleNamespace(has_errors=bool(errors), errors=errors)

    def delete_many(self, where: Any) -> Any:
        found = [id_ for id_, stored in self.objects.items() if _fits(where, stored)]
        for id_ in found:
            del self.objects[id_]
        return SimpleNamespace(successful=len(found), failed=0)

    def fetch_objects(self, *, filters: Any, limit: int, return_properties: list[str]) -> Any:
        found = [stored for stored in self.objects.values() if _fits(filters, stored)]
        return _answer(found[:limit], return_properties)

    def fetch_objects_by_ids(self, ids: Any, *, limit: int, return_properties: list[str]) -> Any:
        found = [self.objects[id_] for id_ in map(str, ids) if id_ in self.objects]
        return _answer(found[:limit], return_properties)

    def near_vector(self, near_vector: Any, *, limit: int, return_properties: list[str]) -> Any:
        (index,) = [self._stored["made"]["vector_config"].vectorIndexConfig]
        query = np.array(near_vector, dtype=np.float32)

        def distance(stored: Any) -> float:
            if index.distance.value == "cosine":
                lengths = np.linalg.norm(query) * np.linalg.norm(stored.vector)
                return float(1 - query @ stored.vector / lengths)
            return float(((query - stored.vector) ** 2).sum())

        return _answer(sorted(self.objects.values(), key=distance)[:limit], return_properties)

    def iterator_(self, *, return_properties: list[str], cache_size: int) -> Iterator[Any]:
        ordered = [self.objects[id_] for id_ in sorted(self.objects)]
        yield from _answer(ordered, return_properties).objects

    iterator_.__name__ = "iterator"


def _answer(found: list[Any], properties: list[str]) -> Any:
    return SimpleNamespace(
        objects=[
            SimpleNamespace(
                uuid=stored.uuid, properties={name: stored.properties[name] for name in properties}
            )
            for stored in found
        ]
    )


def _fits(where: Any, stored: Any) -> bool:
    """Whether an object fits a filter of the client."""
    assert where.operator.value == "ContainsAny"
    value = str(stored.uuid) if where.target == "_id" else stored.properties[where.target]
    return value in where.value
