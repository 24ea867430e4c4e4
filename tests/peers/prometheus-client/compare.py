"""Reads a scrape in OpenMetrics and one in the text format, with the reference parsers, and prints the exemplars in JSON.

Each may be compressed with gzip. Fails if the formats differ in a name, a label, a type, a HELP text or a value, or if a unit is not
the one that the name ends with.
Usage: compare.py OPENMETRICS TEXT
"""

import gzip
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

# These change between two scrapes.
VARYING = ("process_", "exp_rkt_grpc_http_requests_total")


def read(parse, path):
    """The families, and type, HELP and value of each sample, by name and labels."""
    with open(path, "rb") as file:
        scrape = file.read()
    if scrape.startswith(b"\x1f\x8b"):
        scrape = gzip.decompress(scrape)
    families, samples = list(parse(scrape.decode())), {}
    for family in families:
        # Only OpenMetrics has this type.
        kind = "gauge" if family.type == "info" else family.type
        for sample in family.samples:
            labels = {**sample.labels}
            if "le" in labels:
                labels["le"] = float(labels["le"])
            value = None if sample.name.startswith(VARYING) else sample.value
            samples[sample.name, tuple(sorted(labels.items()))] = (kind, family.documentation, value)
    return families, samples


families, openmetrics = read(parse_openmetrics, sys.argv[1])
_, text = read(parse_text, sys.argv[2])
different = {key for key in openmetrics.keys() | text.keys() if openmetrics.get(key) != text.get(key)}
for key in sorted(different, key=str):
    print(f"{key}: {openmetrics.get(key)} in OpenMetrics, {text.get(key)} in the text format", file=sys.stderr)

exemplars = []
for family in families:
    expected = next((unit for unit in ("bytes", "seconds") if family.name.endswith(f"_{unit}")), "")
    if family.unit != expected:
        print(f"{family.name}: unit {family.unit!r}", file=sys.stderr)
        different.add(family.name)
    for sample in family.samples:
        if sample.exemplar:
            exemplar = sample.exemplar
            exemplars.append(
                {**sample.labels, **exemplar.labels, "value": exemplar.value, "at": float(exemplar.timestamp)}
            )
print(json.dumps(exemplars))
sys.exit(bool(different))
