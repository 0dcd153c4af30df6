"""What each kind of model is asked of a batch, and answers: an adapter a kind, over columns of a few kinds."""
