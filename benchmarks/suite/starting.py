"""What a process pays before its first result."""


class Starting:
    """Each in a fresh process."""

    def timeraw_import(self):
        return "import fastmlp"

    def timeraw_import_numpy_alone(self):
        return "import numpy"

    def timeraw_first_training(self):
        return """
        import fastmlp
        fastmlp.NeuralNetwork([64, 32, 10], seed=0).train([[0.5] * 64] * 32, [[0.5] * 10] * 32, epochs=1)
        """

    for _benchmark in (timeraw_import, timeraw_import_numpy_alone, timeraw_first_training):
        _benchmark.number = 1
        _benchmark.repeat = 5
