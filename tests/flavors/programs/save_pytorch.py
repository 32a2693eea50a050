"""PyTorch. The variant is the serialization format."""

from typing import Any

import mlflow.pytorch
import networks
import saving
import torch


def log(model: Any, **destination: Any) -> None:
    if saving.current.variant == "pt2" and not hasattr(model, "eval"):
        model = model.module()
    signature = mlflow.models.infer_signature(networks.EXAMPLE, model(torch.tensor(networks.EXAMPLE)).detach().numpy())
    mlflow.pytorch.log_model(
        model,
        **destination,
        signature=signature,
        input_example=networks.EXAMPLE,
        serialization_format=saving.current.variant,
    )


saving.main(networks.train, log, mlflow.pytorch.load_model)
