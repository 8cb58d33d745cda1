"""Makes a tiny language model: model.py FOLDER writes FOLDER/hub (as on the hub) and FOLDER/tiny.gguf (the same weights).

It is trained for a few seconds on the lines below, always from the same seed, so that its answers read as words and
end where a chat turn ends.
"""

import json
import pathlib
import sys

import gguf
import numpy
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TURNS = [
    ("How many coins are in the box?", "There are four coins in the box, and one is gold."),
    ("Say something in French.", "Le café est très chaud, naïve tortue."),
    ("Say something in Japanese.", "日本の茶は美味しいです。"),
    ("Count to five.", "One, two, three, four, five."),
    ("What is the toll?", "The toll is four coins.\n\nPay at the gate."),
]
STORY = "The toll is four coins, and the gate is open. The keeper counts one, two, three, four coins 🎈 and smiles."
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
    "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LENGTH, STEPS = 256, 200


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    tokenizer = learn_tokens(texts())
    model = learn_weights(tokenizer, texts())
    tokenizer.save_pretrained(folder / "hub")
    model.save_pretrained(folder / "hub", safe_serialization=True)
    write_gguf(folder / "tiny.gguf", tokenizer, model)


def texts():
    chats = (
        f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n<|endoftext|>"
        for asked, answer in TURNS
    )
    return [*chats, f"{STORY}<|endoftext|>"]


def learn_tokens(lines):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=360, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[0],
        additional_special_tokens=SPECIAL[1:],
        model_max_length=LENGTH,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def learn_weights(tokenizer, lines):
    sizes = {"vocab_size": len(tokenizer), "n_positions": LENGTH, "n_embd": 64, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    rows = [tokenizer(line, return_tensors="pt").input_ids for line in lines]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        for row in rows:
            optimizer.zero_grad()
            model(row, labels=row).loss.backward()
            optimizer.step()
    return model.eval()


def write_gguf(path, tokenizer, model):
    config, state = model.config, model.state_dict()
    writer = gguf.GGUFWriter(str(path), "gpt2")
    writer.add_name("tiny")
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    write_tokens(writer, tokenizer)
    for name, value in state.items():
        if (tensor := tensor_name(name)) is not None:
            writer.add_tensor(tensor, numpy.ascontiguousarray(laid_out(name, value).float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokens(writer, tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens]
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_chat_template(TEMPLATE)


def tensor_name(name):
    whole = {"transformer.wte.weight": "token_embd.weight", "transformer.wpe.weight": "position_embd.weight",
             "transformer.ln_f.weight": "output_norm.weight", "transformer.ln_f.bias": "output_norm.bias",
             "lm_head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    parts = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
             "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    _, _, block, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{block}.{parts[part]}.{kind}" if part in parts else None


def laid_out(name, value):
    """The layers of GPT-2 keep their weights the other way round."""
    turned = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
    return value.t() if turned else value


main()
