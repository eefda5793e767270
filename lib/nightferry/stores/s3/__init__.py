"""A bucket as a store: S3 and the many servers that speak its language."""

from nightferry.stores.s3.client import Bucket, Settings
from nightferry.stores.s3.probing import ObjectCapabilities, init_location, probe
from nightferry.stores.s3.store import S3Store

__all__ = ["Bucket", "ObjectCapabilities", "S3Store", "Settings", "init_location", "probe"]
