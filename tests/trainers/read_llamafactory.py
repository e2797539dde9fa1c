"""What LLaMA-Factory makes of an export: `read_llamafactory.py EXPORT MODEL SCRATCH`; prints JSON last."""

import json
import sys
import types
from importlib.machinery import ModuleSpec

# It is imported at once and used for sound only; its wheel on the index loads with CUDA's libraries alone.
sound = types.ModuleType("torchaudio")
sound.__spec__ = ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = sound

from llamafactory.data import (  # noqa: E402
    SFTDataCollatorWith4DAttentionMask,
    get_dataset,
    get_template_and_fix_tokenizer,
)
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_tokenizer  # noqa: E402

export, model_folder, scratch = sys.argv[1:4]
settings = {
    "model_name_or_path": model_folder,
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "dataset": "vision_flan",
    "dataset_dir": export,
    "template": "llava",
    "overwrite_cache": True,
    "cutoff_len": 4096,
    "output_dir": scratch,
    "report_to": "none",
    "use_cpu": True,
}
model_args, data_args, training_args, _, _ = get_train_args(settings)
loaded = load_tokenizer(model_args)
tokenizer = loaded["tokenizer"]
template = get_template_and_fix_tokenizer(tokenizer, data_args)
rows = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)["train_dataset"]
collate = SFTDataCollatorWith4DAttentionMask(template=template, model=None, **loaded)
mark = tokenizer.convert_tokens_to_ids("<image>")
found = []
for row in rows:
    learned = [number for number in row["labels"] if number != -100]
    images = len(row["images"] or ())
    read = len(collate([dict(row)])["pixel_values"])
    # a batch without images gets one that nothing attends to, so that all ranks run the tower
    assert read == max(images, 1), f"{read} images of {images}"
    found.append(
        {
            "text": tokenizer.decode(row["input_ids"]),
            "learned": tokenizer.decode(learned),
            "marks": row["input_ids"].count(mark),
            "images": images,
        }
    )
print(json.dumps(found))
