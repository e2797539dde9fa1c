"""What a compiled folder is: instances in, shards out; manifests in, card, Croissant and license pages out.

Whatever changes the bytes of a shard changes here or before, and tests/tasks/digests.py shows it.
"""
