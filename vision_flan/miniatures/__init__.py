"""Miniatures: raw trees in upstream's own layout, with pictures that show what the annotation says.

One module a dataset, `datasets/<slug>.py` (`_300w.py` where a slug starts with a digit), holding
`def generate(mini: Miniature) -> None`; its docstring says what `n` counts and what `source_id` is.

    rng = mini.rng("train", index)                      # keyed draws; mini.np_rng, mini.hex_id, mini.number too
    mini.image("images/0.jpg", draw.caption_card(name))  # Pillow picture, uint8 array or bytes; format by suffix
    mini.write_json("x.json", value)                    # small; also write_text, write_bytes, write_lines
    with mini.json_document("x.json") as doc:           # streams: doc.field, .array, .object, .nest, interleaved
    with mini.json_array("x.json", key="annotations", before={"info": {}}) as add: add(record)
    with mini.json_lines(rel) as add / mini.csv(rel, header) as add / mini.lines(rel) as add / mini.json_object
    with mini.pack("images.zip") as tree: tree.image("train/0.jpg", picture)  # the archive, or its content
    with mini.archive("noise.tar") as tree: ...         # always an archive; mini.borrow("mscoco").image(...)
    mini.truth(task_id, source_id, target="; ".join(words))  # or answer=, one_of=[...], dropped="why"
"""
