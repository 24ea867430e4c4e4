"""Validates a CycloneDX document with the schema of its version.

Usage: validate.py DOCUMENT
"""

import json
import sys
from pathlib import Path

import cyclonedx.schema
import fastjsonschema

SCHEMAS = Path(cyclonedx.schema.__file__).with_name("_res")


def schema(uri):
    """The schema at an address, which is also the name of a file of the library."""
    name = uri.rsplit("/", 1)[-1].removesuffix(".schema.json").removesuffix(".SNAPSHOT")
    return json.loads((SCHEMAS / f"{name}.SNAPSHOT.schema.json").read_text())


document = json.loads(Path(sys.argv[1]).read_text())
validate = fastjsonschema.compile(schema(document["$schema"]), handlers={"http": schema})
try:
    validate(document)
except fastjsonschema.JsonSchemaException as error:
    sys.exit(str(error))
