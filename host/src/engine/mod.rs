//! What runs a VM.
