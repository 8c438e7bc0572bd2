"""The released Python provider. Each line on its input asks for all flags; it answers with
one line of JSON."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

base_url, token = sys.argv[1:3]
headers = {"Authorization": f"Bearer {token}"}
api.set_provider_and_wait(OFREPProvider(base_url, headers_factory=lambda: headers))
client = api.get_client()


def say(line):
    print(json.dumps(line), flush=True)


def seen(details):
    return {
        "value": details.value,
        "variant": details.variant,
        "reason": str(details.reason) if details.reason else None,
        "errorCode": details.error_code.value if details.error_code else None,
    }


say({"ready": True})
for line in sys.stdin:
    values = json.loads(line)
    key = values.pop("targetingKey", None)
    context = EvaluationContext(key, values)
    say(
        {
            "exec": seen(client.get_boolean_details("exec", False, context)),
            "ten": seen(client.get_integer_details("ten", -1, context)),
            "tenth": seen(client.get_float_details("tenth", -1.0, context)),
            "word": seen(client.get_string_details("word", "default", context)),
            "thing": seen(client.get_object_details("thing", {}, context)),
            "unused": seen(client.get_boolean_details("unused", True, context)),
            "odd": seen(client.get_boolean_details("weird+key/with:chars", False, context)),
            "missing": seen(client.get_boolean_details("missing", True, context)),
        }
    )
