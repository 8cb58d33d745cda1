"""A program that uses openlm: complete.py BASE MODELS asks each model for each prompt, prints what came of each.

Without BASE it is openlm as it comes, which knows OpenAI's own names and api.openai.com.
"""

import json
import os
import sys

import openlm

base, models = sys.argv[1], sys.argv[2:]
if base:
    own = openlm.llm.OpenAI(
        api_key=os.environ["OPENAI_API_KEY"], model_list=models, namespace="gate", base_url=f"{base}/v1/completions"
    )
    openlm.Completion.register(own)
asked = {"max_tokens": 12, "temperature": 0}
reply = openlm.Completion.create(model=models, prompt=["There are four coins", "The toll is"], **asked)
total = reply["usage"]
for choice in reply["choices"]:
    usage = choice.get("usage", {})
    print(
        json.dumps({
            "model": choice["model_name"].split("/", 1)[1],
            "text": choice.get("text"),
            "error": choice.get("error"),
            "tokens": [usage.get("prompt_tokens"), usage.get("completion_tokens")],
            "total": [total["prompt_tokens"], total["completion_tokens"]],
        })
    )
