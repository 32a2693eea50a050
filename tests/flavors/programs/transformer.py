"""A tiny BERT that is made from a configuration, without a download."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, PreTrainedTokenizerFast

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "wine", "taste"]
SENTENCES = ["good wine", "bad taste"]


def configuration(labels: int = 2) -> BertConfig:
    """Return a configuration, and set the seed of the weights that are made from it."""
    torch.manual_seed(0)
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        num_labels=labels,
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer for WORDS."""
    words = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=16,
    )


def directory(name: str) -> Path:
    """Return the directory in which the process of a saving builds its model."""
    path = Path(f"program-{name}")
    path.mkdir(exist_ok=True)
    return path
