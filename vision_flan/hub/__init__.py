"""A compiled folder to a dataset repository on the Hugging Face Hub, and a published recipe back to a folder.

In: manifests and shards of `vision_flan.dataset`, the catalog's licenses, the state of the repository. Out:
commits that each leave the repository complete, the texts beside the shards, and rehydrated configs. Retries,
commit limits, documents and warnings may be changed here; columns, manifests and the form of a task may not.
"""
