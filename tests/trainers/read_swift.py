"""What ms-swift makes of an export: `read_swift.py EXPORT MODEL SCRATCH`; prints JSON last."""

import json
import sys

from swift import get_processor, get_template, load_dataset

export, model_folder, _ = sys.argv[1:4]
processor = get_processor(model_folder, model_type="llava1_5_hf")
tokenizer = processor.tokenizer
template = get_template(processor)
template.set_mode("train")
rows, _ = load_dataset([f"{export}/train.jsonl"], strict=True, load_from_cache_file=False)
mark = tokenizer.convert_tokens_to_ids("<image>")
found = []
for row in rows:
    encoded = template.encode(row)
    batch = template.data_collator([encoded])
    learned = [number for number in encoded["labels"] if number != -100]
    found.append(
        {
            "text": tokenizer.decode(encoded["input_ids"]),
            "learned": tokenizer.decode(learned),
            "marks": int((batch["input_ids"][0] == mark).sum()),
            "images": len(batch["pixel_values"]) if batch.get("pixel_values") is not None else 0,
        }
    )
print(json.dumps(found))
