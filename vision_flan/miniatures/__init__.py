"""Miniatures: raw trees in upstream's own layout, with images that show what the annotation says.

One module a dataset, `datasets/<slug>.py` (`_300w.py` where a slug starts with a digit), holding
`def generate(mini: Miniature) -> None`; its docstring says what `n` counts and what `source_id` is.

    rng = mini.rng("train", index)             # keyed draws; also np_rng, hex_id, number (distinct ids)
    mini.image("images/0.jpg", image)        # Pillow, uint8 array or bytes (quirks.*); format by suffix
    mini.write_json("x.json", value)           # small files; also write_text, write_bytes, write_lines
    with mini.json_document("x.json") as doc:  # streams, in any order: doc.field, .array, .object, .nest
    with mini.json_array("x.json", key="annotations", before={"info": {}}) as add: add(record)
    with mini.json_lines(rel) as add:          # also mini.csv(rel, header), .lines(rel), .json_object(rel)
    with mini.pack("images.zip") as tree: tree.image("train/0.jpg", image)  # the archive, or unpacked
    with mini.archive("noise.tar") as tree:    # always an archive; mini.borrow("mscoco").image(...)
    mini.truth(task_id, source_id, target=answer)  # or answer=, one_of=[...], dropped="why"

Images: `draw` (cards, words, shapes, digits), `scenes` (CLEVR, panels, faces, figures, maps), `charts`,
`corrupt`, `quirks` (odd and broken files), `coco` (borrowed images). File formats: `formats`. Sentences:
`text`. Truth semantics: `Miniature.truth`. Tests of every generator: tests/miniatures/test_every_dataset.py.
"""
