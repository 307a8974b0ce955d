"""What the scripts of all vendors share: a script gets the address of a server and the names of cases, and prints one JSON list
with what the vendor's own client made of each."""

import json
import sys


def run(cases):
    base, names = sys.argv[1], sys.argv[2:]
    print(json.dumps([cases[name](base) for name in names]))


def strictly(model):
    """These clients build their types without a look at the values. Here each must be what its type says."""
    type(model).model_validate(model.model_dump(exclude_unset=True, by_alias=True))
    return model


def raised(call, *errors):
    """The name of the error that a call ends with, and the HTTP status that it carries."""
    try:
        call()
    except errors as error:
        carrier = getattr(error, "response", error)
        status = getattr(error, "status_code", None) or getattr(error, "code", None) or carrier.status_code
        return {"error": type(error).__name__, "status": status}
    return {"error": None}
