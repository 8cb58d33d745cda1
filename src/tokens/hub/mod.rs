//! The Hugging Face hub: its addresses, its cache on disk, and downloads.
