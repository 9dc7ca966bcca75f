"""What one layer does: where its numbers lie, its products, its normalization, its samples."""
