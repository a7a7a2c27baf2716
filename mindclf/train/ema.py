"""EMA: the exponential moving average of the weights of a run, which evaluates better than the weights themselves."""

import numpy as np
from mindspore import Tensor
from mindspore.train import Callback

from mindclf.distributed import collectives

UPDATE_STEPS = 8  # between two updates, for speed: the weights of that step count as those of the steps before it too


class EMA(Callback):
    """Keeps the moving average of all parameters of `net` and has `net` hold it from the end of an epoch to the next one's begin.

    So evaluation and checkpoints see the average. Moving statistics of batch norm are averaged like the weights, as with
    use_buffers=True in PyTorch's AveragedModel: they are averages already, and nothing need be computed again. Step t counts
    1 - d with d = min(decay, (1 + t) / (10 + t)), so that the first weights are soon forgotten (TensorFlow's
    ExponentialMovingAverage with num_updates). Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992). After training
    the net keeps the average. This callback must come before those that save or evaluate the net, and after
    `SyncBatchNormStatistics`. It also averages its own copies of the statistics across workers. It needs graph mode, which
    `use_device` sets: outside it the optimizers of MindSpore 2.10 go on with the weights from before a Parameter.set_data.
    """

    def __init__(self, net, decay, steps_per_epoch):
        super().__init__()
        self.parameters = list(net.get_parameters())
        self.decay, self.steps_per_epoch = decay, steps_per_epoch
        self.step = self.averaged_step = 0
        self.average = [parameter.asnumpy().copy() for parameter in self.parameters]
        self.raw = None  # the weights themselves, while the net holds the average

    def on_train_epoch_begin(self, run_context):
        if self.raw is not None:
            self._fill_net(self.raw)
            self.raw = None

    def on_train_step_end(self, run_context):
        self.step += 1
        epoch_ends = self.step % self.steps_per_epoch == 0
        if epoch_ends or self.step - self.averaged_step >= UPDATE_STEPS:
            self._update()
        if epoch_ends:
            self.sync()
            self.raw = [parameter.asnumpy().copy() for parameter in self.parameters]
            self._fill_net(self.average)

    def sync(self):
        """Averages the copies of moving statistics across workers; all of them must call it."""
        self.average = collectives.mean_statistics(self.parameters, self.average)

    def state_dict(self):
        """What the net does not hold: the weights themselves at the end of an epoch, within one the average; and the steps."""
        values = self.average if self.raw is None else self.raw
        return {**{parameter.name: value for parameter, value in zip(self.parameters, values)},
                "step": self.step, "averaged_step": self.averaged_step}

    def load_state_dict(self, state):
        """Takes what `state_dict` gave; the net must have its weights of that moment."""
        values = [state[parameter.name] for parameter in self.parameters]
        self.step, self.averaged_step = state["step"], state["averaged_step"]
        if self.step % self.steps_per_epoch:
            self.average = values
        else:
            self.average, self.raw = [parameter.asnumpy().copy() for parameter in self.parameters], values

    def _update(self):
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        share = np.float32(1 - decay ** (self.step - self.averaged_step))
        for parameter, average in zip(self.parameters, self.average):
            difference = parameter.asnumpy() - average
            difference *= share
            average += difference
        self.averaged_step = self.step

    def _fill_net(self, values):
        for parameter, value in zip(self.parameters, values):
            parameter.set_data(Tensor(value))
