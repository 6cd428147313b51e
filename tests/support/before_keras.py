"""To be imported before Keras: it runs on torch then, and leaves pytest's own streams open.

absl, which Keras imports, logs to the standard error of that moment, and closes it when somebody
configures logging anew; under pytest that stream is the one that everything is captured by.
"""

from __future__ import annotations

import os
import sys

from absl import logging

os.environ["KERAS_BACKEND"] = "torch"
logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
