"""Reads models directly from object stores: S3, Azure and Google."""
