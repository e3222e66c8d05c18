"""The MONAI Label app: healthy counterparts, as one model that stock clients and our own can ask.

MONAI Label looks here for a class that lists `MONAILabelApp` as its base; all else is in ``lib``.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from monailabel.interfaces.app import MONAILabelApp

from counterpart import __version__
from counterpart.errors import CounterpartError
from counterpart.results import DISCLAIMER
from lib.datastore.studies import Studies
from lib.inference.infer_task import KEY, CounterpartInfer
from lib.problems import Problem
from lib.server import make_server
from lib.settings import read_settings
from lib.training.supervisor import TrainingSupervisor
from lib.training.train_task import CounterpartTrain
from lib.wiring import web_application

# Ids of patients' scans do not belong into logs; what has to be known, our own lines say.
for name in ("monailabel", "uvicorn.access"):
    logging.getLogger(name).setLevel(logging.ERROR)
_CANNOT_START = 2


class HealthyCounterpart(MONAILabelApp):  # type: ignore[misc]
    """The server as MONAI Label loads it."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        try:
            settings = read_settings(studies, conf)
        except CounterpartError as error:
            _refuse(error)
        self._model = settings.model
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="Counterpart",
            description=f"Healthy counterparts of brain MRI. {DISCLAIMER}.",
            version=__version__,
        )
        try:
            self.server = make_server(Path(app_dir), settings, Studies(self.datastore(), studies))
            self.supervisor = TrainingSupervisor(self.server)
        except (CounterpartError, Problem, OSError) as error:
            _refuse(error)

    def init_infers(self) -> dict[str, CounterpartInfer]:
        """The one model."""
        return {KEY: CounterpartInfer(self._model)}

    def init_trainers(self) -> dict[str, CounterpartTrain]:
        """The one training, of the same name, as stock clients expect it."""
        return {KEY: CounterpartTrain(lambda: self.supervisor.latest())}

    def init_strategies(self) -> dict[str, Any]:
        """None of MONAI Label's: which image comes next is answered by ours."""
        return {}

    def on_init_complete(self) -> None:
        """Start to work, and let our routes answer in the place of MONAI Label's."""
        from monailabel.app import app

        self.server.start()
        app.middleware_stack = web_application(
            self.server, self.supervisor, self.info, self.studies
        )


def _refuse(error: Exception) -> None:
    """End with one sentence: a server that cannot work does not start."""
    print(f"counterpart: {error}", file=sys.stderr, flush=True)
    os._exit(_CANNOT_START)
