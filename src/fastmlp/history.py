"""What happened in training."""


class History:
    """The course of one call of `train`.

    Attributes
    ----------
    loss : list of float
        The mean loss of each epoch, over its samples as they were trained on: before the weights moved on.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([1, 1], seed=0, dtype="float64")
    >>> history = network.train([[0.0], [1.0]], [1.0, 3.0], epochs=200, learning_rate=0.1)
    >>> len(history.loss), history.loss[-1] < 1e-3
    (200, True)
    """

    def __init__(self, loss: list[float]) -> None:
        self.loss = loss

    def __repr__(self) -> str:
        if not self.loss:
            return "History(0 epochs)"
        epochs = "1 epoch" if len(self.loss) == 1 else f"{len(self.loss)} epochs"
        return f"History({epochs}, loss {self.loss[0]:.6g} -> {self.loss[-1]:.6g})"
