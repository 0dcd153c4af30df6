"""Feed-forward, convolutional and recurrent classifiers on torch will live here. There are none yet."""
