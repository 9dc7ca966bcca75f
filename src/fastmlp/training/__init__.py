"""What surrounds the steps of a training: schedules, measuring, stopping, callbacks, history."""
