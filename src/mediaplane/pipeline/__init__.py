"""The stages that turn an original into HLS, frames and text; `tools/` runs what decodes."""
