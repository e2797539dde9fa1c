"""What axolotl makes of an export: `read_axolotl.py EXPORT MODEL SCRATCH`; prints JSON last."""

import json
import sys
from pathlib import Path

import yaml
from axolotl.cli.config import load_cfg
from axolotl.common.datasets import load_datasets
from axolotl.loaders import load_processor, load_tokenizer
from axolotl.processing_strategies import get_processing_strategy
from axolotl.utils.collators.mm_chat import MultiModalChatDataCollator

export, model_folder, scratch = sys.argv[1:4]
#: LLaVA has no boundaries of roles built in: without these, questions would be learned, too.
BOUNDARIES = [{"role": "assistant", "start": "ASSISTANT:", "end": "eos_token"}]
settings = {
    "base_model": model_folder,
    "processor_type": "AutoProcessor",
    "chat_template": "tokenizer_default",
    "datasets": [{"path": f"{export}/train.jsonl", "ds_type": "json", "type": "chat_template"}],
    "skip_prepare_dataset": True,
    "remove_unused_columns": False,
    "sample_packing": False,
    "sequence_len": 4096,
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "num_epochs": 1,
    "learning_rate": 1e-4,
    "optimizer": "adamw_torch",
    "val_set_size": 0,
    "bf16": False,
    "role_boundaries": BOUNDARIES,
    "output_dir": scratch,
    "dataset_prepared_path": f"{scratch}/prepared",
}
path = Path(scratch, "config.yaml")
path.write_text(yaml.safe_dump(settings))
cfg = load_cfg(str(path))
rows = load_datasets(cfg=cfg).train_dataset
tokenizer = load_tokenizer(cfg)
processor = load_processor(cfg, tokenizer)
strategy = get_processing_strategy(
    processor, None, cfg.chat_template, roles_to_train=["assistant"], role_boundaries_override=BOUNDARIES
)
collate = MultiModalChatDataCollator(tokenizer=tokenizer, processing_strategy=strategy)
mark = tokenizer.convert_tokens_to_ids("<image>")
found = []
for row in rows:
    batch = collate([row])
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    found.append(
        {
            "text": tokenizer.decode(ids),
            "learned": tokenizer.decode(labels[labels != -100]),
            "marks": int((ids == mark).sum()),
            "images": len(batch["pixel_values"]) if batch.get("pixel_values") is not None else 0,
        }
    )
print(json.dumps(found))
