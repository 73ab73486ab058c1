"""Many images: named, sharded, each with its own result, faults told and no rests."""
