"""What training reads: records on disk, frozen features, prompts drawn from them, batches."""
