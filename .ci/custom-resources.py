"""Holds the custom resources among the YAML documents of the files named against their operators' own schemas."""

import sys

import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor
from pydantic import ValidationError

KINDS = {kind.__name__: kind for kind in (PrometheusRule, ScaledObject, ServiceMonitor)}

seen = set()
failed = False
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        for document in yaml.safe_load_all(file):
            kind = KINDS.get(document["kind"])
            if kind is None:
                continue
            seen.add(kind)
            try:
                kind.model_validate(document, strict=True, extra="forbid", by_alias=True, by_name=False)
            except ValidationError as error:
                failed = True
                print(f"{path}: {error}", file=sys.stderr)

missing = set(KINDS.values()) - seen
for kind in missing:
    print(f"there is no {kind.__name__}", file=sys.stderr)
sys.exit(1 if failed or missing else 0)
