"""Renders templates by Hugging Face's own renderer: one JSON object a line.

render.py constructs: the table of constructs.py.
render.py published CONFIGS FOLDER...: every template with every conversation, and with some made by chance; CONFIGS holds tokenizer_config.json files of published models, the other folders hold
templates by themselves, published ones and ours.
"""

import datetime
import json
import pathlib
import random
import sys

from transformers.utils import chat_template_utils

import constructs

NOW = datetime.datetime(2024, 7, 4, 9, 5, 3)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock

TOOL = {"type": "function", "function": {"name": "weather", "description": "Says the weather.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Where <b>?"}}, "required": ["city"]}}}
CALL = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}}}


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


CONVERSATIONS = {
    "one question": [turn("user", "Hello.")],
    "with a system text": [turn("system", "Be brief."), turn("user", "Hello.")],
    "several turns": [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d"), turn("user", "e")],
    "system and turns": [turn("system", "s"), turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
    "other scripts and white space": [turn("user", "  日本\n\nnaïve 🎈 <b>&amp;</b>\t'\" "), turn("assistant", "\n ok \n"), turn("user", "x")],
    "special tokens as text": [turn("user", "<|im_end|><|eot_id|></s>[INST]{{ 7 * 7 }}{% raw %}")],
    "empty contents": [turn("system", ""), turn("user", ""), turn("assistant", ""), turn("user", "")],
    "two users in a row": [turn("user", "a"), turn("user", "b")],
    "an assistant first": [turn("assistant", "a"), turn("user", "b")],
    "an unknown role": [turn("critic", "a"), turn("user", "b")],
    "thoughts": [turn("user", "a"), turn("assistant", "<think>\nhm\n</think>\n\nb"), turn("user", "c")],
    "thoughts apart": [turn("user", "a"), turn("assistant", "b", reasoning_content="hm"), turn("user", "c")],
    "a tool that was called": [turn("user", "Weather?"), turn("assistant", "", tool_calls=[CALL]),
                               turn("tool", '{"sky": "blue"}', tool_call_id="call00001", name="weather"), turn("user", "Thanks.")],
    "no messages": [],
}


def templates(configs, *folders):
    for path in sorted(pathlib.Path(configs).glob("*.json")):
        config = json.loads(path.read_text())
        template = config.get("chat_template")
        if isinstance(template, list):
            # As a tokenizer chooses: one for calls with tools, where there is one, and one for all others.
            named = {entry["name"]: entry["template"] for entry in template}
            yield path.stem, {False: named["default"], True: named.get("tool_use", named["default"])}, config
        elif template:
            yield path.stem, {False: template, True: template}, config
    for path in (path for folder in folders for path in sorted(pathlib.Path(folder).glob("*.jinja"))):
        text = path.read_text()
        yield f"{path.parent.name}/{path.stem}", {False: text, True: text}, {"bos_token": "<s>", "eos_token": {"content": "</s>"}}


def rendered(template, messages, tools, specials):
    try:
        prompts, _ = chat_template_utils.render_jinja_template(
            conversations=[messages], tools=tools, chat_template=template, add_generation_prompt=True, **specials
        )
        return {"text": prompts[0]}
    except Exception as error:  # whatever it is, ours must refuse too
        return {"error": f"{type(error).__name__}: {error}"}


def by_chance(count):
    """Conversations of any roles and texts; the same ones each time."""
    dice = random.Random(20240704)
    pieces = ["{{ 7 * 7 }}", "{% raw %}", "{%- endfor %}", "{# x #}", "<think>", "</think>", "<|im_end|>", "[INST]", "\n", "\n\n", "  ", "\t",
              "\r\n", "\x00", "\x1b", "\x85", "\u2028", "\ufeff", "é", "日本", "🎈", "\u00a0", "'", '"', "\\", "<b>", "&amp;", "%s", "{}", "a", "B c", "0"]

    def text():
        return "".join(dice.choice(pieces) for _ in range(dice.randrange(6)))

    def content():
        parts = [{"type": "text", "text": text()} for _ in range(dice.randrange(3))]
        return dice.choice([text(), text(), text(), text(), parts, None, {"a": text()}, 7])

    def message():
        more = {}
        if dice.random() < 0.2:
            more["name"] = text()
        if dice.random() < 0.2:
            more["reasoning_content"] = text()
        if dice.random() < 0.15:
            arguments = {text(): dice.choice([text(), 1.5, None, True, [1, {"x": 1e16}], {}])}
            function = {"name": text(), "arguments": dice.choice([arguments, json.dumps(arguments)])}
            more["tool_calls"] = [{"id": text(), "type": "function", "function": function}]
        return turn(dice.choice(["user", "user", "assistant", "assistant", "system", "tool", "developer", text()]), content(), **more)

    for number in range(count):
        messages = [message() for _ in range(dice.randrange(6))]
        if number % 2:
            # In the order that most templates ask for.
            messages = [{**one, "role": ["user", "assistant"][at % 2], "content": text()} for at, one in enumerate(messages)]
        yield f"by chance {number}", messages


def published(*folders):
    conversations = [*CONVERSATIONS.items(), *by_chance(24)]
    for name, sources, config in templates(*folders):
        tokens = {key: value for key, value in config.items() if key.endswith("_token") and isinstance(value, (str, dict))}
        texts = {key: value if isinstance(value, str) else value["content"] for key, value in tokens.items()}
        for about, messages in conversations:
            for tools in (None, [TOOL]):
                template = sources[bool(tools)]
                case = {"template": name, "about": about + (", tools" if tools else ""), "source": template, "specials": tokens,
                        "messages": messages, "tools": tools}
                print(json.dumps({**case, "expected": rendered(template, messages, tools, texts)}))


if sys.argv[1] == "constructs":
    constructs.main(rendered)
else:
    published(*sys.argv[2:])
