"""A tiny language model of Transformers and its tokenizer, made in the program with random weights of a fixed seed."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerFast

TEXTS = ["good wine", "bad wine", "good taste"]
_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "wine", "taste"]


def config() -> BertConfig:
    """Return the configuration of a model with one small layer."""
    return BertConfig(
        vocab_size=len(_WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )


def save_tokenizer(path: Path) -> None:
    """Write the tokenizer to a directory."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(_WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=16,
    ).save_pretrained(path)


def make(kind: type[PreTrainedModel], is_changed: bool) -> PreTrainedModel:
    """Return a model with the weights of a seed. A changed model has other embeddings of words."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = kind(config())
    if is_changed:
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(1.5)
    return model.eval()
