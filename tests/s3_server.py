"""A server that speaks S3 on 127.0.0.1, with a bucket."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

#: Both are in `lock/s3.txt`, which `make test-s3` installs.
MISSING = [name for name in ("moto", "s3fs", "flask") if find_spec(name) is None]
SECRET = "a-secret-that-nobody-may-see"


@contextmanager
def s3_server(*buckets: str) -> Iterator[dict[str, str]]:
    """Run one; gives the environment that a command needs to reach it."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "an-access-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    try:
        client = boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="an-access-key",
            aws_secret_access_key=SECRET,
        )
        for bucket in buckets:
            client.create_bucket(Bucket=bucket)
        yield environment
    finally:
        server.stop()


def empty(bucket: str) -> None:
    """Remove all that is in a bucket, unfinished uploads too; the environment says where it is."""
    import boto3

    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=one["Key"])
    for one in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
