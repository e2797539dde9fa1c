"""What TRL's SFTTrainer makes of an export: `read_trl.py EXPORT MODEL SCRATCH`; prints JSON last."""

import json
import sys

import datasets
import trl
from transformers import AutoProcessor, LlavaForConditionalGeneration

export, model_folder, scratch = sys.argv[1:4]
rows = datasets.load_dataset(export, split="train")
processor = AutoProcessor.from_pretrained(model_folder)
model = LlavaForConditionalGeneration.from_pretrained(model_folder)
settings = trl.SFTConfig(
    output_dir=scratch,
    per_device_train_batch_size=1,
    max_length=None,
    report_to="none",
    use_cpu=True,
    bf16=False,
)
trainer = trl.SFTTrainer(model=model, args=settings, train_dataset=rows, processing_class=processor)
found = []
for batch in trainer.get_train_dataloader():
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    found.append(
        {
            "text": processor.tokenizer.decode(ids),
            "learned": processor.tokenizer.decode(labels[labels != -100]),
            "marks": int((ids == model.config.image_token_id).sum()),
            "images": len(batch["pixel_values"]) if batch.get("pixel_values") is not None else 0,
        }
    )
print(json.dumps(found))
