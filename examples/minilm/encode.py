"""Turns sentences into token ids for minilm.c: encode.py SENTENCES TOKENS

Each line of TOKENS is the number of tokens, the tokens, and the sentence.
"""

import sys

from export import package
from tokenizers import Tokenizer


def main(sentences, target):
    tokenizer = Tokenizer.from_file(str(package() / "tokenizer.json"))
    tokenizer.no_padding()
    with open(sentences, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as tokens:
        for sentence in filter(None, map(str.strip, lines)):
            ids = tokenizer.encode(sentence).ids
            print(len(ids), *ids, sentence, file=tokens)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
