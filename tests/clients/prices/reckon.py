"""Prices generated usages with LiteLLM's and genai-prices' own calculators: one JSON line for each.

python reckon.py GENAI.json COUNT SEED
"""

import json
import random
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import litellm
from genai_prices import calc_price
from genai_prices import types as genai_types
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from litellm.cost_calculator import batch_cost_calculator, completion_cost
from litellm.types.llms.openai import ResponseAPIUsage, ResponsesAPIResponse
from litellm.types.utils import EmbeddingResponse, ModelResponse, Usage

PROVIDERS = {"openai": "openai", "text-completion-openai": "openai", "azure": "azure", "azure_text": "azure"}
MODES = ("chat", "responses", "completion", "embedding")
TIERS = (None, None, None, "default", "flex", "priority", "fast", "ultrafast", "batch", "eu", "us")
SIZES = (0, 1, 7, 1000, 20_000, 128_000, 200_000, 272_000, 272_001, 500_000, 1_000_000)
MAP = Path(litellm.__file__).parent / "model_prices_and_context_window_backup.json"
MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)
INPUT_PARTS = ("cached", "written", "audio_in", "image_in")
OUTPUT_PARTS = ("reasoning", "audio_out")


def models():
    """Every model of OpenAI and Azure that reads and writes text, in the order of their names."""
    for name, entry in sorted(litellm.model_cost.items()):
        if entry.get("litellm_provider") in PROVIDERS and entry.get("mode") in MODES:
            if not name.endswith("/container"):
                yield name, entry["litellm_provider"], entry["mode"]


def usage(dice, mode):
    """Counts as OpenAI reports them: parts within their whole, and sometimes beyond what is left of it."""
    whole = dice.choice(SIZES) + dice.randrange(3)
    counts = {"input": whole, "output": 0 if mode == "embedding" else dice.choice((0, 1, 10, 4096, 100_000))}
    if mode == "embedding" or dice.random() < 0.35:
        return counts
    parts = [part for part in INPUT_PARTS if part in ("cached", "written") or dice.random() < 0.3]
    left = counts["input"]
    for part in parts:
        counts[part] = dice.randrange(left + 1) if dice.random() < 0.7 else 0
        # One usage in ten has parts that overlap, such as sound that was cached.
        if dice.random() > 0.1:
            left -= counts[part]
    if counts["written"] and dice.random() < 0.5:
        counts["written_12h"] = dice.randrange(counts["written"] + 1)
    left = counts["output"]
    for part in [part for part in OUTPUT_PARTS if part == "reasoning" or dice.random() < 0.2]:
        counts[part] = dice.randrange(left + 1)
        left -= counts[part]
    return counts


def litellm_usage(counts):
    if set(counts) == {"input", "output"}:
        return Usage(prompt_tokens=counts["input"], completion_tokens=counts["output"],
                     total_tokens=counts["input"] + counts["output"])
    prompt = {"cached_tokens": counts["cached"], "cache_write_tokens": counts["written"]}
    prompt |= {f"{kind}_tokens": counts[f"{kind}_in"] for kind in ("audio", "image") if f"{kind}_in" in counts}
    if "written_12h" in counts:
        lives = {"ephemeral_30m_input_tokens": counts["written"] - counts["written_12h"],
                 "ephemeral_12h_input_tokens": counts["written_12h"]}
        prompt["cache_creation_token_details"] = lives
    completion = {"reasoning_tokens": counts["reasoning"]}
    completion |= {"audio_tokens": counts["audio_out"]} if "audio_out" in counts else {}
    return Usage(prompt_tokens=counts["input"], completion_tokens=counts["output"],
                 total_tokens=counts["input"] + counts["output"],
                 prompt_tokens_details=prompt, completion_tokens_details=completion)


def litellm_cost(name, provider, mode, tier, counts):
    """Dollars as LiteLLM says them; nothing where it has no price."""
    billed = litellm_usage(counts)
    # The prefix of a provider is no part of the model's name to its own calculator.
    model = name.removeprefix("azure/") if PROVIDERS[provider] == "azure" else name
    if tier == "batch":
        return sum(batch_cost_calculator(billed, model, provider))
    if mode == "embedding":
        response, call = EmbeddingResponse(model=model, usage=billed), "aembedding"
    elif mode == "responses" and set(counts) == {"input", "output"}:
        told = ResponseAPIUsage(input_tokens=counts["input"], output_tokens=counts["output"],
                                total_tokens=counts["input"] + counts["output"])
        response = ResponsesAPIResponse(id="resp", created_at=0, model=model, object="response", output=[], usage=told)
        call = "aresponses"
    else:
        response, call = ModelResponse(model=model, usage=billed), "acompletion"
    region = tier if tier in ("eu", "us") else None
    return completion_cost(response, model=model, custom_llm_provider=provider, call_type=call,
                           service_tier=None if region else tier, data_residency=region)


def genai_cost(name, provider, counts):
    """Dollars as genai-prices says them; nothing where it has no price or takes the usage for impossible."""
    names = {"cached": "cache_read_tokens", "written": "cache_write_tokens", "audio_in": "input_audio_tokens",
             "image_in": "input_image_tokens", "reasoning": "output_reasoning_tokens",
             "audio_out": "output_audio_tokens", "input": "input_tokens", "output": "output_tokens"}
    billed = genai_types.Usage(**{names[part]: count for part, count in counts.items() if part in names})
    try:
        price = calc_price(billed, name.rsplit("/", 1)[-1], provider_id=PROVIDERS[provider], genai_request_timestamp=MOMENT)
    except LookupError:
        return None
    except ValueError as error:
        return "impossible" if "Invalid usage data" in str(error) else f"error: {error}"
    return str(price.total_price)


def main(path, count, seed):
    with open(path, encoding="utf-8") as file:
        raw = json.load(file, parse_float=Decimal)
    set_custom_snapshot(DataSnapshot(providers=genai_types._providers_from_raw(raw), from_auto_update=False))
    litellm.suppress_debug_info = True
    print(json.dumps({"map": str(MAP)}))
    dice = random.Random(seed)
    known = list(models())
    for number in range(count):
        # Each in its turn, so that none is left out.
        name, provider, mode = known[number % len(known)]
        counts, tier = usage(dice, mode), dice.choice(TIERS)
        try:
            cost = repr(litellm_cost(name, provider, mode, tier, counts))
        except Exception as error:
            cost = f"error: {error}"[:200]
        genai = genai_cost(name, provider, counts) if tier in (None, "default") else None
        print(json.dumps({"model": name, "azure": PROVIDERS[provider] == "azure", "mode": mode, "tier": tier, "usage": counts,
                          "litellm": cost, "genai": genai}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
